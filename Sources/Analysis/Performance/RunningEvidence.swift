import Foundation
import StreamProcessing

/// Evidence that something has been above what it was, gathered minute by minute and looked at after each.
///
/// Four cumulative sums (Page, "Continuous inspection schemes", 1954) of log likelihood ratios, one for each size of the
/// change, together an e-detector: without a change the mean time until the mean of their exponentials reaches
/// e^`needed` is at least e^`needed` looks (Shin, Ramdas, Rinaldo, "E-detectors", 2022), whatever the number of looks.
/// No minute alone decides, and it stands until half of the evidence is gone.
struct RunningEvidence: Codable, Sendable, Equatable {
    /// Of what is needed, that one minute may bring.
    private static let mostOfOneMinute = 0.95
    /// Beyond what is needed, that is kept: more would only make the end be seen late.
    private static let reserve = 3.0
    /// From here on something may be going on: such a time is no reference for later.
    private static let suspicious = 5.0

    private var sums = SIMD4<Double>()
    /// For each sum, the start of the first minute that is not outweighed by what came after it.
    private var starts = SIMD4<Int64>()
    private(set) var isStanding = false

    /// When what is going on began, milliseconds since the epoch; `nil` where nothing is.
    var since: Int64? {
        // Of equals the greatest change: its sum begins last.
        guard strength > 0, let leading = sums.indices.last(where: { sums[$0] == strength }) else { return nil }
        return starts[leading]
    }

    /// The highest of the sums, which `logE` does not exceed.
    fileprivate var strength: Double { sums.max() }

    /// ln of the mean e-value; 0 without evidence.
    var logE: Double {
        let top = strength
        guard top > 0 else { return 0 }
        var sum = 0.0
        for place in 0..<4 { sum += exp(sums[place] - top) }
        return top + log(sum / 4)
    }

    /// `true` where what is going on now had better not become the reference.
    var isSuspicious: Bool { isStanding || strength > Self.suspicious && logE > Self.suspicious }

    /// One less the number of false alarms to be expected of such evidence within 30 days.
    func confidence(looksPerDay: Double) -> Double { max(0, 1 - 30 * looksPerDay * exp(-logE)) }

    mutating func add(_ increments: SIMD4<Double>, at minute: Window, needed: Double) {
        let most = SIMD4(repeating: Self.mostOfOneMinute * needed), top = SIMD4(repeating: needed + Self.reserve)
        let wasIdle = sums .== SIMD4()
        sums = (sums + increments.clamped(lowerBound: -top, upperBound: most))
            .clamped(lowerBound: SIMD4(), upperBound: top)
        starts.replace(with: SIMD4(repeating: minute.start), where: wasIdle)
        let now = strength < needed / 2 ? 0 : logE
        isStanding = now >= needed || isStanding && now >= needed / 2
    }
}

extension [RunningEvidence] {
    /// When that began which there is most evidence of.
    var since: Int64? { self.max { $0.strength < $1.strength }?.since }
}

/// Log likelihood ratios for `RunningEvidence`.
enum Increment {
    /// Odds of the alternatives as multiples of the null's.
    private static let odds = SIMD4<Double>(2, 3.5, 8, 60)
    private static let logOdds = SIMD4(log(odds[0]), log(odds[1]), log(odds[2]), log(odds[3]))
    /// Standard errors by which the mean of one minute exceeds the null.
    private static let shifts = SIMD4<Double>(0.5, 1, 2, 4)

    /// `events` of `trials`, against a share of at most `null`, 0...1.
    static func share(_ events: Int64, of trials: Int64, null: Double) -> SIMD4<Double> {
        let p0 = min(max(null, 1e-6), 1 - 1e-6), yes = Double(events), no = Double(trials - events)
        // p1 = g p0 / (1 − p0 + g p0) for odds g times as high: both ratios have the same denominator.
        let mass = 1 - p0 + odds * p0
        let logMass = SIMD4(log(mass[0]), log(mass[1]), log(mass[2]), log(mass[3]))
        return yes * (logOdds - logMass) - no * logMass
    }

    /// A mean that exceeds the null by `z` standard errors.
    static func mean(z: Double) -> SIMD4<Double> { z * shifts - shifts * shifts / 2 }
}

/// How much evidence a finding needs, from how rarely it may be a false alarm.
struct Alertness: Sendable {
    /// ln of the looks from one false alarm to the next.
    let needed: Double
    let looksPerDay: Double

    init(days: Double, lookMs: Int64) {
        looksPerDay = 86_400_000 / Double(max(1, lookMs))
        needed = log(days * looksPerDay)
    }

    func confidence(_ evidence: RunningEvidence) -> Double { evidence.confidence(looksPerDay: looksPerDay) }
}

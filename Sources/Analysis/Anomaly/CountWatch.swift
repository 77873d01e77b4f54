import Foundation
import Statistics

/// Whether events have become more or fewer for their number of trials: failures of requests, requests of a minute.
///
/// Likelihood ratios of negative binomial counts: of Poisson ones, which hold for binomial ones too, whose rate swings by
/// itself as much as it did so far. Until much is known, the rate is taken to be as high, or as low, as it may well be.
struct CountWatch: Codable, Sendable, Equatable {
    /// Rates that are looked for, as multiples of the rate before.
    private static let higher = SIMD4<Double>(1.5, 2, 4, 20)
    private static let lower = SIMD4<Double>(0.7, 0.5, 0.25, 0.02)
    /// Points that the swing looks back on.
    private static let memory = 1_000.0
    /// Standard deviations from which on a count moves the rate no further (Huber, 1964).
    private static let limit = 4.0

    /// By which events and trials fade with each point.
    private let fading: Double
    /// Trials until the rate is known.
    private let warmUp: Double
    private let swings: Bool
    private var events = 0.0
    private var trials = 0.0
    private var points = 0.0
    /// Squared coefficient of variation of the rate itself: what the counts vary more than Poisson ones.
    private var swing = 0.0
    private var rise = ChangeEvidence()
    private var fall = ChangeEvidence()
    private var enough = EvidenceLimit()
    private(set) var incident: Incident?

    /// - Parameters:
    ///   - halfLife: of what is known, points.
    ///   - warmUp: trials until the rate is known.
    ///   - swings: whether the rate can swing by itself. Of single trials that cannot be told, and a change would be taken for it.
    init(halfLife: Double, warmUp: Double, swings: Bool = true) {
        fading = exp2(-1 / halfLife)
        self.warmUp = warmUp
        self.swings = swings
    }

    var isKnown: Bool { trials >= warmUp }

    /// Natural logarithm of the evidence of a change; 0 while one stands.
    var evidence: Double { incident == nil ? max(rise.log, fall.log) : 0 }

    /// - Parameters:
    ///   - usual: events a trial, at this time of the week.
    ///   - limit: natural logarithm of the evidence that is enough for one series.
    mutating func add(
        _ count: Double, of exposure: Double, at ms: Int64, usual: ClosedRange<Double>? = nil, limit: Double
    ) {
        guard exposure > 0 else { return }
        if incident != nil { return follow(count, exposure, at: ms) }
        var bounded = count
        if isKnown {
            let rate = events / trials, error = 2 * (events + 1).squareRoot()
            let high = (events + error + 1) / trials, low = max(0, events - error) / trials
            let most = max(high, usual?.upperBound ?? 0) * exposure
            let least = min(low, usual?.lowerBound ?? low) * exposure
            rise.add(
                ratios(count, expected: most, Self.higher), value: count, exposure: exposure, reference: rate, at: ms,
                limit: limit)
            fall.add(
                ratios(count, expected: least, Self.lower), value: count, exposure: exposure,
                reference: min(rate, usual?.lowerBound ?? rate), at: ms, limit: limit)
            enough.watch(evidence, limit: limit)
            let mean = rate * exposure
            let room = Self.limit * (mean + swing * mean * mean).squareRoot() + 1
            bounded = max(mean - room, min(mean + room, count))
            learnSwing(bounded - mean, mean)
        }
        events = events * fading + bounded
        trials = trials * fading + exposure
    }

    /// Natural logarithms of the likelihood ratios of multiples of what is expected.
    private func ratios(_ count: Double, expected: Double, _ multiples: SIMD4<Double>) -> SIMD4<Double> {
        let shape = 1 / max(swing, 1e-6)
        var ratios = SIMD4<Double>(repeating: 0)
        for lane in 0..<4 {
            let multiple = multiples[lane]
            ratios[lane] =
                count * log(multiple) - (count + shape) * log1p(expected * (multiple - 1) / (shape + expected))
        }
        return ratios
    }

    /// By the method of moments; a count is worth the more for it the higher it was expected to be.
    private mutating func learnSwing(_ apart: Double, _ mean: Double) {
        guard swings, mean > 0 else { return }
        points = min(points + 1, Self.memory)
        let worth = mean / (mean + 10)
        swing = max(0, swing + worth * ((apart * apart - mean) / (mean * mean) - swing) / points)
    }

    /// - Parameter isGreat: of the rate before and the one since; whether the change is worth telling.
    mutating func settle(limit: Double, at ms: Int64, isGreat: (_ before: Double, _ since: Double) -> Bool) {
        guard incident == nil else { return }
        let isRise = rise.log >= fall.log
        guard evidence >= enough.needed(limit), let span = isRise ? rise.span : fall.span else { return }
        let found = Incident(span, isRise: isRise, evidence: evidence)
        if isGreat(span.reference, found.level) { incident = found }
    }

    /// The severity that the incident that stands has, once it is at least so great.
    mutating func raise(_ severity: Finding.Severity) -> Finding.Severity {
        let worst = max(severity, incident?.severity ?? severity)
        incident?.severity = worst
        return worst
    }

    private mutating func follow(_ count: Double, _ exposure: Double, at ms: Int64) {
        guard var now = incident else { return }
        now.add(count, exposure: exposure)
        incident = now
        guard now.isBack || now.isOld(at: ms) else { return }
        if now.span.values.n > Incident.certain { enough.forget() } else { enough.over() }
        incident = nil
        rise.clear()
        fall.clear()
        guard !now.isBack else { return }
        // What has lasted is now what is known, with the weight of a warm-up.
        (events, trials) = (now.recent * warmUp, warmUp)
    }
}

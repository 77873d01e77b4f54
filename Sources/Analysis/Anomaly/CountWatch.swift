import Foundation
import Statistics

/// Whether events have become more or fewer for their number of trials: failures of requests, requests of a minute.
///
/// Likelihood ratios of Poisson counts, which hold for binomial ones too, divided by how much more the counts vary than
/// such do. Until much is known, the rate is taken to be as high, or as low, as it may well be.
struct CountWatch: Codable, Sendable, Equatable {
    /// Rates that are looked for, as multiples of the rate before.
    private static let higher = SIMD4<Double>(1.5, 2, 4, 20)
    private static let lower = SIMD4<Double>(0.7, 0.5, 0.25, 0.02)
    private static let logHigher = SIMD4<Double>(0.405_465, 0.693_147, 1.386_294, 2.995_732)
    private static let logLower = SIMD4<Double>(-0.356_675, -0.693_147, -1.386_294, -3.912_023)
    /// Points that the dispersion looks back on.
    private static let memory = 1_000.0
    /// Standard deviations from which on a count moves the rate no further (Huber, 1964).
    private static let limit = 4.0

    /// By which events and trials fade with each point.
    private let fading: Double
    /// Trials until the rate is known.
    private let warmUp: Double
    private var events = 0.0
    private var trials = 0.0
    private var points = 0.0
    /// Variance of the counts as a multiple of a Poisson count's.
    private var dispersion = 1.0
    private var rise = ChangeEvidence()
    private var fall = ChangeEvidence()
    private var enough = EvidenceLimit()
    private(set) var incident: Incident?

    /// - Parameters:
    ///   - halfLife: of what is known, points.
    ///   - warmUp: trials until the rate is known.
    init(halfLife: Double, warmUp: Double) {
        fading = exp2(-1 / halfLife)
        self.warmUp = warmUp
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
            let variance = max(1, 1.1 * dispersion), one = SIMD4<Double>(repeating: 1)
            rise.add(
                (count * Self.logHigher - most * (Self.higher - one)) / variance, value: count, exposure: exposure,
                reference: rate, at: ms, limit: limit)
            fall.add(
                (count * Self.logLower + least * (one - Self.lower)) / variance, value: count, exposure: exposure,
                reference: max(low, usual?.lowerBound ?? 0), at: ms, limit: limit)
            enough.watch(evidence, limit: limit)
            let mean = rate * exposure, apart = count - mean
            points = min(points + 1, Self.memory)
            let square = min(apart * apart / max(mean, 0.25), 9 * max(1, dispersion))
            dispersion += (square - dispersion) / (points + 20)
            let room = Self.limit * (variance * max(mean, 0.25)).squareRoot() + 1
            bounded = max(mean - room, min(mean + room, count))
        }
        events = events * fading + bounded
        trials = trials * fading + exposure
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

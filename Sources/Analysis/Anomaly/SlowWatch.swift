import Statistics

/// Whether the hours of a series have moved away from the same hours of the weeks before: what comes so slowly that
/// every half hour looks like the one before it.
struct SlowWatch: Codable, Sendable, Equatable {
    /// Hours that the spread looks back on: a week.
    private static let memory = 168.0
    /// Hours compared until it is known.
    private static let warmUp = 24.0
    private static let limit = 3.0
    private static let normal = 1.2533
    private static let least = 0.02
    private static let shifts = SIMD4<Double>(1.5, 2, 3, 5)
    private static let hourMs: Int64 = 3_600_000

    /// Number of the hour that is being added up.
    private var hour: Int64?
    private var sum = 0.0
    private var points = 0.0
    private var spread = 0.0
    private var compared = 0.0
    private var rise = ChangeEvidence()
    private var fall = ChangeEvidence()
    private var enough = EvidenceLimit()
    private(set) var drift: Drift?

    /// A slow change that stands.
    struct Drift: Codable, Sendable, Equatable {
        var span: ChangeEvidence.Span
        var isRise: Bool
        var evidence: Double
        /// Standard deviation of an hour.
        var deviation: Double
        /// Mean over the hours since, minus the same hours of the weeks before.
        var shift: Double { span.values.mean ?? 0 }
    }

    /// - Parameters:
    ///   - weekMean: of the hour that ends with the point before this one, in the weeks before.
    ///   - limit: natural logarithm of the evidence that is enough, for one look an hour.
    ///   - least: shift that is worth telling, in the unit of the values.
    mutating func add(_ value: Double, at ms: Int64, weekMean: (Int64) -> Double?, limit: Double, least: Double) {
        let now = ms / Self.hourMs
        if let hour, hour != now {
            if points > 0, let before = weekMean(hour * Self.hourMs) {
                close(sum / points - before, at: hour * Self.hourMs, limit: limit, least: least)
            }
            (sum, points) = (0, 0)
        }
        hour = now
        sum += value
        points += 1
    }

    private mutating func close(_ apart: Double, at ms: Int64, limit: Double, least: Double) {
        compared = min(compared + 1, Self.memory)
        let deviation = max(Self.normal * spread, Self.least)
        if compared > Self.warmUp {
            let z = max(-20, min(20, apart / deviation)), half = Self.shifts * Self.shifts / 2
            rise.add(Self.shifts * z - half, value: apart, reference: 0, at: ms, limit: limit)
            fall.add(Self.shifts * -z - half, value: apart, reference: 0, at: ms, limit: limit)
            settle(deviation, limit: limit, least: least)
        }
        let bound = compared > Self.warmUp ? Self.limit * deviation : .infinity
        spread += (min(abs(apart), bound) - spread) / compared
    }

    private mutating func settle(_ deviation: Double, limit: Double, least: Double) {
        let isRise = rise.log >= fall.log, log = max(rise.log, fall.log)
        let needed = drift == nil ? enough.needed(limit) : limit / 2
        guard log >= needed, let span = isRise ? rise.span : fall.span,
            abs(span.values.mean ?? 0) >= least, span.values.n >= 3
        else {
            if drift != nil { enough.forget() } else { enough.watch(log, limit: limit) }
            return drift = nil
        }
        drift = Drift(span: span, isRise: isRise, evidence: log, deviation: deviation)
    }
}

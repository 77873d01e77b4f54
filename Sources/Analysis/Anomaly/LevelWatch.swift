import Statistics

/// Whether a series of values has left its level, or swings more than it did, with evidence that holds at every look.
///
/// A value is compared with a robust mean over the last half hour and with what is usual at this time of the week:
/// between them nothing is unusual. Values are logarithms, or on another scale on which noise is about normal.
struct LevelWatch: Codable, Sendable, Equatable {
    private static let memory = (mean: 30.0, spread: 1_000.0)
    /// Points until the spread is known.
    private static let warmUp = 60.0
    /// Standard deviations from which on a point moves mean and spread no further (Huber, 1964).
    private static let limit = 3.0
    /// Mean absolute deviation to standard deviation of normal values.
    private static let normal = 1.2533
    /// The least standard deviation: a change by 2 % is noise.
    private static let least = 0.02
    /// After a silence of this length the level is asked for anew.
    private static let silenceMs: Int64 = 1_800_000
    /// Shifts that are looked for, in standard deviations.
    private static let shifts = SIMD4<Double>(1.5, 2.5, 4, 8)
    /// Standard deviations as a multiple of what they were.
    private static let widths = SIMD4<Double>(1.5, 2, 3, 4)

    private var mean = 0.0
    private var meanCount = 0.0
    private var spread = 0.0
    private var count = 0.0
    /// Requests in a point, as usual.
    private var weight = 0.0
    private var lastAt: Int64 = 0
    private var rise = ChangeEvidence()
    private var fall = ChangeEvidence()
    private var swings = ChangeEvidence()
    private var enough = EvidenceLimit()
    private(set) var incident: Incident?
    /// Evidence of more variance stands until it is half of what was needed.
    private(set) var isRestless = false
    /// When the level last jumped.
    private(set) var jumpedAt: Int64?

    /// Standard deviation of a point.
    var deviation: Double { max(Self.normal * spread, Self.least) }

    /// Natural logarithm of the evidence of a jump; 0 while one stands.
    var evidence: Double { incident == nil ? max(rise.log, fall.log) : 0 }

    /// Where the series is.
    var place: Double { mean }

    var restlessSince: Int64? { isRestless ? swings.span?.since : nil }

    /// Standard deviations of the restless span in those of before.
    var restlessness: (ratio: Double, points: Int64)? {
        guard isRestless, let span = swings.span, span.values.n > 1 else { return nil }
        return ((span.values.sumOfSquares / Double(span.values.n)).squareRoot(), span.values.n)
    }

    /// - Parameters:
    ///   - requests: that the value is made from: from fewer than usual it is less certain.
    ///   - usual: at this time of the week.
    ///   - limit: natural logarithm of the evidence that is enough for one series.
    mutating func add(
        _ value: Double, requests: Double, at ms: Int64, usual: ClosedRange<Double>?, limit: Double
    ) {
        defer { lastAt = ms }
        if incident != nil { return follow(value, at: ms) }
        if count == 0 || ms - lastAt > Self.silenceMs { begin(value) }
        weight += (requests - weight) / min(count + 1, Self.memory.spread)
        let deviation = deviation
        let noise = deviation * max(1, (weight / max(requests, 1)).squareRoot())
        if count > Self.warmUp {
            let low = min(mean, usual?.lowerBound ?? mean), high = max(mean, usual?.upperBound ?? mean)
            let z = (value > high ? value - high : value < low ? value - low : 0) / noise
            weigh(max(-40, min(40, z)), value, at: ms, limit: limit)
        }
        let bound = count > Self.warmUp / 2 ? Self.limit * noise : .infinity
        let step = max(-bound, min(bound, value - mean))
        count = min(count + 1, Self.memory.spread)
        meanCount = min(meanCount + 1, Self.memory.mean)
        spread += (abs(step) - spread) / count
        mean += step / meanCount
    }

    private mutating func weigh(_ z: Double, _ value: Double, at ms: Int64, limit: Double) {
        let half = Self.shifts * Self.shifts / 2
        rise.add(Self.shifts * z - half, value: value, reference: mean, at: ms, limit: limit)
        fall.add(Self.shifts * -z - half, value: value, reference: mean, at: ms, limit: limit)
        let bounded = max(-4, min(4, z)), square = bounded * bounded / 2
        var ratios = square * (1 - 1 / (Self.widths * Self.widths))
        for lane in 0..<4 { ratios[lane] -= Self.logWidths[lane] }
        swings.add(ratios, value: bounded, reference: 0, at: ms, limit: limit)
        let swing = swings.log
        isRestless = swing > (isRestless ? limit / 2 : limit) && (swings.span?.values.n ?? 0) >= 10
        enough.watch(max(rise.log, fall.log), limit: limit)
    }

    private static let logWidths = [0.405_465, 0.693_147, 1.098_612, 1.386_294]

    /// Decides whether the evidence is enough, and the change great enough.
    ///
    /// - Parameter least: of the change, in the unit of the values.
    mutating func settle(limit: Double, least: Double, at ms: Int64) {
        guard incident == nil else { return }
        let isRise = rise.log >= fall.log, log = max(rise.log, fall.log)
        guard log >= enough.needed(limit), let span = isRise ? rise.span : fall.span else { return }
        let found = Incident(span, isRise: isRise, evidence: log)
        guard abs(found.level - span.reference) >= least else { return }
        incident = found
        jumpedAt = span.since
        isRestless = false
    }

    /// The severity that the incident that stands has, once it is at least so great.
    mutating func raise(_ severity: Finding.Severity) -> Finding.Severity {
        let worst = max(severity, incident?.severity ?? severity)
        incident?.severity = worst
        return worst
    }

    private mutating func follow(_ value: Double, at ms: Int64) {
        guard var now = incident else { return }
        now.add(value)
        incident = now
        guard now.isBack || now.isOld(at: ms) else { return }
        if now.span.values.n > Incident.certain { enough.forget() } else { enough.over() }
        incident = nil
        begin(now.isBack ? now.span.reference : now.recent)
    }

    /// From here on, with the spread that is known.
    private mutating func begin(_ value: Double) {
        mean = value
        meanCount = 1
        rise.clear()
        fall.clear()
        swings.clear()
    }
}

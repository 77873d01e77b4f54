/// All that watches one series of one model: course, level, swings and slow drift.
struct SeriesWatch: Codable, Sendable, Equatable {
    /// Requests that make a point: quiet minutes are put together until there are so many, an hour at most.
    private static let enough = 20.0
    private static let longestMs: Int64 = 3_600_000

    private var sum = 0.0
    private var requests = 0.0
    private var since: Int64?
    private var detector: AnomalyDetector?
    private(set) var slow = SlowWatch()
    var level = LevelWatch()
    /// What stands out of the newest point's course, while it is new.
    private(set) var unusual: AnomalyDetector.Judgement?

    init(hasCourse: Bool) { detector = hasCourse ? AnomalyDetector() : nil }

    /// Probability that a point stands out so by chance: as often as the record it broke has points.
    var chance: Double { 1 / (1 + (detector?.compared ?? 0)) }

    /// - Parameters:
    ///   - value: `nil` for a minute without.
    ///   - limit: natural logarithm of the evidence that is enough for one series.
    ///   - least: shift of the logarithm that is worth telling.
    mutating func add(
        _ value: (log: Double, requests: Double)?, at ms: Int64, limit: Double, least: Double
    ) {
        unusual = nil
        if let value {
            sum += value.log * value.requests
            requests += value.requests
            since = since ?? ms
        }
        guard requests > 0, requests >= Self.enough || ms - (since ?? ms) >= Self.longestMs else { return }
        let point = sum / requests
        level.add(point, requests: requests, at: ms, usual: detector?.usual(at: ms), limit: limit)
        if let detector {
            slow.add(point, at: ms, weekMean: detector.weekMean(at:), limit: limit, least: least)
        }
        let judgement = detector?.add(point, at: ms, learnsSeason: level.incident == nil)
        if let judgement, judgement.isAlarm, judgement.aspect != .shift { unusual = judgement }
        (sum, requests, since) = (0, 0, nil)
    }
}

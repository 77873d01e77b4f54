import Foundation
import Statistics
import StreamProcessing

/// All that is watched of one model of a route.
struct ModelWatch: Codable, Sendable, Equatable {
    /// A day of minutes; a thousand requests until the share is known.
    var failures = CountWatch(halfLife: 1_440, warmUp: 1_000)
    var probes = ProbeWatch()
    /// In the order of `WatchedSeries`.
    var series = WatchedSeries.allCases.map { SeriesWatch(hasCourse: $0.hasCourse) }

    /// Series of a model: its failures, its probes and the others.
    static let count = WatchedSeries.allCases.count + 2

    mutating func add(_ minute: ModelMinute, at ms: Int64, limit: Double, least: Double) {
        let users = minute.users
        failures.add(Double(users.failures), of: Double(users.requests), at: ms, limit: limit)
        for one in WatchedSeries.allCases {
            series[one.rawValue].add(one.value(of: users), at: ms, limit: limit, least: least)
        }
    }

    mutating func settle(_ settings: AnalyzerSettings, limit: Double, at ms: Int64) {
        failures.settle(limit: limit, at: ms) { abs($1 - $0) >= settings[.leastErrors] }
        let least = log(1 + settings[.leastChange])
        for index in series.indices { series[index].level.settle(limit: limit, least: least, at: ms) }
    }

    /// Natural logarithms of the evidence of each series.
    var evidence: [Double] { [failures.evidence, probes.evidence] + series.map(\.level.evidence) }
}

/// How many requests come to a route.
struct TrafficWatch: Codable, Sendable, Equatable {
    /// Half an hour, and as much until it is known.
    var rate = CountWatch(halfLife: 20, warmUp: 25)
    var failures = CountWatch(halfLife: 1_440, warmUp: 1_000)
    /// Square roots of the counts, whose noise does not depend on their height.
    private var detector = AnomalyDetector()
    private(set) var unusual: AnomalyDetector.Judgement?

    static let count = 2

    var chance: Double { 1 / (1 + detector.compared) }

    mutating func add(requests: Double, failures failed: Double, at ms: Int64, limit: Double) {
        let usual = detector.usual(at: ms).map { $0.lowerBound * $0.lowerBound...$0.upperBound * $0.upperBound }
        rate.add(requests, of: 1, at: ms, usual: usual, limit: limit)
        failures.add(failed, of: requests, at: ms, limit: limit)
        let judgement = detector.add(requests.squareRoot(), at: ms, learnsSeason: rate.incident == nil)
        unusual = judgement.flatMap { $0.isAlarm && $0.aspect != .shift ? $0 : nil }
    }

    mutating func settle(_ settings: AnalyzerSettings, limit: Double, at ms: Int64) {
        let factor = settings[.rateChange]
        rate.settle(limit: limit, at: ms) { $1 >= factor * $0 || factor * $1 <= $0 }
        failures.settle(limit: limit, at: ms) { abs($1 - $0) >= settings[.leastErrors] }
    }

    var evidence: [Double] { [rate.evidence, failures.evidence] }
}

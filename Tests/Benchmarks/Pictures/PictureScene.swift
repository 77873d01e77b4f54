import Analysis
import Core
import Foundation
import Statistics
import StreamProcessing

/// What is shown of each analyzer: traffic in which something is made to happen, and what it said.
enum PictureScene: String, CaseIterable {
    case performance, cost, quality, pattern, anomaly

    func chart(_ traffic: PictureTraffic) -> FindingChart {
        switch self {
        case .performance: Self.performance(traffic)
        case .cost: Self.cost(traffic)
        case .quality: Self.quality(traffic)
        case .pattern: Self.pattern(traffic)
        case .anomaly: Self.anomaly(traffic)
        }
    }

    static let day = PictureTraffic.minutesPerDay

    /// Event time of minutes counted from the traffic's start.
    static func span(_ minutes: Range<Int>) -> Range<Int64> {
        PictureTraffic.milliseconds(minutes.lowerBound)..<PictureTraffic.milliseconds(minutes.upperBound)
    }

    // MARK: Performance

    private static func performance(_ traffic: PictureTraffic) -> FindingChart {
        let first = 2 * day + 360, shown = first..<first + 600
        let slow = first + 120..<first + 150, failing = first + 330..<first + 390
        var told = ToldFindings(route: "chat", seed: 1), random = SplitMix64(seed: 2)
        var failed: [FindingChart.Point] = [], slowest: [FindingChart.Point] = []
        for index in 0..<shown.upperBound {
            let fault: RouteTraffic.Fault? =
                slow.contains(index) ? .latencyTimes5 : failing.contains(index) ? .errors1To5 : nil
            let minute = traffic.week.minute(PictureTraffic.start + index, fault, &random), total = minute.total
            told.observe(minute)
            guard index >= first else { continue }
            let share = total.requests > 0 ? 100 * Double(total.failures) / Double(total.requests) : nil
            failed.append(.init(at: minute.window.start, value: share))
            slowest.append(.init(at: minute.window.start, value: total.latency.quantile(0.95).map { $0 / 1_000 }))
        }
        return FindingChart(
            title: "Performance, \(traffic.name): latency × 5 for 30 minutes, failures from 1 to 5 % for 60 minutes",
            span: span(shown),
            panels: [
                .init(unit: "seconds", curves: [.init(name: "p95 latency of a minute", points: slowest)]),
                .init(unit: "%", curves: [.init(name: "requests of a minute that failed", points: failed)]),
            ],
            findings: told.findings(.performance, in: span(shown)))
    }

    // MARK: Quality

    /// Shares of the scores 0, 1/4, 1/2, 3/4 and 1: means of 0.8 and of 0.72.
    private static let scores = (good: [0.02, 0.04, 0.13, 0.34, 0.47], worse: [0.04, 0.07, 0.19, 0.37, 0.33])
    private static let scoredShare = 0.1

    private static func quality(_ traffic: PictureTraffic) -> FindingChart {
        let shown = day..<3 * day, bad = day + 1_080..<day + 1_560
        var told = ToldFindings(route: "chat", seed: 3), random = SplitMix64(seed: 4)
        var hours: [(at: Int64, scores: Moments)] = []
        for index in 0..<shown.upperBound {
            var minute = traffic.week.minute(PictureTraffic.start + index, nil, &random)
            let answers = minute.total.requests - minute.total.failures
            var scored = Moments()
            for _ in 0..<answers where random.unit() < scoredShare {
                scored.add(score(bad.contains(index) ? scores.worse : scores.good, &random))
            }
            if answers > 0 {
                minute.feedback = [
                    ModelFeedback(
                        modelKey: RouteTraffic.model, policy: 1, values: scored.n > 0 ? ["quality": scored] : [:],
                        answers: answers)
                ]
            }
            told.observe(minute)
            guard index >= shown.lowerBound else { continue }
            if index % 60 == 0 { hours.append((minute.window.start + 1_800_000, Moments())) }
            hours[hours.count - 1].scores.merge(scored)
        }
        let means = hours.map { FindingChart.Point(at: $0.at, value: $0.scores.mean) }
        let bounds = hours.compactMap { hour in
            hour.scores.meanInterval.map { (at: hour.at, lower: $0.lower, upper: $0.upper) }
        }
        return FindingChart(
            title: "Quality, \(traffic.name), simulated scores of a tenth of the answers: 10 % worse for eight hours",
            span: span(shown),
            panels: [
                .init(
                    unit: "score, 0 to 1", curves: [.init(name: "mean of an hour", points: means)],
                    band: .init(name: "its 95 % interval", points: bounds), fromZero: false)
            ],
            findings: told.findings(.quality, in: span(shown)))
    }

    private static func score(_ shares: [Double], _ random: inout SplitMix64) -> Double {
        var left = random.unit(), place = 0
        while place < 4, left >= shares[place] {
            left -= shares[place]
            place += 1
        }
        return Double(place) / 4
    }

    // MARK: Anomaly

    private static func anomaly(_ traffic: PictureTraffic) -> FindingChart {
        let first = 7 * day, shown = first..<first + day
        let gone = first + 240..<first + 260, lost = first + 540..<first + 575, high = first + 900..<first + 1_140
        var told = ToldFindings(route: "chat", seed: 5), random = SplitMix64(seed: 6), more = traffic.week
        more.course = more.course.map { $0.map { 2.5 * $0 } }
        var counts: [FindingChart.Point] = [], usual: [(at: Int64, lower: Double, upper: Double)] = []
        for index in 0..<shown.upperBound {
            let fault: RouteTraffic.Fault? =
                gone.contains(index) ? .trafficGone : lost.contains(index) ? .telemetryGone : nil
            let minute = (high.contains(index) ? more : traffic.week)
                .minute(PictureTraffic.start + index, fault, &random)
            told.observe(minute)
            guard index >= first else { continue }
            let at = minute.window.start
            counts.append(.init(at: at, value: minute.isGap ? nil : Double(minute.total.requests)))
            guard index % 10 == 0, let mean = traffic.expected(index) else { continue }
            let half = 2 * (traffic.week.dispersion * mean).squareRoot()
            usual.append((at, max(0, mean - half), mean + half))
        }
        return FindingChart(
            title:
                "Anomaly, \(traffic.name): no traffic for 20 minutes, no telemetry for 35, requests × 2.5 for 4 hours",
            span: span(shown),
            panels: [
                .init(
                    unit: "requests", curves: [.init(name: "of a minute", points: counts)],
                    band: .init(name: "where 95 % of healthy minutes lie", points: usual))
            ],
            findings: told.findings(.anomaly, in: span(shown)))
    }
}

import Analysis
import Policy
import Statistics

/// What is known of one model: the estimates that decisions go by, and the forecast that people see.
struct ModelEvidence {
    let target: Target
    let statistics: TargetStatistics
    /// 0...1; `nil` without feedback.
    let quality: Estimate?
    /// US dollars per 1,000 requests; `nil` where a price or cost is unknown.
    let cost: Estimate?

    /// More answers than this share without a known cost make the mean cost unknown.
    private static let unknownCostShare = 0.01

    init(target: Target, statistics: TargetStatistics) {
        self.target = target
        self.statistics = statistics
        quality = Estimate(scores: statistics.quality)
        let answered = Double(statistics.requests - statistics.failures)
        // A request that failed may have used nothing that could be priced.
        let unknown = Double(statistics.unknownCost - statistics.failures)
        cost =
            unknown > Self.unknownCostShare * answered
            ? nil
            : Estimate(statistics.cost).map {
                Estimate(mean: $0.mean / 1e6, standardError: $0.standardError / 1e6)
            }
    }

    var modelKey: String { target.modelKey }
    var answers: Int64 { statistics.quality.n }
    var failures: Proportion { Proportion(events: statistics.failures, trials: statistics.requests) }

    var forecast: Forecast {
        var forecast = Forecast()
        forecast.quality = quality.map { estimate in
            let interval = estimate.interval(z: Estimate.z975)
            return Interval(
                estimate: interval.estimate, lower: max(0, interval.lower), upper: min(1, interval.upper))
        }
        forecast.costPer1000 = cost?.interval(z: Estimate.z975)
        forecast.latencyP95Ms = statistics.latencyP95Ms
        forecast.answers = answers
        if let rate = failures.rate {
            let bounds = failures.wilson()
            forecast.failureRate = Interval(estimate: rate, lower: bounds.lowerBound, upper: bounds.upperBound)
        }
        return forecast
    }

    /// Whether every objective known of both is better here, beyond the bounds of their errors.
    func confidentlyDominates(_ other: ModelEvidence) -> Bool {
        guard let mine = objectives, let others = other.objectives else { return false }
        let latencyAgrees =
            switch (statistics.latencyBounds, other.statistics.latencyBounds) {
            case (let a?, let b?): a.upper <= b.lower
            default: true
            }
        return latencyAgrees && zip(mine, others).allSatisfy { $0.upper <= $1.lower }
            && zip(mine, others).contains { $0.upper < $1.lower }
    }

    /// Loss of quality and cost, both to be small; `nil` where one is unknown: not comparable, so not selectable.
    private var objectives: [Interval]? {
        guard let quality, let cost else { return nil }
        let loss = Estimate(mean: 1 - quality.mean, standardError: quality.standardError)
        return [loss, cost].map { $0.interval(z: Estimate.z95) }
    }
}

extension TargetStatistics {
    /// The interval of the p95 latency; where only the quantile is known, that for both bounds.
    var latencyBounds: Interval? {
        latencyP95Interval ?? latencyP95Ms.map { Interval(estimate: $0, lower: $0, upper: $0) }
    }
    var ttftBounds: Interval? {
        ttftP95Interval ?? ttftP95Ms.map { Interval(estimate: $0, lower: $0, upper: $0) }
    }
}

package import Statistics
package import StreamProcessing

/// What window results of a look-back span say of one model on one route, over all arms.
package struct TargetStatistics: Codable, Sendable, Equatable {
    package var route: String
    /// `provider/model`.
    package var modelKey: String
    package var requests: Int64 = 0
    package var failures: Int64 = 0
    /// Nano-dollars a request, over requests with a known cost.
    package var cost = Moments()
    package var unknownCost: Int64 = 0
    /// Feedback named `quality`, 0...1.
    package var quality = Moments()
    /// Milliseconds; `nil` without a successful request.
    package var latencyP50Ms: Double?
    package var latencyP95Ms: Double?
    package var ttftP95Ms: Double?
    /// 95 % intervals of the two above, from order statistics; `nil` where only the quantile is known.
    package var latencyP95Interval: Interval?
    package var ttftP95Interval: Interval?

    package init(route: String, modelKey: String) {
        self.route = route
        self.modelKey = modelKey
    }

    /// Sums up `aggregate`, the merge of all windows of the span, and the feedback of the same span.
    package init(route: String, modelKey: String, aggregate: WindowAggregate, quality: Moments) {
        self.init(route: route, modelKey: modelKey)
        requests = aggregate.requests
        failures = aggregate.failures
        cost = aggregate.cost
        unknownCost = aggregate.unknownCost
        self.quality = quality
        setTimes(latency: aggregate.latency, ttft: aggregate.ttft)
    }

    /// Takes the quantiles and their intervals from the sketches of the whole span, milliseconds.
    package mutating func setTimes(latency: DDSketch, ttft: DDSketch) {
        latencyP50Ms = latency.quantile(0.5)
        latencyP95Interval = latency.interval(ofQuantile: 0.95)
        latencyP95Ms = latencyP95Interval?.estimate
        ttftP95Interval = ttft.interval(ofQuantile: 0.95)
        ttftP95Ms = ttftP95Interval?.estimate
    }

    enum CodingKeys: String, CodingKey {
        case route, requests, failures, cost, quality
        case modelKey = "model_key"
        case unknownCost = "unknown_cost"
        case latencyP50Ms = "latency_p50_ms"
        case latencyP95Ms = "latency_p95_ms"
        case ttftP95Ms = "ttft_p95_ms"
        case latencyP95Interval = "latency_p95_interval"
        case ttftP95Interval = "ttft_p95_interval"
    }
}

extension DDSketch {
    /// The quantile `q` with its 95 % interval: the number of values below it is binomial, whatever they look like.
    package func interval(ofQuantile q: Double) -> Interval? {
        let error = normalQuantile(0.975) * (q * (1 - q) / Double(max(1, count))).squareRoot()
        guard let estimate = quantile(q), let lower = quantile(max(0, q - error)),
            let upper = quantile(min(1, q + error))
        else { return nil }
        return Interval(estimate: estimate, lower: lower, upper: upper)
    }
}

extension Moments {
    /// The mean with its 95 % interval; `nil` below two values.
    package var meanInterval: Interval? {
        guard let mean, let standardError else { return nil }
        let half = normalQuantile(0.975) * standardError
        return Interval(estimate: mean, lower: mean - half, upper: mean + half)
    }
}

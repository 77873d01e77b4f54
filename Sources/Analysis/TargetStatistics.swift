package import Statistics

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

    package init(route: String, modelKey: String) {
        self.route = route
        self.modelKey = modelKey
    }

    enum CodingKeys: String, CodingKey {
        case route, requests, failures, cost, quality
        case modelKey = "model_key"
        case unknownCost = "unknown_cost"
        case latencyP50Ms = "latency_p50_ms"
        case latencyP95Ms = "latency_p95_ms"
        case ttftP95Ms = "ttft_p95_ms"
    }
}

package import Analysis
import Core
package import Policy
import Statistics

/// What is known of a route's traffic, and so what its rehearsal is made of. What is not known is made up, but for
/// quality and cost: without them a rehearsal must not pretend that they can be seen.
package struct RehearsalTraffic: Sendable, Equatable {
    /// Requests a second; `nil` without recent traffic.
    package var ratePerS: Double?
    /// 0...1, as users meet it: after retries and fallbacks.
    package var failureRate = 0.001
    package var latency = SimulatedModel.Latency(medianMs: 500)
    /// Nano-dollars a request: the mean, and the standard deviation of the logarithm; `nil` where no price is known.
    package var cost: Cost?
    /// Of answers with feedback; `nil` where there is none.
    package var quality: SimulatedModel.Quality?
    /// Share of answers that get feedback, 0...1.
    package var feedbackShare = 0.0
    /// Where it comes from, in words.
    package var source: String

    package struct Cost: Sendable, Equatable {
        package var mean: Double
        package var sigma: Double
    }

    /// Made up altogether: what a route without traffic is rehearsed on.
    package init() { source = "made up: the route has had no traffic yet" }

    /// As measured.
    ///
    /// - Parameters:
    ///   - statistics: of the route's models over some span.
    ///   - policy: the stable one, whose models count.
    ///   - ratePerS: the route's requests a second of late, if there are any.
    package init(_ statistics: [TargetStatistics], serving policy: RoutingPolicy, ratePerS: Double?) {
        let models = Set(policy.targets.map(\.modelKey))
        let measured = statistics.filter { models.contains($0.modelKey) && $0.requests > 0 }
        let main = measured.max { $0.requests < $1.requests }
        self.init()
        guard let main else { return }
        let requests = measured.reduce(0) { $0 + $1.requests }
        let failures = measured.reduce(0) { $0 + $1.failures }
        self.ratePerS = ratePerS
        // One failure more in either direction: a span without any does not prove that there are none.
        failureRate = min(0.5, Double(failures + 1) / Double(requests + 1_000))
        if let median = main.latencyP50Ms, let p95 = main.latencyP95Ms, median > 0, p95 > 0 {
            let sigma = min(2, max(0.05, logarithm(max(1, p95 / median)) / 1.645))
            let share = main.ttftP95Ms.map { min(0.9, max(0.02, $0 / p95)) } ?? latency.ttftShare
            latency = .init(medianMs: median, sigma: sigma, ttftShare: share)
        }
        cost = Self.cost(measured.reduce(into: Moments()) { $0.merge($1.cost) })
        let judged = measured.reduce(into: Moments()) { $0.merge($1.quality) }
        if let mean = judged.mean {
            quality = .init(mean: mean, spread: max(0, judged.variance ?? 0).squareRoot())
            feedbackShare = min(1, Double(judged.n) / Double(max(1, requests - failures)))
        }
        source = "as measured over \(requests) requests"
    }

    private static func cost(_ moments: Moments) -> Cost? {
        guard let mean = moments.mean, mean > 0 else { return nil }
        return Cost(mean: mean, sigma: min(2, moments.logNormal?.sigma ?? 0))
    }

    /// As a scenario will have it.
    package init(_ model: SimulatedModel, _ shape: TrafficShape) {
        self.init()
        ratePerS = shape.ratePerS
        failureRate = model.errorRate
        latency = model.latency
        cost = model.price.map { price in
            let mean = price.cost(input: Int(shape.inputTokens), output: Int(model.outputTokens))
            return Cost(mean: Double(mean.value), sigma: 0.4)
        }
        quality = shape.feedbackShare > 0 ? model.quality : nil
        feedbackShare = shape.feedbackShare
        source = "as the scenario has it"
    }
}

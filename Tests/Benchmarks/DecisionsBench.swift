import Analysis
import Core
import Decisions
import Foundation
import Policy
import Statistics

/// How long the decision engine thinks about a route that could move to any of two hundred models.
enum DecisionsBench: Benchmark {
    static let name = "decisions"
    private static let candidates = 200
    private static let calls = 500

    static func run() async throws -> [Figure] {
        guard let route = RouteName("bench") else { return [] }
        let input = input(route)
        let clock = ContinuousClock()
        var times: [Double] = []
        for call in 0..<calls + 20 {
            let began = clock.now
            let outcome = decide(input)
            // The first calls warm up.
            if call >= 20 { times.append((clock.now - began) / .milliseconds(1)) }
            guard outcome.alternatives.count == candidates + 1 else {
                throw TrimtabError(
                    "bench.decisions", "\(outcome.alternatives.count) models judged, not \(candidates + 1).",
                    remedy: "This is a defect.")
            }
        }
        print("\(calls) decisions among \(candidates) candidates: median \(times.percentile(0.5)) ms")
        return [Figure(name: "decision.p99", value: times.percentile(0.99), unit: "ms")]
    }

    /// Models of every price and quality, each with 2,000 answers.
    private static func input(_ name: RouteName) -> DecisionInput {
        var random = SplitMix64(seed: 11)
        let targets = (0...candidates).map { Target(provider: "bench", model: "model-\($0)") }
        var route = Route(name: name)
        route.allowed = ["*"]
        let policy = RoutingPolicy(
            route: name, version: 1, createdAt: 0, createdBy: "bench", reason: "first", targets: [targets[0]])
        let statistics = targets.map { measured($0, route: name, &random) }
        return DecisionInput(
            now: 1_763_650_020_000, route: route, stable: policy, baseline: policy, catalog: targets,
            prices: PriceBook(), statistics: statistics.sorted { $0.modelKey < $1.modelKey }, history: [],
            settings: DecisionSettings(), seed: 1)
    }

    private static func measured(
        _ target: Target, route: RouteName, _ random: inout SplitMix64
    ) -> TargetStatistics {
        var statistics = TargetStatistics(route: route.description, modelKey: target.modelKey)
        statistics.requests = 2_000
        statistics.failures = Int64(random.unit() * 20)
        let (skill, price, pace) = (0.7 + random.unit() * 0.25, exp(random.normal()), 1 + random.unit() * 3)
        var latency = DDSketch()
        for _ in 0..<2_000 {
            statistics.quality.add(random.unit() < skill ? 1 : 0)
            statistics.cost.add((1_000_000 * price * (0.5 + random.unit())).rounded())
            latency.insert(400 * pace * exp(random.normal() * 0.4))
        }
        statistics.setTimes(latency: latency, ttft: latency)
        return statistics
    }
}

import Analysis
import Core
import Decisions
import Policy
import Statistics

/// What the statistics of one model shall say.
struct Model {
    var key: String
    var quality: Double
    /// US dollars per 1,000 requests; `nil` is not known.
    var cost: Double?
    var answers = 400
    var latency = 300.0
    var failureRate = 0.0
    var graded = false

    static let provider = "sim"
    var target: Target { Target(provider: Self.provider, model: key) }

    /// Statistics with exactly these means, or drawn from `random` around them.
    func statistics(_ random: inout SplitMix64, exact: Bool) -> TargetStatistics {
        var result = TargetStatistics(route: "chat", modelKey: target.modelKey)
        result.requests = Int64(answers * 2)
        result.failures = Int64(Double(answers * 2) * failureRate)
        for index in 0..<answers {
            let right = exact ? Double(index) < (quality * Double(answers)).rounded() : random.unit() < quality
            result.quality.add(graded ? quality + (exact ? 0 : 0.1 * random.normal()) : right ? 1 : 0)
        }
        if let cost {
            for index in 0..<(answers * 2) {
                let draw = exact ? Double(index % 2) : random.unit()
                result.cost.add((cost * 1e6 * (0.5 + draw)).rounded())
            }
        } else {
            result.unknownCost = result.requests
        }
        result.latencyP50Ms = latency / 2
        result.latencyP95Ms = latency
        return result
    }
}

/// A decision about a route that is served by the first of `models`, over which the others may be chosen.
struct Fixture {
    var models: [Model]
    var baseline: String?
    var tolerance: Double?
    var history: [RolloutHistory] = []
    var now: Int64 = 1_000_000_000
    var seed: UInt64?
    var adjust: (inout DecisionInput) -> Void = { _ in }

    static let route: RouteName? = RouteName("chat")

    func input() throws -> DecisionInput {
        guard let name = Self.route else { throw TrimtabError("test.route", "No route.", remedy: "Name it.") }
        var random = SplitMix64(seed: seed ?? 0)
        func policy(_ model: Model, _ version: Int) -> RoutingPolicy {
            RoutingPolicy(
                route: name, version: version, createdAt: 0, createdBy: "test", reason: "test", targets: [model.target])
        }
        var route = Route(name: name)
        route.objective.quality.tolerance = tolerance
        let pinned = models.first { $0.key == baseline }
        var input = DecisionInput(
            now: now, route: route, stable: policy(models[0], 2), baseline: pinned.map { policy($0, 1) },
            catalog: models.map(\.target),
            prices: PriceBook(
                id: "test#1",
                prices: Dictionary(
                    uniqueKeysWithValues: models.filter { $0.cost != nil }.map {
                        ($0.target.modelKey, TokenPrice(input: 1, output: 1))
                    })),
            statistics: models.filter { $0.answers > 0 }.map { $0.statistics(&random, exact: seed == nil) },
            history: history, settings: DecisionSettings(), seed: 1)
        adjust(&input)
        return input
    }

    func outcome() throws -> DecisionOutcome { decide(try input()) }
}

extension DecisionOutcome {
    /// The model changed to, without its provider.
    var chosen: String? {
        if case .change(let candidate) = action { String(candidate.modelKey.dropFirst(4)) } else { nil }
    }

    func verdict(_ model: String) -> Alternative.Verdict? {
        alternatives.first { $0.candidate.modelKey == "sim/\(model)" }?.verdict
    }
}

/// A rollout of `from` to `to` that ended `agoMs` before the fixture's time.
func past(
    _ from: String, _ to: String, agoMs: Int64, lengthMs: Int64 = 60_000, promoted: Bool = false,
    byDecision: Bool = true
) -> RolloutHistory {
    let now: Int64 = 1_000_000_000
    return RolloutHistory(
        rollout: UUIDv7(high: UInt64(agoMs), low: 0), fromModel: "sim/\(from)", toModel: "sim/\(to)",
        startedAt: now - agoMs - lengthMs, endedAt: now - agoMs, promoted: promoted, rolledBack: !promoted,
        byDecision: byDecision)
}

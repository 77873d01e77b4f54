import Analysis
import ControlLoop
import Core
import Decisions
import Foundation
import Policy
import PostgresClient
import Rollouts
import StateStore
import Statistics
import StreamProcessing
import Telemetry
import TestSupport

/// A fresh database with the whole schema.
func database() async throws -> PostgresPool {
    let pool = PostgresPool(PostgresConfiguration(url: try await TestPostgres.database()))
    try await Migrator(pool).migrate()
    return pool
}

/// Makes ids that rise with every call.
struct IDs {
    private var generator = SplitMix64(seed: 7)
    private var at: Int64 = 1_763_650_000_000

    mutating func next() -> UUIDv7 {
        at += 1
        return UUIDv7(milliseconds: at, using: &generator)
    }
}

enum Sample {
    static let now: Int64 = 1_763_650_000_000
    static func route(_ name: String = "support") throws -> Route { Route(name: try name.routeName) }

    static func policy(_ model: String = "gpt-4o", route: String = "support") throws -> RoutingPolicy {
        RoutingPolicy(
            route: try route.routeName, version: 0, createdAt: now, createdBy: "ann", reason: "first",
            targets: [Target(provider: "openai", model: model)])
    }

    static func rollout(_ id: UUIDv7, decision: UUIDv7? = nil) throws -> Rollout {
        Rollout(
            id: id, route: try "support".routeName, stable: 1, candidate: 2, salt: .max, createdAt: now,
            createdBy: "ann", decision: decision, reason: "cheaper", plan: RolloutPlan(),
            evidence: RolloutEvidence(
                thresholds: FrozenThresholds(
                    slowMs: 812.5, dearNanoUSD: nil, badBelow: 0.5, badAnswerRate: 0.1, answers: 40),
                guardrails: Route.Guardrails()))
    }

    static func decision(_ id: UUIDv7, status: Decision.Status) throws -> Decision {
        let input = DecisionInput(
            now: now, route: try route(), stable: try policy(), baseline: nil, catalog: [], prices: PriceBook(),
            statistics: [], history: [], settings: DecisionSettings(), seed: .max)
        let outcome = DecisionOutcome(action: .none, code: "no_evidence", rationale: "Nothing known.", alternatives: [])
        return Decision(
            id: id, route: try "support".routeName, at: now, engine: "1 x86_64", status: status, input: input,
            outcome: outcome)
    }

    static func rehearsal(_ id: UUIDv7, at: Int64, passed: Bool, route name: String = "support") throws
        -> RehearsalReport
    {
        let route = try route(name)
        let scores = RehearsalFault.allCases.map { fault in
            var score = RehearsalScore(fault: fault, outcome: fault == .none ? .unharmed : passed ? .caught : .missed)
            (score.requests, score.milliseconds, score.endedBy) = (5_000, 50_000, "guardrail errors")
            return score
        }
        return RehearsalReport(
            id: id, route: route.name, at: at, engine: "1 x86_64", seed: .max, stable: 1, candidate: nil,
            terms: RehearsalTerms(route), traffic: "made up", scores: scores)
    }

    static func finding(_ id: UUIDv7, code: String = "cost.rise", model: String? = "openai/gpt-4o") -> Finding {
        Finding(
            Observation(
                .cost, code, model.map { .model($0) } ?? .route, "Dearer.", severity: .warning, confidence: 0.97,
                magnitude: Interval(estimate: 0.2, lower: 0.1, upper: 0.3),
                window: Window(start: now - 60_000, end: now), evidence: ["ratio": 1.2], objective: .cost), id: id,
            route: "support", at: now)
    }

    static func key(model: String = "openai/gpt-4o", arm: Arm = .stable) -> WindowKey {
        WindowKey(route: "support", modelKey: model, arm: arm, policy: 1)
    }

    static func aggregate(latencies: [Double], costs: [Double] = [], failures: Int64 = 0) -> WindowAggregate {
        var aggregate = WindowAggregate()
        aggregate.requests = Int64(latencies.count) + failures
        aggregate.failures = failures
        for cost in costs { aggregate.cost.add(cost) }
        for latency in latencies { aggregate.latency.insert(latency) }
        return aggregate
    }

    static func window(_ index: Int64) -> Window {
        Window(start: now - now % 60_000 + index * 60_000, end: now - now % 60_000 + (index + 1) * 60_000)
    }

    static func requests(_ count: Int, at: Int64 = now) -> [RequestRow] {
        var ids = IDs()
        return (0..<count).map { index in
            let cost: NanoUSD? = index % 3 == 0 ? nil : NanoUSD(Int64(index))
            let virtualKey: String? = index % 2 == 0 ? "team\tone" : nil
            return RequestRow(
                id: ids.next(), at: at + Int64(index), key: key(), virtualKey: virtualKey, rollout: nil, step: nil,
                candidateWeight: nil, propensity: 0.5, outcome: .complete, cost: cost, totalMs: Double(index) / 3)
        }
    }
}

extension String {
    var routeName: RouteName {
        get throws {
            guard let name = RouteName(self) else { throw TrimtabError("test", "'\(self)' is no route.", remedy: "") }
            return name
        }
    }
}

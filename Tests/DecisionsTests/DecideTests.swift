import Analysis
import Core
import Decisions
import Foundation
import Policy
import Statistics
import Testing

struct DecideTests {
    static let strong = Model(key: "strong", quality: 0.958, cost: 1.65, answers: 882)
    static let cheap = Model(key: "cheap", quality: 0.932, cost: 0.10, answers: 882)

    @Test(
        "The cheaper model is taken inside the tolerance and refused outside it",
        arguments: [
            (0.02, nil), (0.05, "cheap"),
        ] as [(Double, String?)])
    func tolerance(tolerance: Double, expected: String?) throws {
        let outcome = try Fixture(models: [Self.strong, Self.cheap], tolerance: tolerance).outcome()
        #expect(outcome.chosen == expected)
        #expect(outcome.code == (expected == nil ? "no_better" : "better"))
        #expect(outcome.verdict("cheap") == (expected == nil ? .inferior : .chosen))
    }

    @Test("A dearer and worse incumbent is left")
    func dearerIsWorse() throws {
        let outcome = try Fixture(
            models: [Model(key: "old", quality: 0.54, cost: 0.17), Model(key: "new", quality: 0.69, cost: 0.05)]
        ).outcome()
        #expect(outcome.chosen == "new")
        #expect(outcome.rationale.contains("sim/new"))
    }

    @Test("Better quality at the same price is taken, at a higher price it is not")
    func betterQuality() throws {
        let models = [Model(key: "a", quality: 0.70, cost: 1), Model(key: "b", quality: 0.82, cost: 0.99)]
        #expect(try Fixture(models: models).outcome().chosen == "b")
        var dear = models
        dear[1].cost = 1.4
        let refused = try Fixture(models: dear).outcome()
        #expect(refused.chosen == nil && refused.verdict("b") == .notBetter)
        let unsought = try Fixture(models: dear, adjust: { $0.route.objective.cost.minimize = false }).outcome()
        #expect(unsought.chosen == "b")
    }

    @Test("Quality is measured against the pinned baseline, not against a drifting incumbent")
    func pinnedBaseline() throws {
        let models = [
            Model(key: "now", quality: 0.89, cost: 1, answers: 4_000),
            Model(key: "pinned", quality: 0.90, cost: 2, answers: 4_000),
            Model(key: "next", quality: 0.88, cost: 0.5, answers: 4_000),
        ]
        // Within the tolerance of the incumbent, but not of the baseline.
        #expect(
            try Fixture(models: models, baseline: "pinned", tolerance: 0.015).outcome().verdict("next") == .inferior)
        #expect(try Fixture(models: models, baseline: nil, tolerance: 0.025).outcome().chosen == "next")
        #expect(try Fixture(models: models, baseline: "pinned", tolerance: 0.05).outcome().chosen == "next")
    }

    @Test("An incumbent that fell below the baseline is left, even for a dearer model")
    func incumbentFault() throws {
        let models = [
            Model(key: "fallen", quality: 0.60, cost: 1), Model(key: "pinned", quality: 0.90, cost: 2),
        ]
        let outcome = try Fixture(models: models, baseline: "pinned").outcome()
        #expect(outcome.chosen == "pinned")
        #expect(outcome.rationale.contains("cannot stay"))
    }

    @Test("Hard limits come first: floor, latency, failures")
    func hardLimits() throws {
        var slow = Self.cheap
        slow.latency = 900
        let limited = Fixture(
            models: [Self.strong, slow], tolerance: 0.05, adjust: { $0.route.objective.latency.p95Ms = 500 })
        #expect(try limited.outcome().verdict("cheap") == .infeasible)
        let floored = Fixture(models: [Self.strong, Self.cheap], adjust: { $0.route.objective.quality.floor = 0.93 })
        #expect(try floored.outcome().verdict("cheap") == .infeasible)
        let passed = Fixture(models: [Self.strong, Self.cheap], adjust: { $0.route.objective.quality.floor = 0.9 })
        #expect(try passed.outcome().chosen == "cheap")
        var failing = Self.cheap
        failing.failureRate = 0.08
        #expect(try Fixture(models: [Self.strong, failing], tolerance: 0.05).outcome().verdict("cheap") == .infeasible)
    }

    @Test("What is not known is never chosen, and the remedy is named")
    func unknown() throws {
        var unpriced = Self.cheap
        unpriced.cost = nil
        let priceless = try Fixture(models: [Self.strong, unpriced], tolerance: 0.05).outcome()
        #expect(priceless.verdict("cheap") == .unknownPrice && priceless.code == "unknown_price")
        #expect(priceless.rationale.contains("prices"))
        var unheard = Self.cheap
        unheard.answers = 0
        let silent = try Fixture(models: [Self.strong, unheard], tolerance: 0.05).outcome()
        #expect(silent.verdict("cheap") == .noEvidence && silent.code == "no_evidence")
        #expect(silent.rationale.contains("exploration.share") && silent.rationale.contains("/v1/feedback"))
        var rare = Self.cheap
        rare.answers = 49
        #expect(try Fixture(models: [Self.strong, rare], tolerance: 0.5).outcome().verdict("cheap") == .noEvidence)
        var blind = Self.strong
        blind.answers = 0
        #expect(try Fixture(models: [blind, Self.cheap], tolerance: 0.5).outcome().code == "no_evidence")
        #expect(try Fixture(models: [Self.strong]).outcome().code == "no_better")
    }

    @Test("Among several good ones the cheapest wins, and equal prices go by latency, then quality")
    func ranking() throws {
        var models = [
            Self.strong, Model(key: "b", quality: 0.95, cost: 0.5), Model(key: "c", quality: 0.95, cost: 0.2),
            Model(key: "d", quality: 0.95, cost: 0.2, latency: 100),
            Model(key: "e", quality: 0.97, cost: 0.2, latency: 101),
        ]
        let outcome = try Fixture(models: models, tolerance: 0.1).outcome()
        #expect(outcome.chosen == "e")
        #expect(outcome.verdict("b") == .worseRank && outcome.verdict("d") == .worseRank)
        models[4].latency = 200
        #expect(try Fixture(models: models, tolerance: 0.1).outcome().chosen == "d")
    }

    @Test("The change is one valid edit, and a fallback that is promoted leaves its place to the incumbent")
    func edits() throws {
        let input = try Fixture(
            models: [Self.strong, Self.cheap], tolerance: 0.05,
            adjust: { input in
                input.stable.targets = [Self.strong.target, Self.cheap.target]
                input.stable.fallbacks = ["sim/cheap"]
            }
        ).input()
        guard case .change(let candidate) = decide(input).action else {
            Issue.record("No change was decided.")
            return
        }
        let next = input.stable.applying(candidate.edits, createdAt: 1, createdBy: "test", reason: "test")
        #expect(next.targets.map(\.id) == ["sim/cheap", "sim/strong"])
        #expect(next.fallbacks == ["sim/strong"])
        #expect(next.violations(provider: { $0 == "sim" }).isEmpty)
    }

    @Test("The same input gives the same decision, through JSON too, and a replay finds what was altered")
    func replaying() throws {
        let input = try Fixture(models: [Self.strong, Self.cheap], tolerance: 0.05, seed: 3).input()
        var decision = Decision(
            id: UUIDv7(high: 1, low: 1), route: input.route.name, at: 1, engine: DecisionEngine.name, status: .proposed,
            input: input, outcome: decide(input))
        let stored = try JSONDecoder().decode(Decision.self, from: JSONEncoder().encode(decision))
        #expect(replay(stored).matches && replay(stored).sameEngine)
        decision.outcome.code = "no_better"
        decision.engine = "0 abacus"
        let altered = replay(decision)
        #expect(!altered.sameEngine && altered.differences == ["code: no_better is now better"])
    }

    @Test("A rationale has two to five sentences with the numbers")
    func rationale() throws {
        let taken = try Fixture(models: [Self.strong, Self.cheap], tolerance: 0.05).outcome().rationale
        let refused = try Fixture(models: [Self.strong, Self.cheap], tolerance: 0.02).outcome().rationale
        for text in [taken, refused] {
            let sentences = text.components(separatedBy: ". ").count
            #expect((2...5).contains(sentences), "\(text)")
            #expect(text.contains("0.93"))
        }
        #expect(taken.contains("1.65") && taken.contains("0.1000"))
    }

    @Test("Two hundred candidates are all judged, and the best is found")
    func many() throws {
        let others = (0..<200).map { Model(key: "m\($0)", quality: 0.95, cost: 1 + Double($0) / 100) }
        let outcome = try Fixture(models: [Model(key: "now", quality: 0.95, cost: 5)] + others, tolerance: 0.1)
            .outcome()
        #expect(outcome.alternatives.count == 201)
        #expect(outcome.chosen == "m0")
    }
}

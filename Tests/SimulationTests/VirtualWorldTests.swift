import Analysis
import ControlLoop
import Core
import Foundation
import Policy
import Rollouts
import Simulation
import Statistics
import StreamProcessing
import Synchronization
import Testing

/// The loop closes on a virtual clock, and keeps its promises whatever the seed.
struct VirtualWorldTests {
    private func settings(_ seed: UInt64, rollout model: String, goal: RolloutPlan.Goal) throws -> VirtualSettings {
        var control = ControlSettings(engine: "test")
        (control.plan.minStepMs, control.plan.minStepRequests, control.plan.objectiveCycleMs) = (8_000, 50, 0)
        var route = Route(name: try #require(RouteName("support-chat")))
        route.allowed = ["sim/*"]
        route.autonomy = .observe
        var settings = VirtualSettings(
            route: route, start: "sim/strong-large", models: ModelCatalog.builtIn, control: control, seed: seed)
        settings.stream.windowMs = 5_000
        settings.traffic.requestsPerSession = 2
        settings.events = [
            try JSONDecoder().decode(
                ScenarioEvent.self,
                from: Data(
                    #"{"at_s":30,"rollout":{"model":"\#(model)","goal":"\#(goal.rawValue)","reason":"test"}}"#.utf8))
        ]
        return settings
    }

    @Test func aBadUpgradeIsRolledBackAndACheaperModelPromoted() async throws {
        var bad = try await VirtualWorld(try settings(1, rollout: "sim/broken-upgrade", goal: .cheaper))
        let harm = try await bad.run(milliseconds: 600_000)
        let ended = try #require(await bad.store.rollouts(PageQuery()).first)
        #expect(ended.phase.name == "rolled_back")
        #expect(await bad.store.state(of: ended.route)?.pointer.stable == 1)
        #expect((harm.served[.init(policy: 2, arm: "candidate", modelKey: "sim/broken-upgrade")]?.requests ?? 0) < 200)

        var good = try await VirtualWorld(try settings(1, rollout: "sim/strong-small", goal: .cheaper))
        let before = try await good.run(milliseconds: 30_000)
        _ = try await good.run(milliseconds: 3_000_000)
        let after = try await good.run(milliseconds: 30_000)
        let promoted = try #require(await good.store.rollouts(PageQuery()).first)
        #expect(promoted.phase == .promoted)
        #expect((after.total.costPer1000 ?? 9) < 0.2 * (before.total.costPer1000 ?? 0))
        #expect((after.total.quality.mean ?? 0) > (before.total.quality.mean ?? 1) - 0.02)
    }

    @Test(arguments: [3, 4, 5, 6] as [UInt64], ["sim/strong-small", "sim/cheap-mini", "sim-b/flaky-fast"])
    func promisesHoldAtEveryLook(_ seed: UInt64, _ model: String) async throws {
        var world = try await VirtualWorld(try settings(seed, rollout: model, goal: .cheaper))
        let seen = Mutex<[RouteState]>([])
        _ = try await world.run(milliseconds: 900_000) { _, state in seen.withLock { $0.append(state) } }
        let states = seen.withLock { $0 }
        let rollouts = await world.store.rollouts(PageQuery(limit: 500))
        for (before, after) in zip(states, states.dropFirst()) {
            #expect((0...1).contains(after.pointer.weight))
            #expect(after.pointer.candidate != nil || after.pointer.weight == 0)
            #expect(after.pointer.epoch >= before.pointer.epoch)
            if after.pointer.stable != before.pointer.stable {
                let why = try #require(rollouts.first { $0.candidate == after.pointer.stable })
                #expect(why.phase == .promoted)
                // No promotion without samples: every step had its requests.
                for step in why.evidence.steps {
                    #expect(step.candidate.requests >= why.plan.minStepRequests)
                }
            } else if before.rollout != nil, after.rollout == nil {
                // A rollback restores the table as it was: stable alone.
                #expect(after.pointer.candidate == nil && after.pointer.weight == 0)
            }
        }
        #expect(rollouts.filter { !$0.isActive }.allSatisfy { $0.endedAt != nil })
    }

    @Test func oneSeedIsOneHistory() async throws {
        func history(_ seed: UInt64) async throws -> (VirtualReport, [Rollout]) {
            var world = try await VirtualWorld(try settings(seed, rollout: "sim/strong-small", goal: .cheaper))
            let report = try await world.run(milliseconds: 120_000)
            return (report, await world.store.rollouts(PageQuery()))
        }
        let (first, again, other) = (try await history(8), try await history(8), try await history(9))
        #expect(first.0 == again.0 && first.1 == again.1)
        #expect(first.0 != other.0)
    }

    @Test func fallbacksCarryAnOutage() async throws {
        var settings = try settings(2, rollout: "sim/strong-small", goal: .cheaper)
        settings.firstPolicy = .simulated(
            route: settings.route.name, model: "sim/strong-large", fallbacks: ["sim-b/strong-large"])
        settings.events = [
            try JSONDecoder().decode(
                ScenarioEvent.self,
                from: Data(#"{"at_s":10,"change":{"model":"sim/strong-large","to":{"outage":"error"}}}"#.utf8))
        ]
        var world = try await VirtualWorld(settings)
        _ = try await world.run(milliseconds: 20_000)
        let away = try await world.run(milliseconds: 20_000)
        #expect(away.total.failures < away.total.requests / 100)
        #expect(away.served.keys.allSatisfy { $0.modelKey == "sim-b/strong-large" })
    }

    @Test func everyRequestIsCountedInItsWindow() async throws {
        var settings = try settings(7, rollout: "sim/strong-small", goal: .cheaper)
        settings.partitions = 3
        settings.arrivals = .recorded((0..<3_000).map { Arrival(atS: Double($0) / 100) }, repeats: false)
        var world = try await VirtualWorld(settings)
        let report = try await world.run(milliseconds: 120_000)
        let windows = await world.store.windows(
            WindowQuery(route: settings.route.name, range: 0..<(settings.startMs * 2)))
        #expect(report.total.requests == 3_000)
        #expect(windows.reduce(0) { $0 + $1.aggregate.requests } == 3_000)
    }
}

/// How often a harmless change is stopped, and how soon a harmful one.
struct RolloutTrialTests {
    private func trial(_ control: SimulatedModel, _ candidate: SimulatedModel) throws -> RolloutTrial {
        var trial = RolloutTrial(
            route: Route(name: try #require(RouteName("trial"))), control: control, candidate: candidate)
        trial.plan.steps = [0.05, 0.25, 0.5, 1]
        trial.plan.minStepMs = 0
        trial.plan.objectiveCycleMs = .max
        return trial
    }

    @Test func harmlessChangesPassAndHarmfulOnesEnd() throws {
        let model = plainModel("a", quality: 0.8, ms: 100)
        let twin = try trial(model, plainModel("b", quality: 0.8, ms: 100))
        #expect(try (1...5).filter { try !twin.run(limit: 10_000, seed: $0).phase.isActive }.isEmpty)
        let bad = try trial(model, plainModel("b", quality: 0.3, ms: 100))
        for seed in 1...10 as ClosedRange<UInt64> {
            let result = try bad.run(limit: 10_000, seed: seed)
            #expect(result.phase == .ended(.guardrail(.badAnswers)))
            #expect(result.candidateAnswers <= 20)
        }
        let broken = try trial(model, plainModel("b", errors: 1))
        #expect(try broken.run(limit: 10_000, seed: 1).candidateRequests <= 3)
        #expect(try bad.run(limit: 10_000, seed: 3) == bad.run(limit: 10_000, seed: 3))
    }

    @Test(.enabled(if: testData != nil, "needs the recorded data (TRIMTAB_TEST_DATA)"))
    func theRecordedRegressionIsStoppedAfterAHandfulOfAnswers() throws {
        let folder = try #require(testData).appendingPathComponent("outcomes")
        let set = try OutcomeSet(path: folder.appendingPathComponent("bfcl_2024_08.csv.gz").path)
        let names = ["gpt-4o-2024-05-13", "gpt-4o-2024-08-06"]
        let models = try set.simulatedModels(names, prices: [:])
        var trial = try trial(models[0], models[1])
        trial.outcomes = set
        trial.prompts = .recorded(set.prompts(answeredBy: names))
        trial.plan.steps = [0.05, 1]
        trial.route.guardrails = .init(only: [.badAnswers: 1])
        let answers = try (1...50).map { try trial.run(limit: 10_000, seed: $0).candidateAnswers }.sorted()
        #expect(answers[25] <= 12, "answers until the end, sorted: \(answers)")
    }
}

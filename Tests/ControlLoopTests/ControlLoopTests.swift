import Analysis
import ControlLoop
import Core
import Decisions
import Policy
import Rollouts
import Statistics
import StreamProcessing
import Telemetry
import TestSupport
import Testing

/// A route `chat` on `sim/strong`, with policy 2 on `sim/cheap`, in a store in memory.
struct World {
    let store = InMemoryControlStore()
    let route: RouteName
    var driver: LoopDriver

    init(autonomy: Route.Autonomy = .auto, requireRehearsal: Bool = false) async throws {
        route = try #require(RouteName("chat"))
        var settings = ControlSettings(engine: "test")
        settings.requireRehearsal = requireRehearsal
        settings.plan.steps = [0.05, 0.5, 1]
        settings.plan.minStepMs = 1_000
        settings.plan.minStepRequests = 50
        settings.plan.objectiveCycleMs = 0
        settings.plan.watchMs = 2_000
        settings.decisions.cooldownMs = 60_000
        settings.catalog = [Target(provider: "sim", model: "strong"), Target(provider: "sim", model: "cheap")]
        driver = LoopDriver(
            loop: ControlLoop(settings: settings), store: store, decisionIntervalMs: 1_000)
        var document = Route(name: route)
        document.autonomy = autonomy
        document.allowed = ["sim/*"]
        document.guardrails = .init(only: [.errors: 0.5, .badAnswers: 0.5])
        try await store.apply(document, firstPolicy: policy("strong"), by: "ann", now: 0)
        _ = try await store.create(policy("cheap"), now: 0)
        _ = await store.setPrices(
            [
                "sim/strong": TokenPrice(input: 10_000_000_000, output: 10_000_000_000),
                "sim/cheap": TokenPrice(input: 1_000_000_000, output: 1_000_000_000),
            ],
            by: "ann", now: 0)
    }

    func policy(_ model: String) -> RoutingPolicy {
        RoutingPolicy(
            route: route, version: 1, createdAt: 0, createdBy: "ann", reason: "",
            targets: [Target(provider: "sim", model: model)])
    }

    func state() async throws -> RouteState { try #require(await store.state(of: route)) }

    func start(goal: RolloutPlan.Goal = .neutral, at now: Int64 = 10_000) async throws -> UUIDv7 {
        let result = try await driver.handle(
            .startRollout(RolloutRequest(policy: 2, goal: goal, reason: "try")), route: route, by: "ann", now: now,
            seed: 1)
        return try #require(result.rollout)
    }

    /// Puts one pane of each arm into the store.
    func evidence(
        _ rollout: UUIDv7, step: Int, number: Int64, control: Int64, candidate: Int64, failures: Int64 = 0,
        quality: Double = 0.9
    ) async {
        let weight = [0.05, 0.5, 0.95][step]
        func pane(_ arm: Arm, _ requests: Int64, _ failed: Int64) -> EvidencePane {
            let answers = (0..<requests).map { quality + Double($0 % 3) * 0.01 }
            return EvidencePane(
                key: EvidenceKey(rollout: rollout, step: step, arm: arm), partition: 0, number: number,
                candidateWeight: weight, trials: .requests(requests, failures: failed, quality: answers))
        }
        await store.add(
            results: [], feedback: [], panes: [pane(.stable, control, 0), pane(.candidate, candidate, failures)])
    }
}

@Suite struct LoopTests {
    @Test func aHealthyRolloutIsPromotedStepByStep() async throws {
        var world = try await World()
        let id = try await world.start()
        #expect(try await world.state().pointer.weight == 0.05)
        await world.evidence(id, step: 0, number: 1, control: 950, candidate: 50)
        try await world.driver.tick(now: 11_500, seed: 1)
        #expect(try await world.state().pointer.weight == 0.5)
        await world.evidence(id, step: 1, number: 2, control: 1_000, candidate: 1_000)
        try await world.driver.tick(now: 13_000, seed: 2)
        #expect(try await world.state().pointer.weight == 0.95)
        #expect(try await world.state().pointer.stable == 1)
        await world.evidence(id, step: 2, number: 3, control: 50, candidate: 950)
        try await world.driver.tick(now: 14_900, seed: 3)
        #expect(try await world.state().pointer.stable == 1)
        try await world.driver.tick(now: 15_000, seed: 4)
        let state = try await world.state()
        #expect(state.pointer.stable == 2)
        #expect(state.pointer.candidate == nil)
        #expect(state.pointer.weight == 0)
        #expect(await world.store.rollout(id)?.phase == .promoted)
    }

    @Test func aBadRolloutIsRolledBackAndStaysSo() async throws {
        var world = try await World()
        let before = try await world.state().pointer
        let id = try await world.start()
        await world.evidence(id, step: 0, number: 1, control: 950, candidate: 50, failures: 40)
        try await world.driver.tick(now: 10_500, seed: 1)
        var after = try await world.state().pointer
        #expect(after.epoch > before.epoch)
        after.epoch = before.epoch
        #expect(after == before)
        await world.evidence(id, step: 0, number: 2, control: 950, candidate: 950)
        try await world.driver.tick(now: 60_000, seed: 2)
        #expect(await world.store.rollout(id)?.phase.name == "rolled_back")
        #expect(await world.store.audit(PageQuery(state: "rollout.rolled_back")).count == 1)
    }

    /// Panes that are delivered again, as after a restart, change nothing.
    @Test func evidenceCountsOnce() async throws {
        var world = try await World()
        let id = try await world.start()
        await world.evidence(id, step: 0, number: 1, control: 900, candidate: 40)
        try await world.driver.tick(now: 10_100, seed: 1)
        try await world.driver.tick(now: 10_200, seed: 2)
        #expect(await world.store.rollout(id)?.evidence.totals.candidate.requests == 40)
    }

    @Test func leaseIsRenewedWhileARolloutRuns() async throws {
        var world = try await World()
        _ = try await world.start()
        let first = try #require(try await world.state().pointer.leaseUntil)
        try await world.driver.tick(now: first - 1_000, seed: 1)
        #expect(try await world.state().pointer.leaseUntil ?? 0 > first)
    }
}

@Suite struct CommandTests {
    @Test func abortOutranksEverythingAndIsANoOpWhenNothingRuns() async throws {
        let world = try await World()
        let id = try await world.start()
        let pause = try await world.driver.handle(
            .pause(rollout: id), route: world.route, by: "ann", now: 10_100, seed: 1)
        #expect(pause.changed)
        let abort = try await world.driver.handle(
            .abort(rollout: id, reason: "no"), route: world.route, by: "bob", now: 10_200, seed: 2)
        #expect(abort.changed)
        #expect(try await world.state().pointer.weight == 0)
        let again = try await world.driver.handle(
            .abort(rollout: id, reason: ""), route: world.route, by: "bob", now: 10_300, seed: 3)
        #expect(!again.changed)
        #expect(again.message.contains("not running"))
    }

    @Test func onlyOneRolloutRunsOnARoute() async throws {
        let world = try await World()
        _ = try await world.start()
        await #expect(throws: TrimtabError.self) { _ = try await world.start() }
    }

    @Test(arguments: [1, 3, 0, -1]) func aRolloutNeedsAnotherExistingPolicy(version: Int) async throws {
        let world = try await World()
        await #expect(throws: TrimtabError.self) {
            _ = try await world.driver.handle(
                .startRollout(RolloutRequest(policy: version, goal: .neutral, reason: "")), route: world.route,
                by: "ann", now: 1, seed: 1)
        }
    }

    @Test func activatingEndsTheRunningRollout() async throws {
        let world = try await World()
        let id = try await world.start()
        _ = try await world.driver.handle(.activate(policy: 2), route: world.route, by: "ann", now: 10_100, seed: 1)
        #expect(try await world.state().pointer.stable == 2)
        #expect(await world.store.rollout(id)?.phase.name == "aborted")
    }

    @Test func aPausedRolloutDoesNotStep() async throws {
        var world = try await World()
        let id = try await world.start()
        _ = try await world.driver.handle(.pause(rollout: id), route: world.route, by: "ann", now: 10_100, seed: 1)
        await world.evidence(id, step: 0, number: 1, control: 950, candidate: 60)
        try await world.driver.tick(now: 20_000, seed: 1)
        #expect(try await world.state().pointer.weight == 0.05)
        _ = try await world.driver.handle(.resume(rollout: id), route: world.route, by: "ann", now: 20_000, seed: 2)
        try await world.driver.tick(now: 21_500, seed: 2)
        #expect(try await world.state().pointer.weight == 0.5)
    }
}

@Suite struct DecisionLoopTests {
    /// Windows in which `sim/cheap` is as good as `sim/strong` at a tenth of the price.
    static func traffic(_ world: World, cheapQuality: Double = 0.9) async {
        var results: [WindowResult] = [], feedback: [FeedbackDelta] = []
        for (model, arm, cost, quality) in [
            ("strong", Arm.stable, 1e7, 0.9), ("cheap", Arm.explore, 1e6, cheapQuality),
        ] {
            var aggregate = WindowAggregate()
            aggregate.requests = 2_000
            let key = WindowKey(route: "chat", modelKey: "sim/\(model)", arm: arm, policy: 1)
            let window = Window(start: 0, end: 5_000)
            var values = Moments()
            for index in 0..<2_000 {
                aggregate.cost.add(cost * (0.9 + 0.01 * Double(index % 20)))
                aggregate.latency.insert(100 + Double(index % 50))
                values.add(min(1, quality + 0.01 * Double(index % 5)))
            }
            results.append(WindowResult(window: window, key: key, partition: 0, pane: 0, aggregate: aggregate))
            feedback.append(FeedbackDelta(window: window, key: key, name: "quality", values: values))
        }
        await world.store.add(results: results, feedback: feedback, panes: [])
    }

    @Test func autoStartsARolloutOfTheCheaperModel() async throws {
        var world = try await World()
        await Self.traffic(world)
        try await world.driver.tick(now: 10_000, seed: 1)
        let state = try await world.state()
        #expect(state.rollout?.plan.goal == .cheaper)
        let decision = try #require(await world.store.decisions(PageQuery()).first)
        #expect(decision.status == .approved)
        #expect(decision.rollout == state.rollout?.id)
        #expect(decision.outcome.rationale.isEmpty == false)
        #expect(Decisions.decide(decision.input) == decision.outcome)
    }

    @Test func suggestWaitsForAPersonAndProposesOnce() async throws {
        var world = try await World(autonomy: .suggest)
        await Self.traffic(world)
        for second in 10..<20 { try await world.driver.tick(now: Int64(second) * 1_000, seed: 1) }
        let proposals = await world.store.decisions(PageQuery(state: "proposed"))
        #expect(proposals.count == 1)
        #expect(try await world.state().rollout == nil)
        let id = try #require(proposals.first?.id)
        let result = try await world.driver.handle(
            .approve(decision: id), route: world.route, by: "ann", now: 20_000, seed: 2)
        #expect(try await world.state().rollout?.id == result.rollout)
    }

    /// An approval is a start like any other.
    @Test func anApprovalWaitsForTheEndOfAFreeze() async throws {
        var world = try await World(autonomy: .suggest)
        await Self.traffic(world)
        try await world.driver.tick(now: 10_000, seed: 1)
        let id = try #require(await world.store.decisions(PageQuery(state: "proposed")).first?.id)
        var settings = world.driver.loop.settings
        settings.plan.freeze = try [#require(FreezeWindow("Thu 00:00 - Thu 00:01"))]
        let frozen = LoopDriver(
            loop: ControlLoop(settings: settings), store: world.store, decisionIntervalMs: 1_000)
        let refusal = await #expect(throws: TrimtabError.self) {
            try await frozen.handle(.approve(decision: id), route: world.route, by: "ann", now: 20_000, seed: 2)
        }
        #expect(refusal?.summary.contains("rollouts.freeze") == true)
        #expect(try await world.state().rollout == nil)
        let result = try await frozen.handle(
            .approve(decision: id), route: world.route, by: "ann", now: 61_000, seed: 2)
        #expect(result.changed)
    }

    @Test func aRejectedProposalIsNotMadeAgainBeforeTheCooldownHasPassed() async throws {
        var world = try await World(autonomy: .suggest)
        await Self.traffic(world)
        try await world.driver.tick(now: 10_000, seed: 1)
        let id = try #require(await world.store.decisions(PageQuery(state: "proposed")).first?.id)
        // The person took longer than a cooldown; what counts is when they said no.
        _ = try await world.driver.handle(.reject(decision: id), route: world.route, by: "ann", now: 90_000, seed: 2)
        for now in stride(from: 91_000 as Int64, to: 149_000, by: 2_000) {
            try await world.driver.tick(now: now, seed: 3)
            #expect(await world.store.decisions(PageQuery(state: "proposed")).isEmpty)
        }
        try await world.driver.tick(now: 151_000, seed: 4)
        #expect(await world.store.decisions(PageQuery(state: "proposed")).count == 1)
    }

    @Test func aProposalMakesWayWhenTheRouteHasMovedOn() async throws {
        var world = try await World(autonomy: .suggest)
        await Self.traffic(world)
        try await world.driver.tick(now: 10_000, seed: 1)
        let old = try #require(await world.store.decisions(PageQuery(state: "proposed")).first?.id)
        let version = try await world.store.create(world.policy("strong"), now: 11_000).version
        _ = try await world.driver.handle(
            .activate(policy: version), route: world.route, by: "ann", now: 11_000, seed: 2)
        try await world.driver.tick(now: 12_000, seed: 3)
        let open = await world.store.decisions(PageQuery(state: "proposed"))
        #expect(open.map(\.input.stable.version) == [version])
        #expect(await world.store.decisions(PageQuery(state: "superseded")).map(\.id) == [old])
    }

    @Test func observeOnlyNotes() async throws {
        var world = try await World(autonomy: .observe)
        await Self.traffic(world)
        try await world.driver.tick(now: 10_000, seed: 1)
        try await world.driver.tick(now: 12_000, seed: 2)
        #expect(await world.store.decisions(PageQuery()).map(\.status) == [.noted])
        #expect(try await world.state().rollout == nil)
    }

    @Test func aWorseModelIsNotTaken() async throws {
        var world = try await World()
        await Self.traffic(world, cheapQuality: 0.7)
        try await world.driver.tick(now: 10_000, seed: 1)
        #expect(try await world.state().rollout == nil)
    }
}

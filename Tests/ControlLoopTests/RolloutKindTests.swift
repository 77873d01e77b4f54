import Analysis
import ControlLoop
import Core
import Policy
import Rollouts
import StreamProcessing
import Telemetry
import TestSupport
import Testing

@Suite struct RolloutKindTests {
    private func start(
        _ kind: RolloutPlan.Kind, of policy: Int = 2, in world: World, eligibility: Eligibility? = nil
    ) async throws -> UUIDv7 {
        let request = RolloutRequest(
            policy: policy, goal: .neutral, kind: kind, eligibility: eligibility, reason: "try")
        let result = try await world.driver.handle(
            .startRollout(request), route: world.route, by: "ann", now: 10_000, seed: 1)
        return try #require(result.rollout)
    }

    private func panes(
        _ rollout: UUIDv7, _ arms: [(Arm, Int64, Int64)], weight: Double, number: Int64 = 1
    ) -> [EvidencePane] {
        arms.map { arm, requests, failures in
            let quality = (0..<requests).map { 0.9 + Double($0 % 3) * 0.01 }
            return EvidencePane(
                key: EvidenceKey(rollout: rollout, step: 0, arm: arm), partition: 0, number: number,
                candidateWeight: weight, trials: .requests(requests, failures: failures, quality: quality, firstPair: 0)
            )
        }
    }

    /// Copies only: stable serves everyone from the first to the last moment.
    @Test func aShadowPassesAndChangesNothing() async throws {
        var world = try await World()
        let id = try await start(.shadow, in: world)
        let pointer = try await world.state().pointer
        #expect(pointer.mode == .mirror && pointer.weight == 0.2 && pointer.stable == 1)
        let evidence = panes(id, [(.stable, 5_000, 5), (.shadow, 1_000, 1)], weight: 0.2)
        await world.store.add(results: [], feedback: [], panes: evidence)
        try await world.driver.tick(now: 12_000, seed: 1)
        #expect(await world.store.rollout(id)?.phase == .ended(.passed))
        let after = try await world.state().pointer
        #expect(after.stable == 1 && after.candidate == nil && after.mode == .split)
    }

    /// Stable against itself: half of the units each, and nothing is another afterwards.
    @Test func anAAPassesWhenItsArmsAreAlike() async throws {
        var world = try await World()
        await #expect(throws: TrimtabError.self) { _ = try await start(.aa, in: world) }
        let id = try await start(.aa, of: 1, in: world)
        let pointer = try await world.state().pointer
        #expect(pointer.mode == .split && pointer.weight == 0.5 && pointer.stable == 1 && pointer.candidate == 1)
        let evidence =
            panes(id, [(.stable, 60, 0)], weight: 0.5)
            + panes(id, [(.stable, 5_000, 5), (.candidate, 5_000, 2)], weight: 0.5, number: 2)
        await world.store.add(results: [], feedback: [], panes: evidence)
        try await world.driver.tick(now: 12_000, seed: 1)
        #expect(await world.store.rollout(id)?.phase == .ended(.passed))
        let after = try await world.state().pointer
        #expect(after.stable == 1 && after.candidate == nil && after.weight == 0)
    }

    /// Arms that should be alike and are not: something in front of the models treats them differently.
    @Test func anAAWhoseArmsDifferIsStopped() async throws {
        var world = try await World()
        let id = try await start(.aa, of: 1, in: world)
        let evidence = panes(id, [(.stable, 1_000, 5), (.candidate, 1_000, 80)], weight: 0.5)
        await world.store.add(results: [], feedback: [], panes: evidence)
        try await world.driver.tick(now: 10_500, seed: 1)
        #expect(await world.store.rollout(id)?.phase == .ended(.guardrail(.errors)))
    }

    @Test func aFailingShadowIsStopped() async throws {
        var world = try await World()
        let id = try await start(.shadow, in: world)
        let evidence = panes(id, [(.stable, 5_000, 5), (.shadow, 1_000, 200)], weight: 0.2)
        await world.store.add(results: [], feedback: [], panes: evidence)
        try await world.driver.tick(now: 10_500, seed: 1)
        #expect(await world.store.rollout(id)?.phase.name == "rolled_back")
    }

    /// A copy comes on top of its request: as many failures in proportion are no evidence against the candidate.
    @Test func copiesAreWeighedAsCopies() async throws {
        var world = try await World()
        let id = try await start(.shadow, in: world)
        let evidence = panes(id, [(.stable, 10_000, 500), (.shadow, 2_000, 100)], weight: 0.2)
        await world.store.add(results: [], feedback: [], panes: evidence)
        try await world.driver.tick(now: 10_500, seed: 1)
        let errors = await world.store.rollout(id)?.evidence.findings.first { $0.guardrail == .errors }
        #expect(try #require(errors).logE < 0)
    }

    @Test func whomARolloutTouchesReachesTheTable() async throws {
        let world = try await World()
        let testers = Eligibility(tags: ["tier": "beta"])
        let id = try await start(.canary, in: world, eligibility: testers)
        #expect(try await world.state().pointer.eligibility == testers)
        #expect(await world.store.rollout(id)?.eligibility == testers)
    }

    /// Stored, audited with its reason, asked twice the same, and never for longer than a day.
    @Test func aWaiverIsStoredAndAudited() async throws {
        var world = try await World()
        let id = try await start(.canary, in: world)
        func waive(_ guardrail: Guardrail = .errors, forMs: Int64, now: Int64) async throws -> CommandResult {
            try await world.driver.handle(
                .waive(rollout: id, guardrail: guardrail, forMs: forMs, reason: "known"), route: world.route, by: "ann",
                now: now, seed: 1)
        }
        let epoch = try await world.state().pointer.epoch
        #expect(try await waive(forMs: .max, now: 11_000).changed)
        let waiver = try #require(await world.store.rollout(id)?.waivers?.first)
        #expect(waiver == Waiver(guardrail: .errors, from: 11_000, until: 86_411_000, by: "ann", reason: "known"))
        #expect(try await world.state().pointer.epoch == epoch)
        let entry = try #require(await world.store.audit(PageQuery()).first { $0.action == "rollout.waived" })
        #expect(entry.actor == "ann" && entry.detail == "errors for 86400 s, by ann: known")

        await world.store.add(
            results: [], feedback: [], panes: panes(id, [(.stable, 950, 0), (.candidate, 50, 0)], weight: 0.05))
        let bad = panes(id, [(.stable, 950, 0), (.candidate, 50, 30)], weight: 0.05, number: 2)
        await world.store.add(results: [], feedback: [], panes: bad)
        try await world.driver.tick(now: 12_000, seed: 1)
        #expect(await world.store.rollout(id)?.isActive == true)
        #expect(try await waive(forMs: 0, now: 12_500).changed)
        #expect(try await !waive(forMs: 0, now: 12_500).changed)
        try await world.driver.tick(now: 13_000, seed: 1)
        #expect(await world.store.rollout(id)?.phase == .ended(.guardrail(.errors)))
        await #expect(throws: TrimtabError.self) { _ = try await waive(forMs: 1_000, now: 14_000) }
    }

    /// Control: median 400 ms, 95th percentile 2,000 ms, first tokens by 300 ms.
    @Test(
        arguments: [
            (nil, nil, 2_000, 400, 300), (5_000, nil, 5_000, nil, 300), (1_000, 1_500, 2_000, nil, 1_500),
            (200, 100, 2_000, 400, 300),
        ] as [(Double?, Double?, Double?, Double?, Double?)])
    func whatTheObjectiveCallsInTimeIsNotSlow(
        p95: Double?, ttft: Double?, slow: Double?, median: Double?, slowFirst: Double?
    ) async throws {
        let world = try await World()
        var state = try await world.state()
        (state.route.objective.latency.p95Ms, state.route.objective.latency.ttftP95Ms) = (p95, ttft)
        var known = TargetStatistics(route: "chat", modelKey: "sim/strong")
        (known.latencyP50Ms, known.latencyP95Ms, known.ttftP95Ms) = (400, 2_000, 300)
        var surroundings = ControlLoop.Surroundings()
        surroundings.statistics = [known]
        var generator = SplitMix64(seed: 1)
        let (effects, _) = try world.driver.loop.handle(
            .startRollout(RolloutRequest(policy: 2, goal: .better, reason: "try")), by: "ann", state: state,
            surroundings, now: 10_000, using: &generator)
        let rollout = try #require(
            effects.lazy.compactMap { if case .saveRollout(let it) = $0 { it } else { nil } }.first)
        let thresholds = rollout.evidence.thresholds
        #expect((thresholds.slowMs, thresholds.medianMs, thresholds.ttftMs) == (slow, median, slowFirst))
    }

    @Test func noMoreRolloutsThanAllowedRunAtOnceAndNoneStartsInAFreeze() async throws {
        var world = try await World()
        var settings = world.driver.loop.settings
        settings.plan.freeze = try [#require(FreezeWindow("Thu 00:00 - Thu 01:00"))]
        world.driver = LoopDriver(
            loop: ControlLoop(settings: settings), store: world.store, decisionIntervalMs: 1_000)
        let frozen = await #expect(throws: TrimtabError.self) { _ = try await start(.canary, in: world) }
        #expect(frozen?.summary.contains("rollouts.freeze") == true)
        settings.plan.freeze = []
        settings.maxActive = 0
        world.driver = LoopDriver(
            loop: ControlLoop(settings: settings), store: world.store, decisionIntervalMs: 1_000)
        let full = await #expect(throws: TrimtabError.self) { _ = try await start(.canary, in: world) }
        #expect(full?.summary.contains("rollouts.max_active") == true)
    }

    @Test func aGatewaysWordEndsTheStoryOfARollback() async throws {
        var world = try await World()
        let id = try await start(.canary, in: world)
        _ = try await world.driver.handle(
            .abort(rollout: id, reason: "no"), route: world.route, by: "ann", now: 11_000, seed: 1)
        let epoch = try await world.state().pointer.epoch
        await world.store.heartbeat(GatewayStatus(id: "gw", epoch: epoch - 1, seenAt: 10_900))
        try await world.driver.tick(now: 11_100, seed: 2)
        #expect(await world.store.rollout(id)?.acknowledgement == nil)
        await world.store.heartbeat(GatewayStatus(id: "gw", epoch: epoch, epochAt: 11_020, seenAt: 11_200))
        try await world.driver.tick(now: 11_300, seed: 3)
        #expect(await world.store.rollout(id)?.acknowledgement == Acknowledgement(ms: 20, gateways: 1))
    }

    /// The leader looks four times a second, and people may be quicker.
    @Test func whatStartsAndEndsBetweenTwoLooksIsAcknowledgedToo() async throws {
        var world = try await World()
        try await world.driver.tick(now: 9_900, seed: 1)
        let id = try await start(.canary, in: world)
        _ = try await world.driver.handle(
            .abort(rollout: id, reason: "no"), route: world.route, by: "ann", now: 10_050, seed: 1)
        let epoch = try await world.state().pointer.epoch
        await world.store.heartbeat(GatewayStatus(id: "gw", epoch: epoch, epochAt: 10_060, seenAt: 10_060))
        try await world.driver.tick(now: 10_150, seed: 2)
        #expect(await world.store.rollout(id)?.acknowledgement == Acknowledgement(ms: 10, gateways: 1))
    }

    /// A leader that comes much later cannot know when the end arrived.
    @Test func whatEndedLongAgoIsNotAcknowledgedInHindsight() async throws {
        var world = try await World()
        let id = try await start(.canary, in: world)
        _ = try await world.driver.handle(
            .abort(rollout: id, reason: "no"), route: world.route, by: "ann", now: 11_000, seed: 1)
        let epoch = try await world.state().pointer.epoch
        await world.store.heartbeat(GatewayStatus(id: "gw", epoch: epoch, seenAt: 200_000))
        try await world.driver.tick(now: 200_000, seed: 2)
        #expect(await world.store.rollout(id)?.acknowledgement == nil)
    }
}

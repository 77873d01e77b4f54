import ControlLoop
import Core
import Policy
import Rollouts
import StreamProcessing
import Telemetry
import TestSupport
import Testing

@Suite struct RolloutKindTests {
    private func start(_ kind: RolloutPlan.Kind, in world: World, eligibility: Eligibility? = nil) async throws
        -> UUIDv7
    {
        let request = RolloutRequest(
            policy: 2, goal: .neutral, kind: kind, eligibility: eligibility, reason: "try")
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
                candidateWeight: weight, trials: .requests(requests, failures: failures, quality: quality))
        }
    }

    /// Copies only: stable serves everyone from the first to the last moment.
    @Test func aShadowPassesAndChangesNothing() async throws {
        var world = try await World()
        let id = try await start(.shadow, in: world)
        let pointer = try await world.state().pointer
        #expect(pointer.mode == .mirror && pointer.weight == 0.2 && pointer.stable == 1)
        // The first answers of the control only tell where its quality lies.
        let evidence =
            panes(id, [(.stable, 60, 0)], weight: 0.2)
            + panes(id, [(.stable, 5_000, 5), (.shadow, 1_000, 1)], weight: 0.2, number: 2)
        await world.store.add(results: [], feedback: [], panes: evidence)
        try await world.driver.tick(now: 12_000, seed: 1)
        #expect(await world.store.rollout(id)?.phase == .ended(.passed))
        let after = try await world.state().pointer
        #expect(after.stable == 1 && after.candidate == nil && after.mode == .split)
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

    @Test func noMoreRolloutsThanAllowedRunAtOnceAndNoneStartsInAFreeze() async throws {
        var world = try await World()
        var settings = world.driver.loop.settings
        settings.plan.freeze = try [#require(FreezeWindow("Thu 00:00 - Thu 01:00"))]
        world.driver = LoopDriver(
            loop: ControlLoop(settings: settings), store: world.store, decisionIntervalMs: 1_000, recentMs: 5_000)
        let frozen = await #expect(throws: TrimtabError.self) { _ = try await start(.canary, in: world) }
        #expect(frozen?.summary.contains("rollouts.freeze") == true)
        settings.plan.freeze = []
        settings.maxActive = 0
        world.driver = LoopDriver(
            loop: ControlLoop(settings: settings), store: world.store, decisionIntervalMs: 1_000, recentMs: 5_000)
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

import ControlLoop
import Core
import Policy
import Rollouts
import StreamProcessing
import Telemetry
import TestSupport
import Testing

/// Clocks that jump, and databases that were away, which to a route are a long silence.
@Suite struct ClockTests {
    private static let hour: Int64 = 3_600_000
    private static let day: Int64 = 24 * hour
    private static let start: Int64 = 10 * day

    /// A rollout whose first step has all the requests that it needs, and runs half a second of its one.
    private func waiting() async throws -> (World, UUIDv7) {
        var world = try await World()
        let id = try await world.start(at: Self.start)
        await world.evidence(id, step: 0, number: 1, control: 950, candidate: 50)
        try await world.driver.tick(now: Self.start + 500, seed: 1)
        #expect(try await world.state().rollout?.phase.step == 0)
        return (world, id)
    }

    /// The same two steps on: at its watch, which has begun two seconds after the start and has its requests.
    private func watched() async throws -> (World, UUIDv7) {
        let (begun, id) = try await waiting()
        var world = begun
        try await world.driver.tick(now: Self.start + 1_000, seed: 2)
        await world.evidence(id, step: 1, number: 2, control: 1_000, candidate: 1_000)
        try await world.driver.tick(now: Self.start + 2_000, seed: 3)
        await world.evidence(id, step: 2, number: 3, control: 50, candidate: 950)
        return (world, id)
    }

    @Test(arguments: [-hour, -60_000, -1, hour, day])
    func noStepIsPassedByAJump(jump: Int64) async throws {
        let (begun, id) = try await waiting()
        var world = begun
        let now = Self.start + 500 + jump
        try await world.driver.tick(now: now, seed: 2)
        #expect(try await world.state().rollout?.phase == .progressing(step: 0), "passed by the jump")
        let lease = try #require(try await world.state().pointer.leaseUntil)
        #expect((now + 15_000...now + 30_000).contains(lease), "the lease is of the new time")
        // From there on it has its time as ever. One millisecond is no jump but what clocks differ by.
        try await world.driver.tick(now: now + 900, seed: 3)
        #expect(try await world.state().rollout?.phase == .progressing(step: jump == -1 ? 1 : 0))
        try await world.driver.tick(now: now + 1_001, seed: 4)
        #expect(try await world.state().rollout?.phase == .progressing(step: 1))
        #expect(await world.store.rollout(id)?.isActive == true)
    }

    @Test(arguments: [-hour, hour, day])
    func harmIsSeenWhateverTheClockDoes(jump: Int64) async throws {
        for isPaused in [false, true] {
            let (begun, id) = try await waiting()
            var world = begun
            if isPaused {
                _ = try await world.driver.handle(
                    .pause(rollout: id), route: world.route, by: "ann", now: Self.start + 600, seed: 2)
            }
            await world.evidence(id, step: 0, number: 2, control: 950, candidate: 50, failures: 40)
            try await world.driver.tick(now: Self.start + 700 + jump, seed: 3)
            #expect(await world.store.rollout(id)?.phase == .ended(.guardrail(.errors)))
            #expect(try await world.state().pointer.weight == 0)
        }
    }

    @Test(arguments: [-hour, hour, day])
    func aPauseLastsUntilAPersonEndsIt(jump: Int64) async throws {
        let (begun, id) = try await waiting()
        var world = begun
        _ = try await world.driver.handle(
            .pause(rollout: id), route: world.route, by: "ann", now: Self.start + 600, seed: 2)
        let now = Self.start + 600 + jump
        for later in [0, 5_000, 10_000] as [Int64] {
            try await world.driver.tick(now: now + later, seed: 3)
            #expect(try await world.state().rollout?.phase == .paused(step: 0, by: "ann"))
        }
        _ = try await world.driver.handle(
            .resume(rollout: id), route: world.route, by: "ann", now: now + 11_000, seed: 4)
        try await world.driver.tick(now: now + 11_500, seed: 5)
        #expect(try await world.state().rollout?.phase == .progressing(step: 0))
        try await world.driver.tick(now: now + 12_000, seed: 6)
        #expect(try await world.state().rollout?.phase == .progressing(step: 1))
    }

    /// A watch is what keeps a bad candidate from becoming stable, so it is watched whole.
    @Test(arguments: [-hour, hour, day])
    func aWatchIsNeitherCutShortNorEndedByAJump(jump: Int64) async throws {
        let (begun, id) = try await watched()
        var world = begun
        let now = Self.start + 2_500 + jump
        for later in [0, 1_000, 1_999] as [Int64] {
            try await world.driver.tick(now: now + later, seed: 4)
            #expect(try await world.state().rollout?.phase == .progressing(step: 2))
            #expect(try await world.state().pointer.stable == 1)
        }
        try await world.driver.tick(now: now + 2_000, seed: 5)
        #expect(await world.store.rollout(id)?.phase == .promoted)
    }

    /// Evidence that waited for the database comes after the first look, and still before anything is promoted.
    @Test func whatAnOutageHeldBackIsJudgedBeforeTheStepGoesOn() async throws {
        let (begun, id) = try await watched()
        var world = begun
        let back = Self.start + 2_000 + 600_000
        try await world.driver.tick(now: back, seed: 4)
        #expect(try await world.state().rollout?.phase == .progressing(step: 2))
        #expect(try await world.state().rollout?.timeline.last?.event == "interrupted")
        await world.evidence(id, step: 2, number: 4, control: 50, candidate: 950, failures: 500)
        try await world.driver.tick(now: back + 250, seed: 5)
        #expect(await world.store.rollout(id)?.phase == .ended(.guardrail(.errors)))
        #expect(try await world.state().pointer.stable == 1)
    }

    @Test func withoutRequestsAJumpEndsAsNoDataAndPromotesNothing() async throws {
        var world = try await World()
        let id = try await world.start(at: Self.start)
        try await world.driver.tick(now: Self.start + 8 * Self.day, seed: 1)
        #expect(await world.store.rollout(id)?.phase == .ended(.noData))
        #expect(try await world.state().pointer.stable == 1)
    }

    /// Decisions do not wait for the clock to come back to where it was.
    @Test func decisionsGoOnAfterTheClockWasSetBack() async throws {
        var world = try await World()
        try await world.driver.tick(now: 10 * Self.day, seed: 1)
        await DecisionLoopTests.traffic(world)
        try await world.driver.tick(now: 10_000, seed: 2)
        #expect(try await world.state().rollout?.plan.goal == .cheaper)
    }
}

import ControlLoop
import Core
import Logging
import Policy
import PostgresClient
import Rollouts
import StateStore
import Synchronization
import TestSupport
import Testing

/// What a rollout stands on, taken from under it.
@Suite(.enabled(if: TestPostgres.missing == nil), .timeLimit(.minutes(2)))
struct DeletionTests {
    /// Route `support` with policy 2 as the candidate of a rollout that runs.
    private func rollOut() async throws -> (PostgresPool, PostgresControlStore, Rollout) {
        let pool = try await database()
        let store = PostgresControlStore(pool)
        try await store.apply(Sample.route(), firstPolicy: Sample.policy(), by: "ann", now: Sample.now)
        _ = try await store.create(Sample.policy("gpt-4o-mini"), now: Sample.now)
        var ids = IDs()
        let rollout = try Sample.rollout(ids.next())
        try await store.update(rollout.route) { state in
            var pointer = state.pointer
            (pointer.candidate, pointer.weight, pointer.rollout) = (2, 0.05, rollout.id)
            return ([.saveRollout(rollout), .setPointer(pointer)], ())
        }
        return (pool, store, rollout)
    }

    private static func driver(_ store: PostgresControlStore) -> LoopDriver {
        LoopDriver(
            loop: ControlLoop(settings: ControlSettings(engine: "test")), store: store, decisionIntervalMs: 60_000)
    }

    /// The API has no way to remove a policy. The database has, and keeps the two that serve.
    @Test(arguments: [1, 2]) func aPolicyThatServesCannotBeDeleted(version: Int) async throws {
        let (pool, store, rollout) = try await rollOut()
        let error = await #expect(throws: PostgresError.self) {
            try await pool.withConnection {
                try await $0.query("DELETE FROM policies WHERE route = 'support' AND version = $1", [version])
            }
        }
        #expect(error?.kind == .server("23503"))
        #expect(try await store.policies(of: rollout.route).map(\.version) == [1, 2])
    }

    /// Once it serves no more, its absence leaves what was decided readable, and it cannot be tried again.
    @Test func aPolicyDeletedAfterItsRolloutIsNotTriedAgain() async throws {
        let (pool, store, rollout) = try await rollOut()
        let driver = Self.driver(store)
        _ = try await driver.handle(
            .abort(rollout: rollout.id, reason: ""), route: rollout.route, by: "ann", now: Sample.now, seed: 1)
        try await pool.withConnection {
            try await $0.query("DELETE FROM policies WHERE route = 'support' AND version = 2")
        }
        #expect(try await store.rollout(rollout.id)?.phase.name == "aborted")
        let refused = await #expect(throws: TrimtabError.self) {
            _ = try await driver.handle(
                .retry(rollout: rollout.id, reason: ""), route: rollout.route, by: "ann",
                now: Sample.now + 3_600_000, seed: 2)
        }
        #expect(refused?.code == "control.not_found")
        #expect(try await store.state(of: rollout.route)?.rollout == nil)
    }

    /// A route goes with its rollout; the gateways hear of it, and the loop goes on with the other routes.
    @Test func aRouteDeletedUnderItsRolloutTakesTheCandidateWithIt() async throws {
        let (pool, store, rollout) = try await rollOut()
        let table = Mutex<RoutingTable?>(nil)
        let feed = GatewayFeed(
            pool.configuration, gateway: "gw-1", catalog: [], logger: Logger(label: "test"), now: { Sample.now })
        let following = Task { await feed.follow { snapshot in table.withLock { $0 = snapshot.table } } }
        #expect(try await eventually { table.withLock { $0?.entries[rollout.route]?.candidate?.version } == 2 })
        var driver = Self.driver(store)
        try await driver.tick(now: Sample.now, seed: 1)
        try await store.delete(rollout.route, by: "ann", now: Sample.now)
        #expect(try await eventually { table.withLock { $0?.entries.isEmpty } == true })
        try await driver.tick(now: Sample.now + 1_000, seed: 2)
        #expect(try await store.rollout(rollout.id) == nil)
        let late = await #expect(throws: TrimtabError.self) {
            _ = try await driver.handle(
                .promote(rollout: rollout.id), route: rollout.route, by: "ann", now: Sample.now, seed: 3)
        }
        #expect(late?.code == "store.no_route")
        following.cancel()
        await following.value
    }
}

import ControlLoop
import Core
import Foundation
import Logging
import Policy
import PostgresClient
import StateStore
import Synchronization
import TestSupport
import Testing

@Suite(.enabled(if: TestPostgres.missing == nil), .timeLimit(.minutes(2)))
struct FeedAndLeaderTests {
    private final class Received: Sendable {
        let snapshots = Mutex<[StoredSnapshot]>([])
        var last: StoredSnapshot? { snapshots.withLock { $0.last } }
    }

    private func follow(_ url: String, _ received: Received) -> Task<Void, Never> {
        Task {
            let feed = GatewayFeed(
                PostgresConfiguration(url: url), gateway: "gw-1",
                catalog: [Target(provider: "openai", model: "gpt-4o-mini")], logger: Logger(label: "test"),
                now: { Sample.now })
            await feed.follow { snapshot in received.snapshots.withLock { $0.append(snapshot) } }
        }
    }

    @Test func gatewaysGetEveryChangeAndReportTheirEpoch() async throws {
        let pool = try await database()
        let store = PostgresControlStore(pool)
        var route = try Sample.route()
        route.allowed = ["openai/*"]
        try await store.apply(route, firstPolicy: Sample.policy(), by: "ann", now: Sample.now)
        let received = Received()
        let following = follow(pool.configuration.url, received)
        let name = try "support".routeName
        let began = try await eventually { received.last?.table.entries[name] != nil }
        #expect(began)
        #expect(received.last?.table.entries[name]?.explore.map(\.model) == ["gpt-4o-mini"])

        _ = try await store.create(Sample.policy("gpt-4o-mini"), now: Sample.now)
        try await store.update(name) { state in
            var pointer = state.pointer
            (pointer.candidate, pointer.weight, pointer.salt) = (2, 0.05, .max)
            return ([.setPointer(pointer)], ())
        }
        let moved = try await eventually { received.last?.table.entries[name]?.candidate?.version == 2 }
        #expect(moved)
        #expect(received.last?.table.entries[name]?.pointer.salt == .max)

        try await store.create(VirtualKey(name: "web", digest: "aa", createdAt: 1), by: "ann")
        let known = try await eventually { received.last?.keys.count == 1 }
        #expect(known)
        let epoch = received.last?.table.epoch
        let reported = try await eventually { try await store.gateways().first?.epoch == epoch }
        #expect(reported)
        following.cancel()
        await following.value
    }

    /// In both stores: with the row, until the gateway says otherwise, whether or not it still lives.
    @Test func gatewaysReportWhatTheEventLogLacks() async throws {
        let pool = try await database()
        let store = PostgresControlStore(pool)
        let since = Mutex<Int64?>(Sample.now - 30_000)
        let feed = GatewayFeed(
            pool.configuration, gateway: "gw-1", catalog: [], unshipped: { since.withLock { $0 } },
            logger: Logger(label: "test"), now: { Sample.now })
        let following = Task { await feed.follow { _ in } }
        var expected = GatewayStatus(id: "gw-1", epoch: 0, seenAt: Sample.now, unshippedSince: Sample.now - 30_000)
        #expect(try await eventually { try await store.gateways() == [expected] })
        let memory = InMemoryControlStore()
        await memory.heartbeat(expected)
        #expect(await memory.gateways() == [expected])
        since.withLock { $0 = nil }
        expected.unshippedSince = nil
        #expect(try await eventually { try await store.gateways() == [expected] })
        since.withLock { $0 = 7 }
        expected.unshippedSince = 7
        #expect(try await eventually { try await store.gateways() == [expected] })
        following.cancel()
        await following.value
        #expect(try await store.gateways() == [expected])
    }

    @Test func theFeedOutlivesTheServer() async throws {
        let cluster = try await TestPostgres.startCluster(throwAway: false)
        defer { try? FileManager.default.removeItem(atPath: cluster.settings.folder) }
        let pool = PostgresPool(PostgresConfiguration(url: cluster.url()))
        try await Migrator(pool).migrate()
        let store = PostgresControlStore(pool)
        try await store.apply(Sample.route(), firstPolicy: Sample.policy(), by: "ann", now: Sample.now)
        let received = Received()
        let following = follow(cluster.url(), received)
        let began = try await eventually { received.last != nil }
        #expect(began)
        await cluster.stop()
        try await cluster.start()
        try await store.apply(Sample.route("second"), firstPolicy: Sample.policy(), by: "ann", now: Sample.now)
        let seen = try await eventually { received.last?.table.entries.count == 2 }
        #expect(seen)
        following.cancel()
        await following.value
        await pool.close()
        await cluster.stop()
    }

    @Test func oneLeadsAndANewLeaderFencesTheOld() async throws {
        let pool = try await database()
        let store = PostgresControlStore(pool)
        try await store.apply(Sample.route(), firstPolicy: Sample.policy(), by: "ann", now: Sample.now)
        let first = LeaderLock(pool.configuration, holder: "a")
        let second = LeaderLock(pool.configuration, holder: "b")
        let epoch = try #require(try await first.lead())
        #expect(try await first.lead() == epoch)
        #expect(try await second.lead() == nil)
        await first.release()
        var next: Int64?
        let took = try await eventually {
            next = try await second.lead()
            return next != nil
        }
        #expect(took)
        #expect(next == epoch + 1)
        let old = await #expect(throws: TrimtabError.self) {
            try await store.fenced(by: "control", epoch: epoch).update("support".routeName) { _ in ([], ()) }
        }
        #expect(old?.code == "store.not_leader")
        try await store.fenced(by: "control", epoch: epoch + 1).update("support".routeName) { _ in ([], ()) }
        await second.release()
    }

    @Test func leadershipIsLostWithItsConnection() async throws {
        let pool = try await database()
        let lock = LeaderLock(pool.configuration, name: "lost", holder: "a")
        let epoch = try #require(try await lock.lead())
        try await pool.withConnection {
            try await $0.query(
                """
                SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
                WHERE l.locktype = 'advisory' AND d.datname = current_database()
                """)
        }
        await #expect(throws: TrimtabError.self) { _ = try await lock.lead() }
        #expect(try await lock.lead() == epoch + 1)
        await lock.release()
    }

    /// A process that hangs, or whose machine has lost its power or its network, says nothing and closes nothing.
    @Test func aLeaderThatFallsSilentIsReplaced() async throws {
        let pool = try await database()
        let store = PostgresControlStore(pool)
        try await store.apply(Sample.route(), firstPolicy: Sample.policy(), by: "ann", now: Sample.now)
        let silent = LeaderLock(pool.configuration, holder: "a", silenceMs: 300)
        let other = LeaderLock(pool.configuration, holder: "b")
        let epoch = try #require(try await silent.lead())
        #expect(try await other.lead() == nil)
        #expect(try await eventually { try await other.lead() == epoch + 1 })
        let old = await #expect(throws: TrimtabError.self) {
            try await store.fenced(by: "control", epoch: epoch).update("support".routeName) { _ in ([], ()) }
        }
        #expect(old?.code == "store.not_leader")
        await #expect(throws: TrimtabError.self) { _ = try await silent.lead() }
        #expect(try await silent.lead() == nil)
        await silent.release()
        await other.release()
    }
}

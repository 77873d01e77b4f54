import ControlLoop
import Core
import Foundation
import Gateway
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import Policy
import PostgresClient
import Simulation
import StateStore
import Telemetry
import TestSupport
import Testing

/// The gateway and its feed from a PostgreSQL that goes away in the middle of a rollout.
@Suite(.enabled(if: TestPostgres.missing == nil), .timeLimit(.minutes(3)))
struct CutOffTests {
    private struct NoSink: RecordSink {
        func append(_ event: Telemetry.LogEvent) {}
    }

    private static func now() -> Int64 { Int64(Date().timeIntervalSince1970 * 1_000) }

    private static func model(_ name: String) -> SimulatedModel {
        SimulatedModel(
            provider: "sim", name: name, price: nil, quality: .init(mean: 0.8), latency: .init(medianMs: 1, sigma: 0),
            errorRate: 0)
    }

    /// The arm that the gateway served one request from.
    private static func ask(_ gateway: GatewayServer) async throws -> String? {
        let body = ByteBuffer(string: #"{"model":"support","messages":[{"role":"user","content":"Hello"}]}"#)
        let reply = try await HTTPExchange.send(
            .POST, PlainURL("http://127.0.0.1:\(gateway.port ?? 0)/v1"), "/chat/completions",
            headers: ["content-type": "application/json"], body: body)
        #expect(reply.status == 200)
        return reply.headers.first(name: "x-trimtab-arm")
    }

    private static func gateway(_ fleet: ProviderFleet) async throws -> GatewayServer {
        var settings = GatewaySettings()
        (settings.port, settings.requireKeys) = (0, false)
        let gateway = try GatewayServer(
            settings: settings, providers: [ProviderSettings(id: "sim", baseURL: fleet.baseURL(of: "sim"))],
            sink: NoSink(), hasher: KeyHasher(secret: Data(repeating: 7, count: 32)),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            group: MultiThreadedEventLoopGroup.singleton)
        try await gateway.start()
        return gateway
    }

    /// Route `support` with two policies, the second as candidate for everyone, on a lease of four seconds.
    private static func rollOut(_ name: RouteName, _ store: PostgresControlStore) async throws {
        func policy(_ model: String) -> RoutingPolicy {
            RoutingPolicy(
                route: name, version: 0, createdAt: now(), createdBy: "ann", reason: "test",
                targets: [Target(provider: "sim", model: model)])
        }
        var route = Route(name: name)
        route.holdout = 0
        try await store.apply(route, firstPolicy: policy("alpha"), by: "ann", now: now())
        _ = try await store.create(policy("beta"), now: now())
        try await store.update(name) { state in
            var pointer = state.pointer
            (pointer.candidate, pointer.weight, pointer.leaseUntil) = (2, 1, now() + 4_000)
            return ([.setPointer(pointer)], ())
        }
    }

    @Test func aGatewayCutOffServesStableOnceItsLeaseHasRunOut() async throws {
        let cluster = try await TestPostgres.startCluster(throwAway: false)
        defer { try? FileManager.default.removeItem(atPath: cluster.settings.folder) }
        let pool = PostgresPool(PostgresConfiguration(url: cluster.url()))
        try await Migrator(pool).migrate()
        let store = PostgresControlStore(pool)
        let name = try #require(RouteName("support"))
        let fleet = try await ProviderFleet.start(
            simulator: SharedSimulator(Simulator(models: [Self.model("alpha"), Self.model("beta")], seed: 7)))
        let gateway = try await Self.gateway(fleet)
        let feed = GatewayFeed(
            PostgresConfiguration(url: cluster.url()), gateway: "gw-1", catalog: [], logger: Logger(label: "test"),
            now: { Self.now() })
        let following = Task {
            await feed.follow {
                await gateway.serve(GatewaySnapshot(table: $0.table, keys: $0.keys, prices: $0.prices))
            }
        }
        try await Self.rollOut(name, store)
        let epoch = try #require(try await store.state(of: name)).pointer.epoch
        #expect(try await eventually { gateway.servedEpoch == epoch })
        // What it says it serves, it serves.
        #expect(try await eventually { try await store.gateways().first?.epoch == epoch })
        #expect(try await Self.ask(gateway) == "candidate")
        let until = Self.now() + 4_000
        try await store.update(name) { _ in ([.renewLease(until: until)], ()) }
        try await Task.sleep(for: .milliseconds(300))
        await cluster.stop()

        #expect(try await Self.ask(gateway) == "candidate")
        #expect(try await eventually { try await Self.ask(gateway) == "stable" })
        #expect(Self.now() > until)
        #expect(gateway.servedEpoch == epoch)

        try await cluster.start()
        try await store.update(name) { _ in ([.renewLease(until: Self.now() + 60_000)], ()) }
        #expect(try await eventually { try await Self.ask(gateway) == "candidate" })
        following.cancel()
        await following.value
        await gateway.stop(drain: .zero)
        try await fleet.stop()
        await pool.close()
        await cluster.stop()
    }
}

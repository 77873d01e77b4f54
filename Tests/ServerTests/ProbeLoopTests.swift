import Analysis
import ControlLoop
import Core
import CurlClient
import Gateway
import Logging
import Observability
import Policy
import PostgresClient
import Server
import Simulation
import StateStore
import StreamProcessing
import Synchronization
import Telemetry
import TestSupport
import Testing

/// The way of a fixed prompt: over HTTP to a provider, its digest to PostgreSQL, from there to the analyzers. Only the clock
/// is the test's own.
@Suite(.enabled(if: TestPostgres.missing == nil), .timeLimit(.minutes(3)))
struct ProbeLoopTests {
    private static let start: Int64 = 1_763_650_020_000
    private static let minute: Int64 = 60_000
    private static let changed = "sim/changed", steady = "sim/steady"

    @Test func aModelThatIsChangedUnderItsNameIsToldAndASteadyOneIsNot() async throws {
        let models = ["changed", "steady"].map { name in
            var model = SimulatedModel(
                provider: "sim", name: name, price: ListPrice(input: 1, output: 2).tokenPrice,
                quality: .init(mean: 0.8), latency: .init(medianMs: 1, sigma: 0), errorRate: 0.03)
            model.variation = 0.1
            return model
        }
        let fleet = try await ProviderFleet.start(simulator: SharedSimulator(Simulator(models: models, seed: 3)))
        let pool = PostgresPool(PostgresConfiguration(url: try await TestPostgres.database()))
        try await Migrator(pool).migrate()
        let store = PostgresControlStore(pool)
        let route = try await Self.route(in: store)
        let clock = Mutex(Self.start), metrics = MetricRegistry(), client = CurlClient()
        var settings = ProbeSettings()
        settings.everyMs = 10_000
        var prober = Prober(
            settings, providers: [ProviderSettings(id: "sim", baseURL: fleet.baseURL(of: "sim"))], store: store,
            metrics: metrics, logger: Logger(label: "test"), now: { clock.withLock { $0 } },
            send: { try await client.send($0) })
        var driver = AnalysisDriver(settings: AnalyzerSettings(), store: store, windowMs: Self.minute)
        let stream = CheckpointStore(pool, job: "windows", topic: "events", owner: "test")
        let epoch = try await stream.claim(partition: 0).epoch
        let changedAt = 60

        var told: Int?
        for minute in 0..<120 {
            if minute == changedAt {
                var change = ModelChange()
                change.revision = 2
                try fleet.set(Self.changed, change)
            }
            for _ in 0..<30 {
                clock.withLock { $0 += 2_000 }
                try await prober.tick()
            }
            let now = clock.withLock { $0 }
            let checkpoint = Self.checkpoint(of: route, watermark: now, isFirst: minute == 0)
            #expect(try await stream.commit([(epoch, checkpoint)]).isEmpty)
            try await driver.tick(now: now + 2_000, seed: 1)
            let open = try await store.findings(FindingQuery(route: route, analyzer: .anomaly, status: .open))
            let found = open.filter { $0.code == "anomaly.silent_model_change" }
            #expect(found.allSatisfy { $0.subject == .model(Self.changed) }, "\(found.map(\.statement))")
            if told == nil, let first = found.first {
                told = minute
                #expect(first.severity == .warning && first.statement.contains("to fixed prompts"))
            }
        }
        let passed = try #require(told) - changedAt
        #expect(told ?? 0 > changedAt && 6 * passed <= 60, "told after \(6 * passed) answers")

        let kept = try await store.probes(of: [Self.changed, Self.steady], in: 0..<Int64.max)
        let text = metrics.text()
        #expect(text.contains(#"outcome="answered"} \#(kept.count)"#), "\(text)")
        #expect(text.contains(#"outcome="refused"} "#), "some requests fail")
        #expect((1_350..<1_440).contains(kept.count), "\(kept.count)")

        // Nobody is there any more: no result, no cost, and the loop goes on.
        try await fleet.stop()
        let other = CurlClient(), without = MetricRegistry()
        prober = Prober(
            settings, providers: [ProviderSettings(id: "sim", baseURL: "http://127.0.0.1:1/v1")], store: store,
            metrics: without, logger: Logger(label: "test"), now: { clock.withLock { $0 } },
            send: { try await other.send($0) })
        for _ in 0..<30 {
            clock.withLock { $0 += 2_000 }
            try await prober.tick()
        }
        #expect(without.text().contains(#"trimtab_probe_prompts_total{provider="sim",outcome="unanswered"} "#))
        #expect(without.text().contains("trimtab_probe_spend_usd_total 0\n"))
        #expect(try await store.probes(of: [Self.changed, Self.steady], in: 0..<Int64.max).count == kept.count)
        await pool.close()
    }

    private static func route(in store: PostgresControlStore) async throws -> RouteName {
        let name = try #require(RouteName("support"))
        let policy = RoutingPolicy(
            route: name, version: 1, createdAt: 0, createdBy: "test", reason: "",
            targets: [changed, steady].compactMap { Target(parsing: $0) })
        try await store.apply(Route(name: name), firstPolicy: policy, by: "test", now: start)
        let price = TokenPrice(input: 1_000_000_000, output: 2_000_000_000)
        _ = try await store.setPrices([changed: price, steady: price], by: "test", now: start)
        return name
    }

    /// What the stream leaves: one request at the beginning, and time that passes.
    private static func checkpoint(of route: RouteName, watermark: Int64, isFirst: Bool) -> Checkpoint {
        var checkpoint = Checkpoint(state: PartitionState(partition: 0))
        checkpoint.state.watermark = watermark
        guard isFirst else { return checkpoint }
        var aggregate = WindowAggregate()
        aggregate.requests = 1
        checkpoint.results = [
            WindowResult(
                window: Window(start: start, end: start + minute),
                key: WindowKey(route: route.description, modelKey: changed, arm: .stable, policy: 1), partition: 0,
                pane: 0, aggregate: aggregate)
        ]
        return checkpoint
    }
}

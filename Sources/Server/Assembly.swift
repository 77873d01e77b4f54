import UnixSignals
import Collectors
import ControlAPI
import ControlLoop
import Core
import CurlClient
import EventLog
import Foundation
import Gateway
package import Logging
import NIOPosix
import Observability
import Policy
import PostgresClient
package import ServiceLifecycle
import StateStore
import StreamProcessing

/// Makes the parts of one process and joins them. The only place that knows both sides of every protocol.
package final class Assembly: Sendable {
    let settings: Settings
    let roles: Set<Role>
    let logger: Logger
    let hasher: KeyHasher
    let postgres: PostgresConfiguration
    let pool: PostgresPool
    let store: PostgresControlStore
    let driver: LoopDriver
    let analysis: AnalysisDriver
    let rehearsals: Rehearsals
    let metrics = MetricRegistry()
    let gateway: GatewayServer?
    let log: LocalLog?
    let collector: SpanIngest?
    package let ports = Ports()

    /// - Throws: `TrimtabError` when the settings do not fit the roles, or the data folder or local log cannot be used.
    package init(settings: Settings, roles: Set<Role>, logger: Logger) throws {
        // A gateway alone collects: whoever runs with both roles on its data folder later reads what it has.
        guard settings.eventLog.kind == .kafka || !roles.contains(.stream) || roles.contains(.gateway) else {
            throw TrimtabError(
                "config.roles", "The role stream has no gateway in its process, and event_log.kind is embedded.",
                remedy: "Run both in one process, or set event_log.kind to kafka.")
        }
        self.settings = settings
        self.roles = roles
        self.logger = logger
        try PrivateFile.makeFolder(settings.dataFolder)
        hasher = KeyHasher(
            secret: try InstallationSecret.load(configured: settings.secret, folder: settings.dataFolder))
        postgres = PostgresConfiguration(url: settings.state.url)
        var limits = PostgresPool.Limits()
        limits.connections = settings.state.connections
        pool = PostgresPool(postgres, limits: limits)
        store = PostgresControlStore(pool)
        rehearsals = Rehearsals(store: store, control: settings.control)
        var driver = LoopDriver(
            loop: ControlLoop(settings: settings.control.loop), store: store,
            decisionIntervalMs: settings.control.decisionIntervalMs)
        driver.observe = { [metrics] in $0.record(in: metrics) }
        self.driver = driver
        var analysis = AnalysisDriver(
            settings: settings.control.analyzers, store: store, windowMs: settings.stream.processing.windowMs)
        analysis.observe = { [metrics] in $0.record(in: metrics) }
        self.analysis = analysis
        metrics.collect(ProcessMetrics.collector(version: Build.version))
        guard roles.contains(.gateway) else {
            (log, gateway, collector) = (nil, nil, nil)
            return
        }
        let log = try LocalLog(settings: settings.localLog, logger: logger)
        self.log = log
        let wantsSpans = settings.collector.http.enabled || settings.collector.kafka != nil
        collector = wantsSpans ? SpanIngest(log: log, settings: settings.collector) : nil
        let sink = MeteredSink(log: log)
        metrics.collect { sink.samples() }
        gateway = try GatewayServer(
            settings: settings.gateway, providers: settings.providers, sink: sink,
            hasher: hasher, logger: logger, group: MultiThreadedEventLoopGroup.singleton)
    }

    /// The services in the order of their start; they stop in reverse, so that the gateway drains first.
    package func services() throws -> [any Service] {
        var services: [any Service] = []
        if let log { services.append(LogService(log: log, metrics: metrics)) }
        services.append(Seeding(assembly: self))
        let worker = roles.contains(.stream) ? try streamService() : nil
        if let worker { services.append(worker) }
        if roles.contains(.control) {
            services.append(
                ControlLeader(
                    driver: driver, analysis: analysis, prober: prober(),
                    lock: LeaderLock(
                        postgres, holder: settings.localLog.gatewayID,
                        silenceMs: max(30_000, 4 * settings.control.tickMs)),
                    store: store, partitions: DayPartitions(pool), tickMs: settings.control.tickMs,
                    rollups: Rollups(pool, definitions: settings.stream.processing.definitions),
                    retention: settings.state.retention,
                    webhooks: WebhookSender(
                        webhooks: settings.webhooks, outbox: EventOutbox(pool), metrics: metrics, logger: logger),
                    metrics: metrics, logger: logger))
        }
        services.append(apiService(worker?.worker))
        if let log, let gateway {
            let shipper =
                settings.eventLog.kind == .kafka
                ? try Shipper(log: log, settings: settings.eventLog.kafka, logger: logger) : nil
            if let shipper { services.append(ShipperService(shipper: shipper, metrics: metrics)) }
            services.append(
                TableFollower(
                    feed: GatewayFeed(
                        postgres, gateway: settings.localLog.gatewayID, catalog: settings.control.loop.catalog,
                        unshipped: { await shipper?.unshippedSince(now: currentMilliseconds()) },
                        logger: logger, now: currentMilliseconds),
                    gateway: gateway, collector: collector, file: "\(settings.dataFolder)/table.json", metrics: metrics,
                    logger: logger))
            services.append(
                GatewayService(
                    gateway: gateway, drainSeconds: settings.gateway.drainSeconds, metrics: metrics, ports: ports,
                    logger: logger))
            if let collector { services += collectors(collector) }
        }
        return services
    }

    /// `nil` unless the configuration asks for one.
    private func prober() -> Prober? {
        guard settings.control.probes.enabled else { return nil }
        let client = CurlClient()
        return Prober(
            settings.control.probes, providers: settings.providers, store: store, metrics: metrics, logger: logger,
            now: currentMilliseconds, send: { try await client.send($0) })
    }

    private func streamService() throws -> StreamService {
        let reader: any EventLogReader
        let onStored: @Sendable ([Int: Int64]) -> Void
        if settings.eventLog.kind == .kafka {
            reader = try KafkaLogReader(settings: settings.eventLog.kafka, logger: logger)
            onStored = { _ in }
        } else {
            // The initialiser has made sure that a stream of an embedded log has the gateway role, and so a log.
            guard let log else {
                throw TrimtabError("config.roles", "There is no local log to read.", remedy: "Add the role gateway.")
            }
            reader = try LocalLogReader(log: log, topic: settings.eventLog.topic)
            onStored = { offsets in
                for (partition, offset) in offsets { log.markDone(partition: partition, before: offset) }
            }
        }
        let checkpoints = CheckpointStore(
            pool, job: settings.stream.job, topic: settings.eventLog.topic, owner: settings.localLog.gatewayID)
        var work = StreamWorker.Settings()
        work.checkpointMs = settings.stream.checkpointMs
        let worker = StreamWorker(
            reader: reader, store: checkpoints, stream: settings.stream.processing, settings: work, logger: logger,
            now: currentMilliseconds, onStored: onStored)
        metrics.collect { worker.statistics.samples(now: currentMilliseconds()) }
        return StreamService(worker: worker)
    }

    private func apiService(_ worker: StreamWorker?) -> APIService {
        var hooks = ControlAPI.Hooks(now: currentMilliseconds)
        hooks.metrics = { [metrics] in metrics.text() }
        hooks.record = { [metrics] method, status, seconds in
            metrics.add(.apiRequests, 1, [.method: method, .status: "\(status / 100)xx"])
            metrics.observe(.apiDuration, seconds, [.method: method])
        }
        hooks.checks = readinessChecks()
        if roles.contains(.control) {
            hooks.analyze = { [analysis] route, range, choices, warmUp in
                try await analysis.backtest(route, in: range, choices: choices, warmUpMs: warmUp)
            }
        }
        hooks.rehearse = { [rehearsals] route, actor in try await rehearsals.rehearse(route, by: actor) }
        if let log { hooks.append = { log.append($0) } }
        if let log, settings.eventLog.kind == .embedded {
            hooks.endOffsets = {
                Dictionary(uniqueKeysWithValues: log.endOffsets.enumerated().map { ($0.offset, $0.element) })
            }
        } else if let worker {
            hooks.endOffsets = { worker.statistics.partitions.compactMapValues(\.end) }
        }
        var api = settings.api
        api.version = Build.version
        api.systemOnly = !roles.contains(.control)
        api.logger = logger
        api.windows = settings.stream.processing.definitions
        let control = ControlAPI(
            store: store, records: PostgresStreamRecords(pool), commands: LoopCommands(driver: driver),
            feedback: LogFeedback(log: log), hasher: hasher,
            settings: api, hooks: hooks)
        return APIService(
            api: control, address: "\(api.host):\(api.port)", ports: ports, metrics: metrics, logger: logger)
    }

    /// A gateway serves without PostgreSQL, so that must not take it out of a load balancer; the other roles cannot.
    private func readinessChecks() -> [ControlAPI.Check] {
        var checks = [
            ControlAPI.Check("postgres", isRequired: gateway == nil) { [store] in await store.ping() }
        ]
        if let gateway {
            checks.append(
                ControlAPI.Check("routing_table", isRequired: true) {
                    gateway.servedEpoch >= 0 ? nil : "No routing table has been loaded."
                })
        }
        return checks
    }

    /// Runs until it is told to stop, then drains. A second signal ends the process at once.
    package func run(also extra: [any Service] = [], onSignal: Bool = true) async throws {
        try await checkSchema()
        var configuration = ServiceGroupConfiguration(
            services: (try services() + extra + [SecondSignal()]).map {
                .init(
                    service: $0, successTerminationBehavior: .gracefullyShutdownGroup,
                    failureTerminationBehavior: .gracefullyShutdownGroup)
            },
            gracefulShutdownSignals: onSignal ? [.sigterm, .sigint] : [], logger: logger)
        configuration.maximumGracefulShutdownDuration = .seconds(settings.gateway.drainSeconds + 10)
        try await ServiceGroup(configuration: configuration).run()
        await pool.close()
    }

    /// A schema that is behind ends the start; a database that is away does not, because the gateway serves without it.
    private func checkSchema() async throws {
        do {
            try await postgres.probe()
            try await Migrator(pool).requireNothingPending()
        } catch let error as TrimtabError where ["store.unavailable", "store.refused"].contains(error.code) {
            logger.warning(
                "PostgreSQL is away at start; serving with the last routing table", metadata: ["error": "\(error)"])
        }
    }
}

import Collectors
import Core
import Foundation
import Gateway
import Logging
import Observability
import ServiceLifecycle
import StateStore
import Synchronization

/// Keeps the gateway's snapshot in step with PostgreSQL, and the last good one on disk, so that the gateway starts and
/// serves when PostgreSQL is away.
final class TableFollower: Service {
    let feed: GatewayFeed
    let gateway: GatewayServer
    let collector: SpanIngest?
    let file: String
    let metrics: MetricRegistry
    let logger: Logger
    /// When PostgreSQL last confirmed the table; before that, since when it has been waited for.
    private let confirmed = Mutex(ContinuousClock.now)

    init(
        feed: GatewayFeed, gateway: GatewayServer, collector: SpanIngest?, file: String, metrics: MetricRegistry,
        logger: Logger
    ) {
        self.feed = feed
        self.gateway = gateway
        self.collector = collector
        self.file = file
        self.metrics = metrics
        self.logger = logger
    }

    func run() async throws {
        metrics.collect { [self] in [MetricSample(.gatewayTableAge, (.now - confirmed.withLock { $0 }) / .seconds(1))] }
        if let data = FileManager.default.contents(atPath: file),
            let stored = try? JSONDecoder().decode(StoredSnapshot.self, from: data)
        {
            await serve(stored)
        }
        await cancelWhenGracefulShutdown { [self] in
            await feed.follow(confirmed: { [self] in confirmed.withLock { $0 = .now } }) { [self] snapshot in
                await serve(snapshot)
                do {
                    try PrivateFile.write(JSONEncoder().encode(snapshot), to: file)
                } catch {
                    logger.warning("The routing table could not be kept on disk", metadata: ["error": "\(error)"])
                }
            }
        }
    }

    private func serve(_ stored: StoredSnapshot) async {
        await gateway.serve(GatewaySnapshot(table: stored.table, keys: stored.keys, prices: stored.prices))
        collector?.update(CollectorDirectory(table: stored.table, keys: stored.keys, prices: stored.prices))
    }
}

import Core
import Foundation
import Gateway
import Logging
import Observability
import Policy
import ServiceLifecycle
import StateStore

/// Keeps the gateway's snapshot in step with PostgreSQL, and the last good one on disk, so that the gateway starts and
/// serves when PostgreSQL is away.
struct TableFollower: Service {
    let feed: GatewayFeed
    let gateway: GatewayServer
    let gatewayID: String
    let file: String
    let metrics: MetricRegistry
    let logger: Logger

    /// What is kept on disk.
    struct StoredTable: Codable {
        var table: RoutingTable
        var keys: [VirtualKey]
        var prices: PriceBook

        var snapshot: GatewaySnapshot { GatewaySnapshot(table: table, keys: keys, prices: prices) }
    }

    /// The last good snapshot, if there is one that can be read.
    static func stored(at file: String) -> GatewaySnapshot? {
        guard let data = FileManager.default.contents(atPath: file) else { return nil }
        return try? JSONDecoder().decode(StoredTable.self, from: data).snapshot
    }

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do {
                    for try await update in feed.updates() {
                        let stored = StoredTable(table: update.table, keys: update.keys, prices: update.prices)
                        gateway.update(stored.snapshot)
                        metrics.set(.gatewayTableEpoch, Double(update.table.epoch))
                        try await feed.heartbeat(gateway: gatewayID, epoch: update.table.epoch)
                        try PrivateFile.write(JSONEncoder().encode(stored), to: file)
                    }
                } catch is CancellationError {
                    return
                } catch {
                    logger.warning("Routing table not refreshed; serving the last one", metadata: ["error": "\(error)"])
                    try? await Task.sleep(for: .seconds(1))
                }
            }
        }
    }
}

import Core
import Foundation
import Gateway
import Logging
import ServiceLifecycle
import StateStore

/// Keeps the gateway's snapshot in step with PostgreSQL, and the last good one on disk, so that the gateway starts and
/// serves when PostgreSQL is away.
struct TableFollower: Service {
    let feed: GatewayFeed
    let gateway: GatewayServer
    let file: String
    let logger: Logger

    func run() async throws {
        if let data = FileManager.default.contents(atPath: file),
            let stored = try? JSONDecoder().decode(StoredSnapshot.self, from: data)
        {
            serve(stored)
        }
        await cancelWhenGracefulShutdown {
            await feed.follow { snapshot in
                serve(snapshot)
                do {
                    try PrivateFile.write(JSONEncoder().encode(snapshot), to: file)
                } catch {
                    logger.warning("The routing table could not be kept on disk", metadata: ["error": "\(error)"])
                }
            }
        }
    }

    private func serve(_ stored: StoredSnapshot) {
        gateway.update(GatewaySnapshot(table: stored.table, keys: stored.keys, prices: stored.prices))
    }
}

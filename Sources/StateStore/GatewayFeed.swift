import Core
package import Logging
package import Policy
package import PostgresClient

/// All that a gateway serves from, of one moment.
package struct StoredSnapshot: Codable, Sendable, Equatable {
    package var table: RoutingTable
    /// Without revoked ones.
    package var keys: [VirtualKey]
    package var prices: PriceBook

    package init(table: RoutingTable, keys: [VirtualKey], prices: PriceBook) {
        self.table = table
        self.keys = keys
        self.prices = prices
    }
}

/// Keeps a gateway up to date: by notification, and by looking every second in case one is lost. Reports what the
/// gateway serves on the way, and whether the event log has its records.
package struct GatewayFeed: Sendable {
    private let configuration: PostgresConfiguration
    private let gateway: String
    private let catalog: [Target]
    private let unshipped: @Sendable () async -> Int64?
    private let now: @Sendable () -> Int64
    private let logger: Logger

    private static let pollMs = 1_000
    private static let retryPause = Duration.seconds(1)

    /// - Parameters:
    ///   - gateway: the id under which it is shown.
    ///   - catalog: every target of the configuration, for exploration.
    ///   - unshipped: when the oldest record that the event log has not was written; `nil` if there is none.
    ///   - now: the wall clock, milliseconds since the epoch.
    package init(
        _ configuration: PostgresConfiguration, gateway: String, catalog: [Target],
        unshipped: @escaping @Sendable () async -> Int64? = { nil }, logger: Logger,
        now: @escaping @Sendable () -> Int64
    ) {
        self.configuration = configuration
        self.gateway = gateway
        self.catalog = catalog
        self.unshipped = unshipped
        self.logger = logger
        self.now = now
    }

    /// Delivers the present snapshot, then each new one, until the task is cancelled. While PostgreSQL is away nothing
    /// is delivered: the gateway goes on with what it has.
    ///
    /// The epoch is reported as soon as `deliver` has returned, which is to say that the gateway serves by it.
    ///
    /// - Parameter confirmed: called whenever PostgreSQL has said what is in force, new or not.
    package func follow(
        confirmed: @Sendable () -> Void = {}, _ deliver: @Sendable (StoredSnapshot) async -> Void
    ) async {
        var reachable = true
        while !Task.isCancelled {
            var connection: PostgresConnection?
            do {
                let opened = try await PostgresConnection.connect(configuration)
                connection = opened
                if !reachable { logger.notice("PostgreSQL answers again") }
                reachable = true
                try await follow(on: opened, confirmed, deliver)
            } catch {
                if reachable, !Task.isCancelled {
                    logger.warning(
                        "PostgreSQL is away; the gateway goes on with the last routing table",
                        metadata: ["error": "\(error)"])
                }
                reachable = false
            }
            await connection?.close()
            try? await Task.sleep(for: Self.retryPause)
        }
    }

    private func follow(
        on connection: PostgresConnection, _ confirmed: @Sendable () -> Void,
        _ deliver: @Sendable (StoredSnapshot) async -> Void
    ) async throws {
        try await connection.listen("trimtab_table")
        var seen: Int64?
        var epoch: Int64 = 0
        while !Task.isCancelled {
            let revision: Int64? = try await connection.query("SELECT sum(value)::bigint AS sum FROM revisions")
                .first?["sum"]
            if revision != seen {
                let snapshot = try await connection.snapshot(catalog: catalog)
                epoch = snapshot.table.epoch
                await deliver(snapshot)
                seen = revision
            }
            confirmed()
            try await connection.query(
                """
                INSERT INTO gateways AS g (id, epoch, epoch_at, seen_at, unshipped_since) VALUES ($1, $2, $3, $3, $4)
                ON CONFLICT (id) DO UPDATE SET epoch = EXCLUDED.epoch, seen_at = EXCLUDED.seen_at,
                    epoch_at = CASE WHEN g.epoch = EXCLUDED.epoch THEN g.epoch_at ELSE EXCLUDED.epoch_at END,
                    unshipped_since = EXCLUDED.unshipped_since
                """, [gateway, epoch, now(), await unshipped()])
            _ = try await connection.notifications(waitingMs: Self.pollMs)
        }
    }
}

extension PostgresConnection {
    /// Reads everything at one moment.
    func snapshot(catalog: [Target]) async throws -> StoredSnapshot {
        try await transaction { connection in
            try await connection.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            let rows = try await connection.query(
                """
                SELECT t.*, r.document, s.document AS stable_policy, c.document AS candidate_policy,
                    b.document AS baseline_policy
                FROM routing_table t
                JOIN routes r ON r.name = t.route
                JOIN policies s ON s.route = t.route AND s.version = t.stable
                LEFT JOIN policies c ON c.route = t.route AND c.version = t.candidate
                LEFT JOIN policies b ON b.route = t.route AND b.version = (r.document ->> 'baseline')::int
                """
            ).rows
            var table = RoutingTable()
            for row in rows {
                let pointer = try RoutePointer(row)
                table.entries[pointer.route] = RoutingTable.Entry(
                    route: try row.document(), pointer: pointer,
                    stable: try StoredDocument.decode(try row["stable_policy"]),
                    candidate: try (row["candidate_policy"] as String?).map { try StoredDocument.decode($0) },
                    baseline: try (row["baseline_policy"] as String?).map { try StoredDocument.decode($0) },
                    catalog: catalog)
            }
            let keys = try await connection.query("SELECT * FROM keys WHERE revoked_at IS NULL ORDER BY name")
                .rows.map { try VirtualKey($0) }
            return StoredSnapshot(table: table, keys: keys, prices: try await connection.priceBook())
        }
    }
}

import Analysis
import ControlLoop
import Core
package import PostgresClient

/// The events that transactions left behind, and how far each webhook has been told of them.
package struct EventOutbox: Sendable {
    /// How far a webhook is.
    package struct Place: Sendable, Equatable {
        /// Number of the last event that is done with.
        package var position: Int64
        /// Attempts in a row that failed.
        package var failures: Int
        /// No attempt before, milliseconds since the epoch.
        package var nextAt: Int64
    }

    package struct Event: Sendable, Equatable {
        /// Rises in the order of delivery.
        package var number: Int64
        package var id: String
        /// When it was written, milliseconds since the epoch.
        package var at: Int64
        package var type: String
        package var severity: String?
        /// JSON: what it is about.
        package var document: String
    }

    /// Arbitrary and frozen: whoever numbers events takes turns.
    private static let lock = 0x7472_696d_0003

    private let pool: PostgresPool

    package init(_ pool: PostgresPool) { self.pool = pool }

    /// Forgets the places of webhooks that are configured no more.
    package func keep(only names: [String]) async throws {
        try await run("DELETE FROM webhooks WHERE name <> ALL ($1)", [PostgresArray(names)])
    }

    /// Where a webhook is, and what it was not told yet, the oldest first. One that is new begins with what happens
    /// from now on.
    package func due(_ name: String, limit: Int) async throws -> (place: Place, events: [Event]) {
        try await storing {
            try await pool.withTransaction { connection in
                try await connection.numberEvents(lock: Self.lock)
                try await connection.query(
                    """
                    INSERT INTO webhooks (name, position) SELECT $1, COALESCE(max(number), 0) FROM events
                    HAVING NOT EXISTS (SELECT FROM webhooks WHERE name = $1) ON CONFLICT DO NOTHING
                    """, [name])
                let found = try await connection.query(
                    "SELECT position, failures, next_at FROM webhooks WHERE name = $1", [name]
                ).first
                let place = Place(
                    position: try found?["position"] ?? 0, failures: try found?["failures"] ?? 0,
                    nextAt: try found?["next_at"] ?? 0)
                let rows = try await connection.query(
                    """
                    SELECT number, id, at, type, severity, document FROM events WHERE number > $1
                    ORDER BY number LIMIT $2
                    """, [place.position, limit]
                ).rows
                let events = try rows.map { row in
                    Event(
                        number: try row["number"], id: try row["id"], at: try row["at"], type: try row["type"],
                        severity: try row["severity"], document: try row["document"])
                }
                return (place, events)
            }
        }
    }

    /// All up to `number` was delivered, or is none of what the webhook wants.
    package func advance(_ name: String, to number: Int64) async throws {
        try await run(
            """
            UPDATE webhooks SET position = $2, failures = 0, next_at = 0, last_error = NULL
            WHERE name = $1 AND position < $2
            """, [name, number])
    }

    /// An attempt failed.
    ///
    /// - Parameter place: what comes next; its position lies further on where events were given up.
    package func postpone(_ name: String, to place: Place, error: String) async throws {
        try await run(
            """
            UPDATE webhooks SET position = $2, failures = $3, next_at = $4, last_error = $5
            WHERE name = $1 AND position <= $2
            """, [name, place.position, place.failures, place.nextAt, error])
    }

    private func run(_ sql: String, _ parameters: [any PostgresEncodable]) async throws {
        _ = try await storing { try await pool.withConnection { try await $0.query(sql, parameters) } }
    }
}

extension PostgresConnection {
    /// Leaves events in the caller's transaction.
    func insert(_ events: [ControlEvent]) async throws {
        guard !events.isEmpty else { return }
        // One clock for all who write.
        let now: Int64? = try await query(
            "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now"
        ).first?["now"]
        var generator = SystemRandomNumberGenerator()
        for event in events {
            let id = UUIDv7(milliseconds: now ?? 0, using: &generator)
            try await query(
                "INSERT INTO events (id, at, type, route, severity, document) VALUES ($1, $2, $3, $4, $5, $6)",
                [
                    id, now, event.kind.rawValue, event.route, event.severity?.rawValue,
                    try StoredDocument.encode(event),
                ])
        }
    }

    /// Gives numbers to what was committed since. They are seen in their order: the lock is held until they are.
    fileprivate func numberEvents(lock: Int) async throws {
        try await query("SELECT pg_advisory_xact_lock($1)", [lock])
        try await query(
            """
            UPDATE events e SET number = n.number FROM (
                SELECT seq, nextval('event_numbers') AS number
                FROM (SELECT seq FROM events WHERE number IS NULL ORDER BY seq) unnumbered
            ) n WHERE e.seq = n.seq
            """)
    }
}

import Core
package import PostgresClient
import Synchronization

/// The partitions, one a day (UTC), of the tables that grow with time.
package final class DayPartitions: Sendable {
    package static let dayMs: Int64 = 86_400_000
    /// Days made ahead.
    private static let ahead: Int64 = 2
    private static let tables = ["requests", "feedback", "window_results", "window_feedback"]
    /// Arbitrary and frozen: whoever makes or drops partitions takes turns.
    private static let lock = 0x7472_696d_0002
    /// Rows deleted in one go from tables without partitions.
    private static let deleteLimit = 10_000

    private let pool: PostgresPool
    /// Days, counted from the epoch, that are known to have their partitions.
    private let known = Mutex<Set<Int64>>([])

    package init(_ pool: PostgresPool) { self.pool = pool }

    /// Makes the partitions for rows of these times, where there are none.
    func make(for times: [Int64]) async throws {
        let days = Set(times.map(Self.day))
        let missing = known.withLock { days.subtracting($0) }.sorted()
        guard !missing.isEmpty else { return }
        try await pool.withTransaction { connection in
            try await connection.query("SELECT pg_advisory_xact_lock($1)", [Self.lock])
            for day in missing {
                for table in Self.tables {
                    try await connection.script(
                        """
                        CREATE TABLE IF NOT EXISTS \(table)_\(Self.suffix(day)) PARTITION OF \(table)
                        FOR VALUES FROM (\(day * Self.dayMs)) TO (\((day + 1) * Self.dayMs))
                        """)
                }
            }
        }
        known.withLock { $0.formUnion(missing) }
    }

    func forget() { known.withLock { $0 = [] } }

    /// Makes the days to come and drops what is past its time; to be called now and then, by any process.
    ///
    /// - Parameters:
    ///   - now: milliseconds since the epoch.
    ///   - keepDays: days kept before today, 1 and up.
    package func maintain(now: Int64, keepDays: Int) async throws {
        try await storing {
            let today = Self.day(now)
            try await make(for: (0...Self.ahead).map { (today + $0) * Self.dayMs })
            let oldest = (today - Int64(max(1, keepDays))) * Self.dayMs
            try await dropPartitions(before: oldest)
            forget()
            try await pool.withConnection { connection in
                for sql in [
                    "DELETE FROM dead_letters WHERE ctid = ANY (ARRAY(SELECT ctid FROM dead_letters WHERE at < $1 LIMIT $2))",
                    """
                    DELETE FROM evidence_panes WHERE ctid = ANY (ARRAY(
                        SELECT p.ctid FROM evidence_panes p LEFT JOIN rollouts r ON r.id = p.rollout
                        WHERE r.id IS NULL OR r.ended_at < $1 LIMIT $2))
                    """,
                    "DELETE FROM gateways WHERE ctid = ANY (ARRAY(SELECT ctid FROM gateways WHERE seen_at < $1 LIMIT $2))",
                ] {
                    while try await connection.query(sql, [oldest, Self.deleteLimit]).affected == Self.deleteLimit {}
                }
            }
        }
    }

    private func dropPartitions(before oldest: Int64) async throws {
        let tables = PostgresArray(Self.tables)
        try await pool.withTransaction { connection in
            try await connection.query("SELECT pg_advisory_xact_lock($1)", [Self.lock])
            let found = try await connection.query(
                """
                SELECT c.relname AS name,
                    substring(pg_get_expr(c.relpartbound, c.oid) FROM $$TO \\('?(-?[0-9]+)'?\\)$$)::bigint AS upper
                FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
                WHERE p.relname = ANY ($1) AND p.relnamespace = current_schema()::regnamespace
                """, [tables])
            for row in found.rows {
                let upper: Int64? = try row["upper"]
                guard let upper, upper <= oldest else { continue }
                let name: String = try row["name"]
                try await connection.script("DROP TABLE \"\(name)\"")
            }
        }
    }

    private static func day(_ milliseconds: Int64) -> Int64 {
        let (days, rest) = milliseconds.quotientAndRemainder(dividingBy: dayMs)
        return rest < 0 ? days - 1 : days
    }

    /// A table's name has no sign: days before the epoch are marked with `m`.
    private static func suffix(_ day: Int64) -> String { day < 0 ? "m\(-day)" : "d\(day)" }
}

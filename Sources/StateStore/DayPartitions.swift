import Core
package import PostgresClient
import Synchronization

/// The partitions, by days (UTC), of the tables that grow with time.
package final class DayPartitions: Sendable {
    package static let dayMs: Int64 = 86_400_000
    /// Days made ahead.
    private static let ahead: Int64 = 2
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
                for table in PartitionedTable.all {
                    let start = RollupDue.floor(day * Self.dayMs, to: table.lengthMs)
                    try await connection.script(
                        """
                        CREATE TABLE IF NOT EXISTS \(table.name)_\(Self.suffix(start / Self.dayMs))
                        PARTITION OF \(table.name) FOR VALUES FROM (\(start)) TO (\(start + table.lengthMs))
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
    ///   - keep: how long; a day at least.
    package func maintain(now: Int64, keep: Retention) async throws {
        try await storing {
            let today = Self.day(now)
            try await make(for: (0...Self.ahead).map { (today + $0) * Self.dayMs })
            func oldest(_ days: Int) -> Int64 { (today - Int64(max(1, days))) * Self.dayMs }
            for table in PartitionedTable.all where table.level == nil {
                try await drop(table, before: oldest(table.keep(keep)))
            }
            try await dropLevel("window", coarser: "hour", before: oldest(keep.windows))
            try await dropLevel("hour", coarser: "day", before: oldest(keep.hours))
            let oldest = oldest(keep.records)
            forget()
            try await pool.withConnection { connection in
                for sql in [
                    "DELETE FROM dead_letters WHERE ctid = ANY (ARRAY(SELECT ctid FROM dead_letters WHERE at < $1 LIMIT $2))",
                    """
                    DELETE FROM evidence_panes WHERE ctid = ANY (ARRAY(
                        SELECT p.ctid FROM evidence_panes p LEFT JOIN rollouts r ON r.id = p.rollout
                        WHERE r.id IS NULL OR r.ended_at < $1 LIMIT $2))
                    """,
                    """
                    DELETE FROM findings WHERE ctid = ANY (ARRAY(
                        SELECT ctid FROM findings WHERE status = 'closed' AND closed_at < $1 LIMIT $2))
                    """,
                    "DELETE FROM probes WHERE ctid = ANY (ARRAY(SELECT ctid FROM probes WHERE at < $1 LIMIT $2))",
                    "DELETE FROM events WHERE ctid = ANY (ARRAY(SELECT ctid FROM events WHERE at < $1 LIMIT $2))",
                    "DELETE FROM gateways WHERE ctid = ANY (ARRAY(SELECT ctid FROM gateways WHERE seen_at < $1 LIMIT $2))",
                ] {
                    while try await connection.query(sql, [oldest, Self.deleteLimit]).affected == Self.deleteLimit {}
                }
            }
        }
    }

    private func drop(_ table: PartitionedTable, before oldest: Int64) async throws {
        try await pool.withTransaction { connection in
            try await connection.query("SELECT pg_advisory_xact_lock($1)", [Self.lock])
            for (name, _) in try await connection.partitions([table.name], endingBy: oldest) {
                try await connection.script("DROP TABLE \"\(name)\"")
            }
        }
    }

    /// Drops what has been rolled up, results and feedback of the same time at once.
    ///
    /// - Parameter coarser: the level that is read instead from then on.
    private func dropLevel(_ level: String, coarser: String, before oldest: Int64) async throws {
        let tables = PartitionedTable.all.filter { $0.level == level }
        guard let length = tables.first?.lengthMs else { return }
        let ends = try await pool.withConnection { try await $0.partitions(tables.map(\.name), endingBy: oldest) }
        for end in Set(ends.map(\.end)).sorted() {
            try await pool.withTransaction { connection in
                try await connection.query("SELECT pg_advisory_xact_lock($1)", [Self.lock])
                let names = try await connection.partitions(tables.map(\.name), endingBy: end)
                    .filter { $0.end == end }.map(\.name).sorted()
                for name in names { try await connection.script("LOCK TABLE \"\(name)\" IN ACCESS EXCLUSIVE MODE") }
                // Locked out, no checkpoint changes these rows any more; what changed before has left a note.
                let due = try await connection.query(
                    "SELECT 1 FROM rollups_due WHERE level = $1 AND start >= $2 AND start < $3 LIMIT 1",
                    [coarser, end - length, end])
                guard due.isEmpty else { return }
                try await connection.query(
                    "UPDATE window_levels SET kept_from = GREATEST(kept_from, $2) WHERE level = $1", [level, end])
                for name in names { try await connection.script("DROP TABLE \"\(name)\"") }
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

extension PostgresConnection {
    /// The partitions of these tables whose time is over by `oldest`.
    fileprivate func partitions(_ tables: [String], endingBy oldest: Int64) async throws -> [(name: String, end: Int64)]
    {
        let found = try await query(
            """
            SELECT c.relname AS name,
                substring(pg_get_expr(c.relpartbound, c.oid) FROM $$TO \\('?(-?[0-9]+)'?\\)$$)::bigint AS upper
            FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
            WHERE p.relname = ANY ($1) AND p.relnamespace = current_schema()::regnamespace
            """, [PostgresArray(tables)])
        return try found.rows.compactMap { row in
            let upper: Int64? = try row["upper"]
            guard let upper, upper <= oldest else { return nil }
            return (try row["name"], upper)
        }
    }
}

package import ControlLoop
import Core
package import PostgresClient
import StreamProcessing

/// Where a backfill notes what it is, for those who look at it and for its own next start.
package struct BackfillStore: Sendable {
    /// Refused records that are looked up at most.
    private static let mostRefused = 100_000

    static let columns = """
        job, topic, range_from, range_to, array_to_string(definitions, ',') AS definitions,
        array_to_string(whole_from, ',') AS whole_from, note, started_at, finished_at
        """

    private let store: PostgresControlStore

    package init(_ pool: PostgresPool) { store = PostgresControlStore(pool) }

    package func find(_ job: String) async throws -> Backfill? {
        try await store.rows("SELECT \(Self.columns) FROM backfills WHERE job = $1", [job], Backfill.init).first
    }

    package func start(_ backfill: Backfill) async throws {
        try await storing {
            try await store.pool.withConnection { connection in
                _ = try await connection.query(
                    """
                    INSERT INTO backfills (job, topic, range_from, range_to, definitions, whole_from, started_at)
                    VALUES ($1, $2, $3, $4, $5::text[], $6::bigint[], $7)
                    """,
                    [
                        backfill.job, backfill.topic, backfill.range.lowerBound, backfill.range.upperBound,
                        PostgresArray(backfill.definitions.map(\.name)),
                        PostgresArray(backfill.definitions.map(\.wholeFrom)), backfill.startedAt,
                    ])
            }
        }
    }

    package func finish(_ job: String, note: String, now: Int64) async throws {
        try await storing {
            try await store.pool.withConnection {
                _ = try await $0.query(
                    "UPDATE backfills SET note = $2, finished_at = $3 WHERE job = $1", [job, note, now])
            }
        }
    }

    /// Offsets, by partition, that were refused as ahead of the clock of their time: a later clock would not refuse them.
    ///
    /// - Parameter time: Only what was refused since, milliseconds since the epoch.
    package func refusedAsFuture(topic: String, since time: Int64) async throws -> [Int: Set<Int64>] {
        let found = try await store.rows(
            """
            SELECT partition, "offset" FROM dead_letters WHERE topic = $1 AND reason = $2 AND at >= $3
            ORDER BY at LIMIT $4
            """, [topic, DeadLetter.Reason.future.rawValue, time, Self.mostRefused]
        ) { row in (try row["partition"] as Int, try row["offset"] as Int64) }
        return found.reduce(into: [:]) { $0[$1.0, default: []].insert($1.1) }
    }
}

extension Backfill {
    init(_ row: PostgresRow) throws {
        let (names, starts): (String, String) = (try row["definitions"], try row["whole_from"])
        let from: Int64 = try row["range_from"]
        let parts = zip(names.split(separator: ","), starts.split(separator: ",")).map { name, start in
            Definition(name: String(name), wholeFrom: Int64(start) ?? from)
        }
        self.init(
            job: try row["job"], topic: try row["topic"], range: from..<(try row["range_to"]), definitions: parts,
            startedAt: try row["started_at"], finishedAt: try row["finished_at"], note: try row["note"])
    }
}

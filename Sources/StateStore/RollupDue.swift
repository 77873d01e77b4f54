import Core
import PostgresClient
import StreamProcessing

/// Remembers, in the transaction that changes window results, which hours must be rolled up again.
enum RollupDue {
    static let hourMs: Int64 = 3_600_000

    static func mark(
        _ checkpoints: [Checkpoint], refusedFeedback refused: Set<UUIDv7>, _ connection: PostgresConnection
    ) async throws {
        struct Hour: Hashable, Comparable {
            var definition: String
            var start: Int64
            var partition: Int
            static func < (a: Self, b: Self) -> Bool {
                (a.definition, a.start, a.partition) < (b.definition, b.start, b.partition)
            }
        }
        var due: [Hour: Bool] = [:]
        for checkpoint in checkpoints {
            let partition = checkpoint.state.partition
            for (window, key) in checkpoint.results.map({ ($0.window, $0.key) })
                + checkpoint.retracted.map({ ($0.window, $0.key) })
            {
                due[Hour(definition: key.window, start: floor(window.start, to: hourMs), partition: partition)] = true
            }
            for delta in checkpoint.feedbackDeltas(refusing: refused) {
                let hour = Hour(
                    definition: delta.key.window, start: floor(delta.window.start, to: hourMs), partition: partition)
                due[hour] = due[hour] ?? false
            }
        }
        guard !due.isEmpty else { return }
        // In one order, so that two transactions never wait for each other.
        let hours = due.sorted { $0.key < $1.key }
        // The row is locked until this transaction ends: whoever rolls the hour up waits for it, or finds a new row.
        try await connection.query(
            """
            INSERT INTO rollups_due AS held (level, definition, start, partition, results)
            SELECT 'hour', * FROM unnest($1::text[], $2::bigint[], $3::int[], $4::bool[])
            ON CONFLICT (level, definition, start, partition)
            DO UPDATE SET results = held.results OR EXCLUDED.results
            """,
            [
                PostgresArray(hours.map(\.key.definition)), PostgresArray(hours.map(\.key.start)),
                PostgresArray(hours.map(\.key.partition)), PostgresArray(hours.map(\.value)),
            ])
    }

    static func floor(_ time: Int64, to step: Int64) -> Int64 {
        let rest = time % step
        return time - (rest < 0 ? rest + step : rest)
    }
}

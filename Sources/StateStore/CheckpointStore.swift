package import Core
package import PostgresClient
package import StreamProcessing
import Synchronization

/// Where one stream worker keeps its partitions. Offsets, windows, results and evidence are one transaction, so what
/// was counted is counted once, whatever fails.
package final class CheckpointStore: Sendable {
    let pool: PostgresPool
    let job: String
    let topic: String
    private let owner: String
    let days: DayPartitions

    /// - Parameters:
    ///   - job: names the state; another job reads the same topic from its beginning.
    ///   - owner: this worker, shown to people.
    package init(_ pool: PostgresPool, job: String, topic: String, owner: String) {
        self.pool = pool
        self.job = job
        self.topic = topic
        self.owner = owner
        days = DayPartitions(pool)
    }

    /// Takes a partition over from whoever had it; their commits fail from now on.
    ///
    /// - Returns: The epoch for commits, and the stored state; `nil` if nobody has stored any.
    /// - Throws: `TrimtabError` `store.topic_changed` when the job's state is of another topic.
    package func claim(partition: Int) async throws -> (epoch: Int64, state: PartitionState?) {
        try await storing {
            try await pool.withTransaction { connection in
                let found = try await connection.query(
                    """
                    INSERT INTO stream_partitions (job, partition, topic, owner, epoch) VALUES ($1, $2, $3, $4, 1)
                    ON CONFLICT (job, partition) DO UPDATE
                        SET epoch = stream_partitions.epoch + 1, owner = EXCLUDED.owner
                    RETURNING topic, epoch, state
                    """, [self.job, partition, self.topic, self.owner])
                guard let row = found.first, try row["topic"] == self.topic else {
                    throw TrimtabError(
                        "store.topic_changed", "Job '\(self.job)' has state of another topic than '\(self.topic)'.",
                        remedy: "Name a new job along with the new topic.")
                }
                guard let bytes: [UInt8] = try row["state"] else { return (try row["epoch"], nil) }
                guard var state = PartitionState(encoded: bytes) else {
                    throw PostgresControlStore.unreadable("partition state")
                }
                state.openWindows = try await connection.query(
                    """
                    SELECT * FROM stream_windows WHERE job = $1 AND partition = $2
                    ORDER BY window_end, window_start, definition, route, model_key, arm, policy, others
                    """, [self.job, partition]
                ).rows.map { row in
                    let id = try WindowID(row)
                    return OpenWindow(
                        window: id.window, key: id.key, pane: try row["pane"], emitted: try row["emitted"],
                        newEvents: try row["new_events"], newSince: try row["new_since"],
                        aggregate: try PostgresControlStore.aggregate(row))
                }
                return (try row["epoch"], state)
            }
        }
    }

    /// Makes known how many partitions the log has: one that nobody has claimed yet keeps results from being final.
    package func declare(partitions count: Int) async throws {
        try await storing {
            try await pool.withConnection {
                _ = try await $0.query(
                    """
                    INSERT INTO stream_partitions (job, partition, topic, owner, epoch)
                    SELECT $1, number, $2, '', 0 FROM generate_series(0, $3 - 1) number ON CONFLICT DO NOTHING
                    """, [self.job, self.topic, count])
            }
        }
    }

    /// Stores checkpoints of different partitions in one transaction, each under the epoch that its claim gave.
    ///
    /// - Returns: The partitions that another owner has claimed since; nothing of theirs is stored.
    package func commit(_ checkpoints: [(epoch: Int64, checkpoint: Checkpoint)]) async throws -> Set<Int> {
        guard !checkpoints.isEmpty else { return [] }
        return try await storing {
            try await days.make(for: checkpoints.flatMap(\.checkpoint.times))
            do {
                return try await write(checkpoints)
            } catch let error as PostgresError where error.isMissingPartition {
                // The day was dropped, or the table made, by someone else.
                days.forget()
                try await days.make(for: checkpoints.flatMap(\.checkpoint.times))
                return try await write(checkpoints)
            }
        }
    }

    /// Those of the requests that are kept.
    package func requests(_ ids: [UUIDv7]) async throws -> [UUIDv7: RequestRow] {
        guard let first = ids.map(\.milliseconds).min(), let last = ids.map(\.milliseconds).max() else { return [:] }
        let rows = try await storing {
            // A request ends after its id was made: the bounds spare the other days' indexes.
            try await pool.withConnection {
                try await $0.query(
                    "SELECT * FROM requests WHERE id = ANY ($1) AND at BETWEEN $2 AND $3",
                    [PostgresArray(ids), first - DayPartitions.dayMs, last + DayPartitions.dayMs])
            }.rows.map { try RequestRow($0) }
        }
        return Dictionary(rows.map { ($0.id, $0) }) { first, _ in first }
    }

    private func write(_ checkpoints: [(epoch: Int64, checkpoint: Checkpoint)]) async throws -> Set<Int> {
        let epochs = Dictionary(checkpoints.map { ($0.checkpoint.state.partition, $0.epoch) }) { $1 }
        let mine = checkpoints.map(\.checkpoint)
        return try await pool.withTransaction { connection in
            let rows = try await connection.query(
                """
                SELECT partition, epoch FROM stream_partitions WHERE job = $1 AND partition = ANY ($2)
                ORDER BY partition FOR UPDATE
                """, [self.job, PostgresArray(epochs.keys.sorted())]
            ).rows
            var owned: Set<Int> = []
            for row in rows where epochs[try row["partition"]] == (try row["epoch"] as Int64) {
                owned.insert(try row["partition"])
            }
            let stored = mine.filter { owned.contains($0.state.partition) }
            if !stored.isEmpty { try await CheckpointWriter(connection, self.job, self.topic).write(stored) }
            return Set(epochs.keys).subtracting(owned)
        }
    }
}

extension Checkpoint {
    /// The times by which the rows of this checkpoint are put into partitions of a day.
    var times: [Int64] {
        requests.map(\.at) + results.map(\.window.start) + feedback.map(\.storedAt)
    }
}

extension PostgresError {
    /// A row fits no partition (23514 without a constraint's name), or the partition is being dropped.
    var isMissingPartition: Bool { sqlState == "23514" || sqlState == "42P01" }
}

extension AttributedFeedback {
    /// By what its row is put into a partition of a day: the same for every repetition.
    var storedAt: Int64 { windows.first?.window.start ?? at }
}

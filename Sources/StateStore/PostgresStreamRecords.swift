package import ControlLoop
import Core
package import PostgresClient
import StreamProcessing

/// What people look at the stream with, in PostgreSQL.
package struct PostgresStreamRecords: StreamRecords {
    let store: PostgresControlStore

    package init(_ pool: PostgresPool) { store = PostgresControlStore(pool) }

    package func partitions() async throws -> [StreamPartition] {
        try await store.rows(
            """
            SELECT job, partition, topic, owner, next_offset, watermark, checkpointed_at FROM stream_partitions
            ORDER BY job, partition
            """
        ) { row in
            StreamPartition(
                job: try row["job"], partition: try row["partition"], topic: try row["topic"], owner: try row["owner"],
                nextOffset: try row["next_offset"], watermark: try row["watermark"],
                checkpointedAt: try row["checkpointed_at"])
        }
    }

    // MARK: Dead letters

    package func deadLetters(_ query: DeadLetterQuery) async throws -> [StoredDeadLetter] {
        try await store.rows(
            """
            SELECT * FROM dead_letters
            WHERE ($1::text IS NULL OR reason = $1) AND at >= $2 AND at < $3 AND NOT ($4 AND replayed_at IS NOT NULL)
                AND ($5::bigint IS NULL OR (at, topic, partition, "offset") < ($5, $6::text, $7::int, $8::bigint))
            ORDER BY at DESC, topic DESC, partition DESC, "offset" DESC LIMIT $9
            """,
            [
                query.reason?.rawValue, query.range.lowerBound, query.range.upperBound, query.openOnly,
                query.after?.at, query.after?.id.topic, query.after?.id.partition, query.after?.id.offset, query.limit,
            ], Self.letter)
    }

    package func deadLetter(_ id: DeadLetterID) async throws -> StoredDeadLetter? {
        try await store.rows(
            #"SELECT * FROM dead_letters WHERE topic = $1 AND partition = $2 AND "offset" = $3"#,
            [id.topic, id.partition, id.offset], Self.letter
        ).first
    }

    package func markReplayed(
        _ id: DeadLetterID, by actor: String, now: Int64, again: Bool, detail: String
    ) async throws {
        try await storing {
            try await store.pool.withTransaction { connection in
                let found = try await connection.query(
                    """
                    SELECT replayed_at FROM dead_letters WHERE topic = $1 AND partition = $2 AND "offset" = $3
                    FOR UPDATE
                    """, [id.topic, id.partition, id.offset])
                guard let row = found.first else { throw DeadLetterFault.missing(id) }
                if let before: Int64 = try row["replayed_at"], !again { throw DeadLetterFault.replayed(id, at: before) }
                try await connection.query(
                    """
                    UPDATE dead_letters SET replayed_at = $4, replayed_by = $5
                    WHERE topic = $1 AND partition = $2 AND "offset" = $3
                    """, [id.topic, id.partition, id.offset, now, actor])
                try await connection.audit(
                    actor, "deadletter.replay", subject: id.description, detail: detail, now: now)
            }
        }
    }

    private static func letter(_ row: PostgresRow) throws -> StoredDeadLetter {
        StoredDeadLetter(
            id: DeadLetterID(topic: try row["topic"], partition: try row["partition"], offset: try row["offset"]),
            at: try row["at"], reason: try row["reason"], detail: try row["detail"], raw: try row["raw"],
            replayedAt: try row["replayed_at"], replayedBy: try row["replayed_by"])
    }
}

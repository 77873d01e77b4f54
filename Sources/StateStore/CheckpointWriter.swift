import Core
import Foundation
import PostgresClient
import Statistics
import StreamProcessing
import Telemetry

/// Writes checkpoints inside the caller's transaction, each table with one statement, however many rows there are.
struct CheckpointWriter {
    private let connection: PostgresConnection
    private let job: String
    private let topic: String

    init(_ connection: PostgresConnection, _ job: String, _ topic: String) {
        self.connection = connection
        self.job = job
        self.topic = topic
    }

    func write(_ checkpoints: [Checkpoint]) async throws {
        for checkpoint in checkpoints {
            try await writeState(checkpoint)
            try await deleteResults(checkpoint.retracted, partition: checkpoint.state.partition)
        }
        try await writeRequests(checkpoints.flatMap(\.requests))
        try await writeResults(checkpoints.flatMap(\.results))
        let refused = try await writeFeedback(checkpoints.flatMap(\.feedback))
        for checkpoint in checkpoints {
            try await writeDeltas(checkpoint.feedbackDeltas(refusing: refused), partition: checkpoint.state.partition)
            try await writePanes(checkpoint.evidence(refusing: refused))
        }
        let letters = checkpoints.flatMap(\.deadLetters).map {
            DeadLetterStore.Row(
                topic: topic, partition: $0.partition, offset: $0.offset, at: $0.at, reason: $0.reason.rawValue,
                detail: $0.detail, raw: $0.raw)
        }
        try await DeadLetterStore.insert(letters, connection)
        // What a backfill counts is nobody's news, and is not rolled up.
        guard !job.hasPrefix(StreamJob.backfillPrefix) else { return }
        try await RollupDue.mark(checkpoints, refusedFeedback: refused, connection)
        if checkpoints.contains(where: { !$0.results.isEmpty }) {
            try await connection.query(
                "SELECT pg_notify('trimtab_change', $1)", [#"{"id":"\#(job)","kind":"windows"}"#])
        }
    }

    private func writeState(_ checkpoint: Checkpoint) async throws {
        let state = checkpoint.state
        try await connection.query(
            """
            UPDATE stream_partitions SET next_offset = $3, watermark = $4, state = $5,
                checkpointed_at = (extract(epoch FROM clock_timestamp()) * 1000)::bigint
            WHERE job = $1 AND partition = $2
            """, [job, state.partition, state.nextOffset, state.watermark, state.encoded()])
        if !checkpoint.purgedWindows.isEmpty {
            try await connection.query(
                """
                DELETE FROM stream_windows w USING unnest(\(WindowColumns.types(from: 3)))
                    AS gone (\(WindowColumns.names))
                WHERE w.job = $1 AND w.partition = $2 AND \(WindowColumns.match("w", "gone"))
                """, [job, state.partition] + WindowColumns.values(checkpoint.purgedWindows))
        }
        let changed = checkpoint.changedWindows
        guard !changed.isEmpty else { return }
        try await connection.query(
            """
            INSERT INTO stream_windows (job, partition, \(WindowColumns.names), pane, emitted, new_events, new_since,
                aggregate)
            SELECT $1, $2, * FROM unnest(\(WindowColumns.types(from: 3)), $11::int[], $12::bool[], $13::bigint[],
                $14::bigint[], $15::bytea[])
            ON CONFLICT (job, partition, definition, window_end, window_start, route, model_key, arm, policy, others)
            DO UPDATE SET pane = EXCLUDED.pane, emitted = EXCLUDED.emitted, new_events = EXCLUDED.new_events,
                new_since = EXCLUDED.new_since, aggregate = EXCLUDED.aggregate
            """,
            [job, state.partition] + WindowColumns.values(changed.map(\.id)) + [
                PostgresArray(changed.map(\.pane)), PostgresArray(changed.map(\.emitted)),
                PostgresArray(changed.map(\.newEvents)), PostgresArray(changed.map(\.newSince)),
                PostgresArray(changed.map { $0.aggregate.encoded() }),
            ])
    }

    /// By COPY into a table of the session's own, so that rows which are there already can be passed over.
    private func writeRequests(_ requests: [RequestRow]) async throws {
        guard !requests.isEmpty else { return }
        var rows = CopyRows()
        for request in requests { rows.append(request.fields) }
        try await connection.script(
            "CREATE TEMP TABLE IF NOT EXISTS incoming_requests (LIKE requests) ON COMMIT DELETE ROWS")
        try await connection.copy("COPY incoming_requests (\(RequestRow.columns)) FROM STDIN", rows)
        try await connection.query(
            """
            INSERT INTO requests (\(RequestRow.columns)) SELECT \(RequestRow.columns) FROM incoming_requests
            ON CONFLICT DO NOTHING
            """)
    }

    private func deleteResults(_ retracted: [WindowID], partition: Int) async throws {
        guard !retracted.isEmpty else { return }
        try await connection.query(
            """
            DELETE FROM window_results r USING unnest(\(WindowColumns.types(from: 3))) AS gone (\(WindowColumns.names))
            WHERE r.job = $1 AND r.partition = $2 AND \(WindowColumns.match("r", "gone"))
            """, [job, partition] + WindowColumns.values(retracted))
    }

    /// A later pane replaces the earlier, unless panes add up.
    private func writeResults(_ results: [WindowResult]) async throws {
        guard !results.isEmpty else { return }
        let all = results.map(\.aggregate)
        try await connection.query(
            """
            INSERT INTO window_results (job, \(WindowColumns.names), partition, delta, pane, kind, closes_at,
                requests, failures, cost_n, cost_sum, cost_sum_of_squares, unknown_cost, input_tokens, output_tokens,
                aggregate)
            SELECT $1, * FROM unnest(\(WindowColumns.types(from: 2)), $10::int[], $11::int[], $12::int[], $13::text[],
                $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[], $18::float8[], $19::float8[],
                $20::bigint[], $21::float8[], $22::float8[], $23::bytea[])
            ON CONFLICT (definition, route, window_start, window_end, model_key, arm, policy, others, partition, delta,
                job)
            DO UPDATE SET
                pane = EXCLUDED.pane, kind = EXCLUDED.kind, closes_at = EXCLUDED.closes_at, requests = EXCLUDED.requests, failures = EXCLUDED.failures,
                cost_n = EXCLUDED.cost_n, cost_sum = EXCLUDED.cost_sum,
                cost_sum_of_squares = EXCLUDED.cost_sum_of_squares, unknown_cost = EXCLUDED.unknown_cost,
                input_tokens = EXCLUDED.input_tokens, output_tokens = EXCLUDED.output_tokens,
                aggregate = EXCLUDED.aggregate
            """,
            [job] + WindowColumns.values(results.map { WindowID(window: $0.window, key: $0.key) }) + [
                PostgresArray(results.map(\.partition)), PostgresArray(results.map { $0.discarding ? $0.pane : 0 }),
                PostgresArray(results.map(\.pane)), PostgresArray(results.map(\.kind.rawValue)),
                PostgresArray(results.map(\.closesAt)),
                PostgresArray(all.map(\.requests)), PostgresArray(all.map(\.failures)),
                PostgresArray(all.map(\.cost.n)), PostgresArray(all.map(\.cost.sum)),
                PostgresArray(all.map(\.cost.sumOfSquares)), PostgresArray(all.map(\.unknownCost)),
                PostgresArray(all.map(\.inputTokens.sum)), PostgresArray(all.map(\.outputTokens.sum)),
                PostgresArray(all.map { $0.encoded() }),
            ])
    }

    /// - Returns: The ids that were stored before.
    private func writeFeedback(_ feedback: [AttributedFeedback]) async throws -> Set<UUIDv7> {
        guard !feedback.isEmpty else { return [] }
        let inserted = try await connection.query(
            """
            INSERT INTO feedback (id, window_start, request, at, name, value, pair)
            SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::bigint[], $5::text[], $6::float8[],
                $7::uuid[])
            ON CONFLICT DO NOTHING RETURNING id
            """,
            [
                PostgresArray(feedback.map(\.id)), PostgresArray(feedback.map(\.storedAt)),
                PostgresArray(feedback.map(\.request)), PostgresArray(feedback.map(\.at)),
                PostgresArray(feedback.map(\.name)), PostgresArray(feedback.map(\.value)),
                PostgresArray(feedback.map(\.pair)),
            ])
        let fresh = try inserted.rows.map { try $0["id"] as UUIDv7 }
        return Set(feedback.map(\.id)).subtracting(fresh)
    }

    private func writeDeltas(_ deltas: [FeedbackDelta], partition: Int) async throws {
        guard !deltas.isEmpty else { return }
        try await connection.query(
            """
            INSERT INTO window_feedback AS held (partition, \(WindowColumns.names), name, n, sum, sum_of_squares)
            SELECT $1, * FROM unnest(\(WindowColumns.types(from: 2)), $10::text[], $11::bigint[], $12::float8[],
                $13::float8[])
            ON CONFLICT (definition, route, window_start, window_end, model_key, arm, policy, others, name, partition)
            DO UPDATE SET
                n = held.n + EXCLUDED.n, sum = held.sum + EXCLUDED.sum,
                sum_of_squares = held.sum_of_squares + EXCLUDED.sum_of_squares
            """,
            [partition] + WindowColumns.values(deltas.map { WindowID(window: $0.window, key: $0.key) }) + [
                PostgresArray(deltas.map(\.name)), PostgresArray(deltas.map(\.values.n)),
                PostgresArray(deltas.map(\.values.sum)), PostgresArray(deltas.map(\.values.sumOfSquares)),
            ])
    }

    private func writePanes(_ panes: [EvidencePane]) async throws {
        guard !panes.isEmpty else { return }
        try await connection.query(
            """
            INSERT INTO evidence_panes (rollout, number, partition, step, arm, candidate_weight, trials)
            SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::int[], $4::int[], $5::text[], $6::float8[],
                $7::bytea[])
            ON CONFLICT DO NOTHING
            """,
            [
                PostgresArray(panes.map(\.key.rollout)), PostgresArray(panes.map(\.number)),
                PostgresArray(panes.map(\.partition)), PostgresArray(panes.map(\.key.step)),
                PostgresArray(panes.map(\.key.arm.rawValue)), PostgresArray(panes.map(\.candidateWeight)),
                PostgresArray(panes.map(\.encodedTrials)),
            ])
    }
}

/// The columns that name a window of one key, as parallel arrays.
enum WindowColumns {
    private static let columns = [
        ("window_start", "bigint"), ("window_end", "bigint"), ("route", "text"), ("model_key", "text"), ("arm", "text"),
        ("policy", "int"), ("definition", "text"), ("others", "text"),
    ]

    static let names = columns.map(\.0).joined(separator: ", ")

    static func types(from first: Int) -> String {
        columns.enumerated().map { "$\(first + $0.offset)::\($0.element.1)[]" }.joined(separator: ", ")
    }

    /// That two rows name the same window.
    static func match(_ one: String, _ other: String) -> String {
        columns.map { "\(one).\($0.0) = \(other).\($0.0)" }.joined(separator: " AND ")
    }

    static func values(_ ids: [WindowID]) -> [any PostgresEncodable] {
        [
            PostgresArray(ids.map(\.window.start)), PostgresArray(ids.map(\.window.end)),
            PostgresArray(ids.map(\.key.route)), PostgresArray(ids.map(\.key.modelKey)),
            PostgresArray(ids.map(\.key.arm.rawValue)), PostgresArray(ids.map(\.key.policy)),
            PostgresArray(ids.map(\.key.window)), PostgresArray(ids.map { OtherValues.text($0.key.others) }),
        ]
    }
}

/// The stored form of a key's values without columns: a JSON array of texts.
enum OtherValues {
    static func text(_ values: [String]) -> String {
        // Texts are always encodable.
        guard !values.isEmpty, let json = try? JSONEncoder().encode(values) else { return "[]" }
        return String(decoding: json, as: UTF8.self)
    }

    static func values(_ text: String) -> [String]? {
        text == "[]" ? [] : try? JSONDecoder().decode([String].self, from: Data(text.utf8))
    }
}

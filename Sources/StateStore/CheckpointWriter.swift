import Core
import Foundation
import PostgresClient
import Statistics
import StreamProcessing
import Telemetry

/// Writes checkpoints inside the caller's transaction, each table with one statement, or a few where there are many rows.
struct CheckpointWriter {
    /// Windows that one statement stores or deletes.
    private static let mostRows = 5_000

    private let connection: PostgresConnection
    private let job: String
    private let topic: String

    init(_ connection: PostgresConnection, _ job: String, _ topic: String) {
        self.connection = connection
        self.job = job
        self.topic = topic
    }

    func write(_ checkpoints: [Checkpoint]) async throws {
        try await writeStates(checkpoints.map(\.state))
        try await delete(checkpoints.held(\.purgedWindows), from: "stream_windows")
        try await writeWindows(checkpoints.held(\.changedWindows))
        try await delete(checkpoints.held(\.retracted), from: "window_results")
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

    private func writeStates(_ states: [PartitionState]) async throws {
        try await connection.query(
            """
            UPDATE stream_partitions held SET next_offset = new.next_offset, watermark = new.watermark,
                state = new.state, checkpointed_at = (extract(epoch FROM clock_timestamp()) * 1000)::bigint
            FROM unnest($2::int[], $3::bigint[], $4::bigint[], $5::bytea[])
                AS new (partition, next_offset, watermark, state)
            WHERE held.job = $1 AND held.partition = new.partition
            """,
            [
                job, PostgresArray(states.map(\.partition)), PostgresArray(states.map(\.nextOffset)),
                PostgresArray(states.map(\.watermark)), PostgresArray(states.map { $0.encoded() }),
            ])
    }

    private func writeWindows(_ changed: [Held<OpenWindow>]) async throws {
        for some in changed.chunks(of: Self.mostRows) {
            let windows = some.map(\.value)
            try await connection.query(
                """
                INSERT INTO stream_windows (job, partition, \(WindowColumns.names), pane, emitted, new_events, new_since,
                    aggregate)
                SELECT $1, * FROM unnest($2::int[], \(WindowColumns.types(from: 3)), $11::int[], $12::bool[],
                    $13::bigint[], $14::bigint[], $15::bytea[])
                ON CONFLICT (job, partition, definition, window_end, window_start, route, model_key, arm, policy, others)
                DO UPDATE SET pane = EXCLUDED.pane, emitted = EXCLUDED.emitted, new_events = EXCLUDED.new_events,
                    new_since = EXCLUDED.new_since, aggregate = EXCLUDED.aggregate
                """,
                [job, PostgresArray(some.map(\.partition))] + WindowColumns.values(windows.map(\.id)) + [
                    PostgresArray(windows.map(\.pane)), PostgresArray(windows.map(\.emitted)),
                    PostgresArray(windows.map(\.newEvents)), PostgresArray(windows.map(\.newSince)),
                    PostgresArray(windows.map { $0.aggregate.encoded() }),
                ])
        }
    }

    /// Deletes the rows of windows from a table that holds them by partition.
    private func delete(_ windows: [Held<WindowID>], from table: String) async throws {
        for some in windows.chunks(of: Self.mostRows) {
            try await connection.query(
                """
                DELETE FROM \(table) held
                USING unnest($2::int[], \(WindowColumns.types(from: 3))) AS gone (partition, \(WindowColumns.names))
                WHERE held.job = $1 AND held.partition = gone.partition AND \(WindowColumns.match("held", "gone"))
                """, [job, PostgresArray(some.map(\.partition))] + WindowColumns.values(some.map(\.value)))
        }
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

/// What a partition holds.
private struct Held<Value> {
    var partition: Int
    var value: Value
}

extension [Checkpoint] {
    /// What all of them hold of something, each with its partition.
    fileprivate func held<Value>(_ values: KeyPath<Checkpoint, [Value]>) -> [Held<Value>] {
        flatMap { checkpoint in
            checkpoint[keyPath: values].map { Held(partition: checkpoint.state.partition, value: $0) }
        }
    }
}

extension Array {
    fileprivate func chunks(of length: Int) -> [ArraySlice<Element>] {
        stride(from: 0, to: count, by: length).map { self[$0..<Swift.min($0 + length, count)] }
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

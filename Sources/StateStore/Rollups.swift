package import PostgresClient
package import StreamProcessing
import Core
import Statistics

/// Rolls window results up by hour and by day, for the times when finer ones are gone.
///
/// A step is rolled up once all that falls into it should have come, and again whenever something in it has changed
/// since: the transaction that changes a result notes it in `rollups_due`, and the transaction that rolls it up takes the
/// note away. Where the finer rows are gone already, what has come since is added instead, and taken from them.
package struct Rollups: Sendable {
    private let pool: PostgresPool
    private let days: DayPartitions
    /// Tumbling windows by name; others overlap or have no fixed places, and do not add up.
    private let definitions: [String: Definition]

    private struct Definition {
        var sizeMs: Int64
        var latenessMs: Int64
    }

    /// After its lateness, a step is rolled up even if a partition's watermark stands still, milliseconds.
    private static let marginMs: Int64 = 3_600_000
    /// Steps rolled up in one run; the next run goes on.
    private static let runLimit = 1_000
    /// Window results are read in slices of so much time, milliseconds.
    private static let sliceMs: Int64 = 300_000

    package init(_ pool: PostgresPool, definitions: [WindowDefinition]) {
        self.pool = pool
        days = DayPartitions(pool)
        self.definitions = definitions.reduce(into: [:]) { found, definition in
            guard case .tumbling(let size, _) = definition.assigner else { return }
            found[definition.name] = Definition(sizeMs: size, latenessMs: definition.latenessMs)
        }
    }

    /// Rolls up all that is due, hours before days.
    ///
    /// - Parameter now: milliseconds since the epoch.
    /// - Returns: How many steps were rolled up.
    @discardableResult
    package func run(now: Int64) async throws -> Int {
        try await storing {
            try await forgetOthers()
            let watermark = try await liveWatermark()
            var done = 0
            for level in [RollupLevel.hour, .day] {
                for (definition, start) in try await due(level, watermark: watermark, now: now) {
                    try await days.make(for: [start])
                    try await roll(level, definition, start)
                    done += 1
                }
            }
            return done
        }
    }

    /// Takes away the notes of windows that do not add up or are not declared any more.
    private func forgetOthers() async throws {
        let names = PostgresArray(definitions.keys.sorted())
        _ = try await pool.withConnection {
            try await $0.query("DELETE FROM rollups_due WHERE definition <> ALL ($1)", [names])
        }
    }

    /// The smallest of all partitions of live jobs; `.min` where one has none.
    private func liveWatermark() async throws -> Int64 {
        try await pool.withConnection {
            try await $0.query(
                """
                SELECT COALESCE(min(COALESCE(watermark, -9223372036854775808)), -9223372036854775808) AS watermark
                FROM stream_partitions WHERE NOT starts_with(job, '\(StreamJob.backfillPrefix)')
                """
            ).first?["watermark"] ?? .min
        }
    }

    private func due(_ level: RollupLevel, watermark: Int64, now: Int64) async throws -> [(String, Int64)] {
        let known = definitions.sorted { $0.key < $1.key }
        return try await pool.withConnection {
            try await $0.query(
                """
                SELECT d.definition, d.start FROM rollups_due d
                JOIN unnest($2::text[], $3::bigint[]) AS k (definition, rest) USING (definition)
                WHERE d.level = $1 AND (d.start + k.rest <= $4 OR d.start + k.rest <= $5)
                GROUP BY d.definition, d.start ORDER BY d.start, d.definition LIMIT $6
                """,
                [
                    level.rawValue, PostgresArray(known.map(\.key)),
                    PostgresArray(known.map { level.stepMs + $0.value.sizeMs + $0.value.latenessMs }), watermark,
                    now - Self.marginMs, Self.runLimit,
                ])
        }.rows.map { (try $0["definition"], try $0["start"]) }
    }

    /// Rolls one step of one definition up: all of it, or nothing.
    private func roll(_ level: RollupLevel, _ definition: String, _ start: Int64) async throws {
        try await pool.withTransaction { connection in
            // Waits for checkpoints that are changing the step; what comes after them leaves a new note.
            let notes = try await connection.query(
                "DELETE FROM rollups_due WHERE level = $1 AND definition = $2 AND start = $3 RETURNING results",
                [level.rawValue, definition, start]
            ).rows.map { try $0["results"] as Bool }
            guard !notes.isEmpty else { return }
            let kept: Int64 =
                try await connection.query(
                    "SELECT kept_from FROM window_levels WHERE level = $1", [level.finer]
                ).first?["kept_from"] ?? .min
            let step = Step(level: level, definition: definition, start: start, isSealed: start < kept)
            if notes.contains(true) { try await connection.rollResults(step, slice: Self.sliceMs) }
            try await connection.rollFeedback(step)
            guard level == .hour else { return }
            let day = RollupDue.floor(start, to: RollupLevel.day.stepMs)
            try await connection.query(
                """
                INSERT INTO rollups_due AS held (level, definition, start, partition, results)
                VALUES ('day', $1, $2, -1, $3::bool)
                ON CONFLICT (level, definition, start, partition)
                DO UPDATE SET results = held.results OR EXCLUDED.results
                """, [definition, day, notes.contains(true)])
        }
    }

    fileprivate struct Step: Sendable {
        let level: RollupLevel
        let definition: String
        let start: Int64
        /// Whether finer rows are gone, so that what there still is comes on top.
        let isSealed: Bool

        var end: Int64 { start + level.stepMs }
        var bounds: [any PostgresEncodable] { [definition, start, end] }
    }
}

enum RollupLevel: String, Sendable {
    case hour, day

    var stepMs: Int64 { self == .hour ? RollupDue.hourMs : DayPartitions.dayMs }
    /// What it is made from.
    var finer: String { self == .hour ? "window" : "hour" }
    var source: String { self == .hour ? "window_results" : "window_hours" }
    var target: String { self == .hour ? "window_hours" : "window_days" }
    var feedbackSource: String { self == .hour ? "window_feedback" : "window_feedback_hours" }
    var feedbackTarget: String { self == .hour ? "window_feedback_hours" : "window_feedback_days" }

    /// The condition on source rows of one step.
    var sources: String {
        let range = "definition = $1 AND window_start >= $2 AND window_start < $3"
        return self == .hour ? range + " AND NOT starts_with(job, '\(StreamJob.backfillPrefix)')" : range
    }
    var order: String {
        self == .hour ? "window_start, job, partition, delta" : "window_start"
    }
}

extension PostgresConnection {
    fileprivate func rollResults(_ step: Rollups.Step, slice: Int64) async throws {
        let level = step.level
        var sums: [WindowKey: WindowAggregate] = [:]
        func add(_ rows: some Sequence<PostgresRow>) throws {
            for row in rows {
                let key = try WindowKey(declared: row)
                let part = try PostgresControlStore.aggregate(row)
                if sums[key] == nil { sums[key] = part } else { sums[key]?.merge(part) }
            }
        }
        let columns = "definition, route, model_key, arm, policy, others, aggregate"
        let own: [any PostgresEncodable] = [step.definition, step.start]
        if step.isSealed {
            try add(
                try await query(
                    "SELECT \(columns) FROM \(level.target) WHERE definition = $1 AND window_start = $2", own
                ).rows)
        }
        let width = level == .hour ? slice : level.stepMs
        for from in stride(from: step.start, to: step.end, by: Int(width)) {
            try add(
                try await query(
                    "SELECT \(columns) FROM \(level.source) WHERE \(level.sources) ORDER BY \(level.order)",
                    [step.definition, from, from + width]
                ).rows)
        }
        try await query("DELETE FROM \(level.target) WHERE definition = $1 AND window_start = $2", own)
        if step.isSealed { try await query("DELETE FROM \(level.source) WHERE \(level.sources)", step.bounds) }
        guard !sums.isEmpty else { return }
        let rows = sums.sorted { $0.key < $1.key }
        let all = rows.map(\.value)
        let window = Window(start: step.start, end: step.end)
        try await query(
            """
            INSERT INTO \(level.target) (\(WindowColumns.names), requests, failures, cost_n, cost_sum,
                cost_sum_of_squares, unknown_cost, input_tokens, output_tokens, aggregate)
            SELECT * FROM unnest(\(WindowColumns.types(from: 1)), $9::bigint[], $10::bigint[], $11::bigint[],
                $12::float8[], $13::float8[], $14::bigint[], $15::float8[], $16::float8[], $17::bytea[])
            """,
            WindowColumns.values(rows.map { WindowID(window: window, key: $0.key) }) + [
                PostgresArray(all.map(\.requests)), PostgresArray(all.map(\.failures)),
                PostgresArray(all.map(\.cost.n)), PostgresArray(all.map(\.cost.sum)),
                PostgresArray(all.map(\.cost.sumOfSquares)), PostgresArray(all.map(\.unknownCost)),
                PostgresArray(all.map(\.inputTokens.sum)), PostgresArray(all.map(\.outputTokens.sum)),
                PostgresArray(all.map { $0.encoded() }),
            ])
    }

    fileprivate func rollFeedback(_ step: Rollups.Step) async throws {
        let level = step.level
        let range = "definition = $1 AND window_start >= $2 AND window_start < $3"
        if !step.isSealed {
            try await query(
                "DELETE FROM \(level.feedbackTarget) WHERE definition = $1 AND window_start = $2",
                [step.definition, step.start])
        }
        try await query(
            """
            INSERT INTO \(level.feedbackTarget) AS held (definition, window_start, window_end, route, model_key, arm,
                policy, others, name, n, sum, sum_of_squares)
            SELECT $1::text, $2::bigint, $3::bigint, route, model_key, arm, policy, others, name, sum(n)::bigint, sum(sum),
                sum(sum_of_squares)
            FROM \(level.feedbackSource) WHERE \(range) GROUP BY route, model_key, arm, policy, others, name
            ON CONFLICT (definition, window_start, route, model_key, arm, policy, others, name)
            DO UPDATE SET n = held.n + EXCLUDED.n, sum = held.sum + EXCLUDED.sum,
                sum_of_squares = held.sum_of_squares + EXCLUDED.sum_of_squares
            """, step.bounds)
        if step.isSealed { try await query("DELETE FROM \(level.feedbackSource) WHERE \(range)", step.bounds) }
    }
}

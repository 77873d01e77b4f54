package import ControlLoop
import Core
import PostgresClient
import StreamProcessing

extension PostgresStreamRecords {
    package func backfills() async throws -> [Backfill] {
        try await store.rows("SELECT \(BackfillStore.columns) FROM backfills ORDER BY job", [], Backfill.init)
    }

    package func compareBackfill(_ job: String, limit: Int) async throws -> BackfillComparison {
        guard try await !store.rows("SELECT job FROM backfills WHERE job = $1", [job], { _ in true }).isEmpty else {
            throw BackfillFault.missing(job)
        }
        var comparison = BackfillComparison()
        let counts = try await store.rows(
            "\(Self.compared) SELECT verdict, count(*) AS n FROM compared GROUP BY verdict", [job]
        ) { row in
            (try enumerated(try row["verdict"]) as BackfillComparison.Verdict, try row["n"] as Int64)
        }
        comparison.counts = Dictionary(counts) { $0 + $1 }
        comparison.differences = try await store.rows(
            """
            \(Self.compared) SELECT * FROM compared WHERE verdict NOT IN ('equal', 'not_final')
            ORDER BY window_end, window_start, \(Self.keyed), partition LIMIT $2
            """, [job, limit]
        ) { row in
            BackfillComparison.Difference(
                id: try WindowID(row), partition: try row["partition"], verdict: try enumerated(try row["verdict"]),
                live: try Self.figures(row, "live"), backfill: try Self.figures(row, "again"))
        }
        return comparison
    }

    package func deleteBackfill(_ job: String, by actor: String, now: Int64) async throws {
        try await storing {
            try await store.pool.withTransaction { connection in
                guard try await connection.query("DELETE FROM backfills WHERE job = $1", [job]).affected > 0 else {
                    throw BackfillFault.missing(job)
                }
                // A commit that waits for this row finds it gone afterwards, and stores nothing.
                try await connection.query("DELETE FROM stream_partitions WHERE job = $1", [job])
                try await connection.query("DELETE FROM window_results WHERE job = $1", [job])
                try await connection.audit(actor, "backfill.delete", subject: job, now: now)
            }
        }
    }

    private static func figures(_ row: PostgresRow, _ side: String) throws -> BackfillComparison.Figures? {
        guard let requests: Int64 = try row["\(side)_requests"] else { return nil }
        return BackfillComparison.Figures(
            requests: requests, failures: try row["\(side)_failures"], costNanoUSD: try row["\(side)_cost"])
    }

    private static let keyed = "definition, route, model_key, arm, policy, others"

    /// One row for each window, key and partition, by the backfill `$1`. Bytes are compared, since the same events in the
    /// same order give the same; where panes add up, their sums: how events fall into panes depends on the clock too.
    private static let compared = """
        WITH this AS (SELECT * FROM backfills WHERE job = $1),
        counted AS (SELECT u.* FROM this, unnest(definitions, whole_from) AS u (definition, whole_from)),
        parts AS (
            SELECT r.job = $1 AS again, \(keyed), window_start, window_end, partition,
                array_agg(aggregate ORDER BY delta, r.job) AS panes, sum(requests)::bigint AS requests,
                sum(failures)::bigint AS failures, sum(cost_n)::bigint AS cost_n, sum(cost_sum) AS cost,
                sum(unknown_cost)::bigint AS unknown_cost, sum(input_tokens) AS input_tokens,
                sum(output_tokens) AS output_tokens, max(closes_at) AS closes_at
            FROM window_results r JOIN counted USING (definition) CROSS JOIN this
            WHERE window_end <= this.range_to AND window_start >= GREATEST(
                    counted.whole_from, (SELECT kept_from FROM window_levels WHERE level = 'window'))
                AND (r.job = $1 OR NOT starts_with(r.job, '\(StreamJob.backfillPrefix)'))
            GROUP BY 1, \(keyed), window_start, window_end, partition
        ),
        marks AS (
            SELECT p.partition, max(p.watermark) AS watermark FROM stream_partitions p JOIN this USING (topic)
            WHERE NOT starts_with(p.job, '\(StreamJob.backfillPrefix)') GROUP BY p.partition
        ),
        compared AS (
            SELECT \(keyed), window_start, window_end, partition,
                live.requests AS live_requests, live.failures AS live_failures, live.cost AS live_cost,
                again.requests AS again_requests, again.failures AS again_failures, again.cost AS again_cost,
                CASE
                WHEN (live.panes = again.panes OR cardinality(live.panes) + cardinality(again.panes) > 2)
                    AND (live.requests, live.failures, live.cost_n, live.unknown_cost, live.input_tokens,
                        live.output_tokens, live.cost)
                    = (again.requests, again.failures, again.cost_n, again.unknown_cost, again.input_tokens,
                        again.output_tokens, again.cost) THEN 'equal'
                WHEN COALESCE(GREATEST(live.closes_at, again.closes_at) > marks.watermark, true) THEN 'not_final'
                WHEN live.requests IS NULL THEN 'only_backfill'
                WHEN again.requests IS NULL THEN 'only_live'
                ELSE 'differing' END AS verdict
            FROM (SELECT * FROM parts WHERE NOT again) live
            FULL JOIN (SELECT * FROM parts WHERE again) again
                USING (\(keyed), window_start, window_end, partition)
            LEFT JOIN marks USING (partition)
        )
        """
}

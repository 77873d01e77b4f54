package import Analysis
package import ControlLoop
package import Core
package import Policy
import PostgresClient
import Statistics
package import StreamProcessing
import Telemetry

extension PostgresControlStore {
    /// Quantiles of a look-back span come from the sketches of so many of its newest window results.
    private static var sketchLimit: Int { 2_000 }

    package func evidence(of rollout: UUIDv7, after cursor: [Int: Int64], limit: Int) async throws -> [EvidencePane] {
        let cursor = cursor.sorted { $0.key < $1.key }
        let panes = try await rows(
            """
            SELECT p.* FROM evidence_panes p
            LEFT JOIN unnest($2::int[], $3::bigint[]) AS folded (partition, number) ON folded.partition = p.partition
            WHERE p.rollout = $1 AND (folded.number IS NULL OR p.number > folded.number)
            ORDER BY p.number, p.partition, p.step, p.arm LIMIT $4
            """, [rollout, PostgresArray(cursor.map(\.key)), PostgresArray(cursor.map(\.value)), limit]
        ) { row in
            let key = EvidenceKey(rollout: rollout, step: try row["step"], arm: try enumerated(try row["arm"]))
            guard let trials = EvidencePane.trials(encoded: try row["trials"] as [UInt8]) else {
                throw Self.unreadable("evidence pane")
            }
            return EvidencePane(
                key: key, partition: try row["partition"], number: try row["number"],
                candidateWeight: try row["candidate_weight"], trials: trials)
        }
        return panes.count < limit ? panes : panes.withoutLastGroup()
    }

    package func statistics(route: RouteName, in range: Range<Int64>) async throws -> [TargetStatistics] {
        let bounds: [any PostgresEncodable] = [route, range.lowerBound, range.upperBound]
        let sums = try await rows(Self.sumsQuery, bounds) { row in
            var statistics = TargetStatistics(route: route.description, modelKey: try row["model_key"])
            statistics.requests = try row["requests"]
            statistics.failures = try row["failures"]
            statistics.cost = try Moments(row, prefix: "cost_")
            statistics.unknownCost = try row["unknown_cost"]
            statistics.quality = try Moments(row, prefix: "quality_")
            return statistics
        }
        var merged: [String: WindowAggregate] = [:]
        let sketches = try await rows(Self.sketchQuery, bounds) { row in
            (try row["model_key"] as String, try Self.aggregate(row))
        }
        for (model, aggregate) in sketches { merged[model, default: WindowAggregate()].merge(aggregate) }
        return sums.map { sums in
            var statistics = sums
            if let whole = merged[sums.modelKey] {
                statistics.setTimes(latency: whole.latency, ttft: whole.ttft)
            }
            return statistics
        }
    }

    package func windows(_ query: WindowQuery) async throws -> [MergedWindow] {
        let parameters: [any PostgresEncodable] = [
            query.route, query.range.lowerBound, query.range.upperBound, query.limit,
        ]
        var merged: [WindowID: MergedWindow] = [:]
        for (id, aggregate) in try await rows(
            Self.windowsQuery("window_history"), parameters,
            { row in
                (try WindowID(row), try Self.aggregate(row))
            })
        {
            merged[
                id,
                default: MergedWindow(window: id.window, key: id.key, aggregate: WindowAggregate(), feedback: [:])
            ].aggregate.merge(aggregate)
        }
        for (id, name, values) in try await rows(
            Self.windowsQuery("window_feedback_history"), parameters,
            { row in
                (try WindowID(row), try row["name"] as String, try Moments(row, prefix: ""))
            })
        {
            merged[id]?.feedback[name, default: Moments()].merge(values)
        }
        return merged.sorted { $0.key < $1.key }.map(\.value)
    }

    package func prices() async throws -> PriceBook {
        try await storing { try await pool.withConnection { try await $0.priceBook() } }
    }

    // MARK: Queries

    /// Results of the windows `requests`, without those of a backfill.
    private static let live = "definition = 'requests' AND NOT starts_with(job, '\(StreamJob.backfillPrefix)')"

    private static let sumsQuery = """
        SELECT r.*, COALESCE(f.n, 0) AS quality_n, COALESCE(f.sum, 0) AS quality_sum,
            COALESCE(f.sum_of_squares, 0) AS quality_sum_of_squares
        FROM (
            SELECT model_key, sum(requests)::bigint AS requests, sum(failures)::bigint AS failures,
                sum(cost_n)::bigint AS cost_n, sum(cost_sum) AS cost_sum,
                sum(cost_sum_of_squares) AS cost_sum_of_squares, sum(unknown_cost)::bigint AS unknown_cost
            FROM window_history
            WHERE \(live) AND route = $1 AND window_start >= $2 AND window_start < $3 AND model_key <> ''
            GROUP BY model_key
        ) r
        LEFT JOIN (
            SELECT model_key, sum(n)::bigint AS n, sum(sum) AS sum, sum(sum_of_squares) AS sum_of_squares
            FROM window_feedback_history
            WHERE definition = 'requests' AND route = $1 AND window_start >= $2 AND window_start < $3
                AND name = 'quality'
            GROUP BY model_key
        ) f USING (model_key)
        ORDER BY model_key
        """

    private static let sketchQuery = """
        SELECT model_key, aggregate FROM window_history
        WHERE \(live) AND route = $1 AND window_start >= $2 AND window_start < $3 AND model_key <> ''
        ORDER BY window_start DESC, window_end DESC, model_key, arm, policy, partition LIMIT \(sketchLimit)
        """

    /// The rows of `table` that belong to the newest windows.
    private static func windowsQuery(_ table: String) -> String {
        """
        WITH newest AS (
            SELECT window_start, window_end, model_key, arm, policy FROM window_history
            WHERE \(live) AND route = $1 AND window_start >= $2 AND window_start < $3
            GROUP BY window_start, window_end, model_key, arm, policy
            ORDER BY window_end DESC, window_start DESC, model_key DESC, arm DESC, policy DESC LIMIT $4
        )
        SELECT t.* FROM \(table) t JOIN newest USING (window_start, window_end, model_key, arm, policy)
        WHERE t.definition = 'requests' AND t.route = $1 AND t.window_start >= $2 AND t.window_start < $3\(
            table == "window_history" ? " AND NOT starts_with(t.job, '\(StreamJob.backfillPrefix)')" : "")
        ORDER BY t.window_start, t.window_end, t.model_key, t.arm, t.policy, t.partition
        """
    }

    static func aggregate(_ row: PostgresRow) throws -> WindowAggregate {
        guard let aggregate = WindowAggregate(encoded: try row["aggregate"] as [UInt8]) else {
            throw unreadable("window aggregate")
        }
        return aggregate
    }

    static func unreadable(_ what: String) -> TrimtabError {
        TrimtabError(
            "store.unreadable", "A stored \(what) cannot be read.",
            remedy: "Use the program's version that wrote it, or a newer one.")
    }
}

extension WindowID {
    init(_ row: PostgresRow) throws {
        self.init(
            window: Window(start: try row["window_start"], end: try row["window_end"]),
            key: try WindowKey(declared: row))
    }
}

extension WindowKey {
    init(_ row: PostgresRow) throws {
        self.init(
            route: try row["route"], modelKey: try row["model_key"], arm: try enumerated(try row["arm"]),
            policy: try row["policy"])
    }

    /// Of a table whose rows are of several definitions.
    init(declared row: PostgresRow) throws {
        guard let others = OtherValues.values(try row["others"]) else {
            throw PostgresControlStore.unreadable("window key")
        }
        self.init(
            window: try row["definition"], route: try row["route"], modelKey: try row["model_key"],
            arm: try enumerated(try row["arm"]), policy: try row["policy"], others: others)
    }
}

extension Moments {
    init(_ row: PostgresRow, prefix: String) throws {
        self.init(
            n: try row["\(prefix)n"], sum: try row["\(prefix)sum"], sumOfSquares: try row["\(prefix)sum_of_squares"])
    }
}

extension PostgresConnection {
    func priceBook() async throws -> PriceBook {
        try await query("SELECT document FROM prices ORDER BY revision DESC LIMIT 1").first?.document() ?? PriceBook()
    }
}

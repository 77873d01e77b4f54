package import ControlLoop
import Core
import PostgresClient
import Statistics
import StreamProcessing

extension PostgresStreamRecords {
    package func declaredWindows(_ query: DeclaredWindowQuery) async throws -> [DeclaredWindow] {
        var parameters: [any PostgresEncodable] = [
            query.definition.name, query.range.lowerBound, query.range.upperBound, query.limit,
        ]
        let filter = Self.filter(query, &parameters)
        let source = Self.source(query)
        let newest = """
            newest AS (
                SELECT \(Self.identity) FROM (\(source.results)) t WHERE \(filter) GROUP BY \(Self.identity)
                ORDER BY window_end DESC, window_start DESC, route DESC, model_key DESC, arm DESC, policy DESC,
                    others DESC LIMIT $4
            )
            """
        let bound = parameters
        var merged: [WindowID: DeclaredWindow] = [:]
        let parts = try await store.rows(
            """
            WITH \(newest)
            SELECT t.definition, t.window_start, t.window_end, t.route, t.model_key, t.arm, t.policy, t.others, t.kind,
                t.aggregate, COALESCE(t.job = '' OR t.closes_at <= w.watermark, false) AS final
            FROM (\(source.results)) t JOIN newest USING (\(Self.identity))
            LEFT JOIN (
                SELECT job, min(COALESCE(watermark, -9223372036854775808)) AS watermark FROM stream_partitions
                GROUP BY job) w ON w.job = t.job
            WHERE \(filter) ORDER BY t.partition, t.delta
            """, bound
        ) { row in
            let id = try WindowID(row)
            return DeclaredWindow(
                window: id.window, key: id.key, kind: try enumerated(try row["kind"]),
                aggregate: try PostgresControlStore.aggregate(row), isFinal: try row["final"])
        }
        for part in parts {
            if merged[part.id] == nil { merged[part.id] = part } else { merged[part.id]?.merge(part) }
        }
        if query.job == nil {
            let feedback = try await store.rows(
                """
                WITH \(newest)
                SELECT t.* FROM (\(source.feedback)) t JOIN newest USING (\(Self.identity))
                WHERE \(filter) ORDER BY t.partition
                """, bound
            ) { row in (try WindowID(row), try row["name"] as String, try Moments(row, prefix: "")) }
            for (id, name, values) in feedback { merged[id]?.feedback[name, default: Moments()].merge(values) }
        }
        let windows = merged.values.sorted { $0.id < $1.id }
        return query.level.stepMs.map { DeclaredWindow.inSteps(windows, of: $0) } ?? windows
    }

    private static let identity = "definition, window_start, window_end, route, model_key, arm, policy, others"

    /// The condition on one row `t`; adds what it compares with to the parameters.
    private static func filter(_ query: DeclaredWindowQuery, _ parameters: inout [any PostgresEncodable]) -> String {
        var terms = ["t.definition = $1", "t.window_start >= $2", "t.window_start < $3"]
        let others = query.definition.key.filter { !["route", "model", "arm", "policy"].contains($0.rawValue) }
        for (dimension, value) in query.values.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            parameters.append(value)
            let parameter = "$\(parameters.count)::text"
            switch dimension {
            case .route: terms.append("t.route = \(parameter)")
            case .model: terms.append("t.model_key = \(parameter)")
            case .arm: terms.append("t.arm = \(parameter)")
            case .policy: terms.append("t.policy::text = \(parameter)")
            default:
                let place = others.firstIndex(of: dimension) ?? 0
                terms.append("t.others::jsonb ->> \(place) = \(parameter)")
            }
        }
        return terms.joined(separator: " AND ")
    }

    /// The rows to read, and those of feedback. A coarser level is read where it has been rolled up already.
    private static func source(_ query: DeclaredWindowQuery) -> (results: String, feedback: String) {
        if let job = query.job {
            // A job's name is made of letters, digits, '.', '_' and '-'; quoted all the same.
            let quoted = job.replacing("'", with: "''")
            return ("SELECT * FROM window_results WHERE job = '\(quoted)'", "SELECT * FROM window_feedback_history")
        }
        switch query.level {
        case .window: return ("SELECT * FROM window_history", "SELECT * FROM window_feedback_history")
        case .hour: return (stepped("hour"), feedback("hour"))
        case .day: return (stepped("day"), feedback("day"))
        }
    }

    private static let columns = """
        definition, window_start, window_end, route, model_key, arm, policy, others
        """
    private static let hourOf = "window_start - (window_start % 3600000 + 3600000) % 3600000"
    private static let dayOf = "window_start - (window_start % 86400000 + 86400000) % 86400000"

    /// Every window exactly once, as coarse as `level` allows.
    private static func pieces(_ level: String, fine: String, hours: String, days: String, own: String, made: String)
        -> String
    {
        let hourly = "SELECT \(columns), \(made) FROM \(hours)"
        let daily = "SELECT \(columns), \(made) FROM \(days)"
        let range = "definition = $1 AND window_start >= $2::bigint - 86400000 AND window_start < $3::bigint"
        let rolledHours = "SELECT window_start FROM window_hours WHERE \(range)"
        let rolledDays = "SELECT window_start FROM window_days WHERE \(range)"
        let gone = "(SELECT kept_from FROM window_levels WHERE level = 'hour')"
        if level == "hour" {
            return """
                SELECT \(columns), \(own) FROM \(fine)
                    WHERE \(hourOf) NOT IN (\(rolledHours)) AND window_start >= \(gone) AND \(live(fine))
                UNION ALL \(hourly) WHERE window_start >= \(gone)
                UNION ALL \(daily) WHERE window_start < \(gone)
                """
        }
        return """
            SELECT \(columns), \(own) FROM \(fine)
                WHERE \(hourOf) NOT IN (\(rolledHours)) AND \(dayOf) NOT IN (\(rolledDays)) AND \(live(fine))
            UNION ALL \(hourly) WHERE \(dayOf) NOT IN (\(rolledDays))
            UNION ALL \(daily)
            """
    }

    private static func live(_ table: String) -> String {
        table == "window_results" ? "NOT starts_with(job, '\(StreamJob.backfillPrefix)')" : "true"
    }

    private static func stepped(_ level: String) -> String {
        pieces(
            level, fine: "window_results", hours: "window_hours", days: "window_days",
            own: "partition, delta, kind, closes_at, job, aggregate",
            made: "-1 AS partition, 0 AS delta, 'ontime' AS kind, window_end AS closes_at, '' AS job, aggregate")
    }

    private static func feedback(_ level: String) -> String {
        pieces(
            level, fine: "window_feedback", hours: "window_feedback_hours", days: "window_feedback_days",
            own: "name, partition, n, sum, sum_of_squares", made: "name, -1 AS partition, n, sum, sum_of_squares")
    }
}

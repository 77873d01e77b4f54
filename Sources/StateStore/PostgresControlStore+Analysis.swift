package import Analysis
package import ControlLoop
package import Core
import PostgresClient
import Statistics
import StreamProcessing

extension PostgresControlStore: AnalysisStore {
    /// No window is longer, milliseconds: rows are kept apart by the day they start.
    private static let longestWindowMs: Int64 = 30 * 86_400_000

    package func measuredThrough() async throws -> Int64? {
        let watermarks: [Int64?] = try await rows(
            """
            SELECT CASE WHEN count(watermark) = count(*) THEN min(watermark) END AS watermark FROM stream_partitions
            WHERE NOT starts_with(job, '\(StreamJob.backfillPrefix)') GROUP BY job
            """
        ) { try $0["watermark"] }
        // A job that has been given up holds nobody back.
        return watermarks.compactMap { $0 }.max()
    }

    package func measuredSince(_ route: RouteName) async throws -> Int64? {
        let oldest: [Int64?] = try await rows(
            """
            SELECT min(window_start) AS oldest FROM window_results
            WHERE definition = $1 AND route = $2 AND NOT starts_with(job, '\(StreamJob.backfillPrefix)')
            """, [WindowDefinition.requests, route]
        ) { try $0["oldest"] }
        return oldest.first ?? nil
    }

    package func results(of definition: String, route: RouteName, endingIn range: Range<Int64>) async throws
        -> [MergedWindow]
    {
        let bounds: [any PostgresEncodable] = [
            definition, route, range.lowerBound, range.upperBound, range.lowerBound - Self.longestWindowMs,
        ]
        let these = """
            t.definition = $1 AND t.route = $2 AND t.window_end >= $3 AND t.window_end < $4 AND t.window_start >= $5
                AND t.window_start < $4
            """
        var merged: [WindowID: MergedWindow] = [:]
        let parts = try await rows(
            """
            SELECT t.* FROM window_results t WHERE \(these) AND NOT starts_with(t.job, '\(StreamJob.backfillPrefix)')
            ORDER BY t.partition, t.delta
            """, bounds
        ) { row in (try WindowID(row), try Self.aggregate(row)) }
        for (id, aggregate) in parts {
            if merged[id] == nil {
                merged[id] = MergedWindow(window: id.window, key: id.key, aggregate: aggregate, feedback: [:])
            } else {
                merged[id]?.aggregate.merge(aggregate)
            }
        }
        let feedback = try await rows("SELECT t.* FROM window_feedback t WHERE \(these) ORDER BY t.partition", bounds) {
            row in (try WindowID(row), try row["name"] as String, try Moments(row, prefix: ""))
        }
        for (id, name, values) in feedback { merged[id]?.feedback[name, default: Moments()].merge(values) }
        return merged.sorted { $0.key < $1.key }.map(\.value)
    }

    package func probes(of models: [String], in range: Range<Int64>) async throws -> [StoredProbe] {
        guard !models.isEmpty else { return [] }
        return try await rows(
            """
            SELECT * FROM probes WHERE model_key = ANY ($1) AND at >= $2 AND at < $3 ORDER BY at, model_key, probe
            """, [PostgresArray(models), range.lowerBound, range.upperBound]
        ) { row in
            let result = ProbeResult(
                probe: try row["probe"], digest: UInt64(bitPattern: try row["digest"]),
                outputTokens: try row["output_tokens"])
            return StoredProbe(modelKey: try row["model_key"], at: try row["at"], result: result)
        }
    }

    package func keep(_ probe: StoredProbe) async throws {
        try await storing {
            try await pool.withConnection { connection in
                _ = try await connection.query(
                    """
                    INSERT INTO probes (model_key, at, probe, digest, output_tokens) VALUES ($1, $2, $3, $4, $5)
                    ON CONFLICT DO NOTHING
                    """,
                    [
                        probe.modelKey, probe.at, probe.result.probe, Int64(bitPattern: probe.result.digest),
                        probe.result.outputTokens,
                    ])
            }
        }
    }

    package func analysis(of route: RouteName) async throws -> StoredAnalysis? {
        try await rows("SELECT through, state FROM analyses WHERE route = $1", [route]) { row in
            StoredAnalysis(through: try row["through"], state: try row["state"])
        }.first
    }

    package func findings(_ query: FindingQuery) async throws -> [Finding] {
        try await rows(
            """
            SELECT document FROM findings
            WHERE ($1::text IS NULL OR route = $1) AND ($2::text IS NULL OR analyzer = $2)
                AND ($3::text IS NULL OR code = $3) AND ($4::text IS NULL OR status = $4)
                AND ($5::text IS NULL OR severity = $5) AND ($6::uuid IS NULL OR id < $6)
            ORDER BY id DESC LIMIT $7
            """,
            [
                query.route, query.analyzer?.rawValue, query.code, query.status?.rawValue, query.severity?.rawValue,
                query.before, min(max(query.limit, 1), 500),
            ]
        ) { try $0.document() }
    }

    package func finding(_ id: UUIDv7) async throws -> Finding? {
        try await rows("SELECT document FROM findings WHERE id = $1", [id]) { try $0.document(Finding.self) }.first
    }
}

extension PostgresConnection {
    func save(_ finding: Finding) async throws {
        try await query(
            """
            INSERT INTO findings
                (id, route, analyzer, code, subject, severity, status, opened_at, updated_at, closed_at, document)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
            ON CONFLICT (id) DO UPDATE SET severity = EXCLUDED.severity, status = EXCLUDED.status,
                updated_at = EXCLUDED.updated_at, closed_at = EXCLUDED.closed_at, document = EXCLUDED.document
            """,
            [
                finding.id, finding.route, finding.analyzer.rawValue, finding.code, finding.subject.text,
                finding.severity.rawValue, finding.status.rawValue, finding.openedAt, finding.updatedAt,
                finding.closedAt, try StoredDocument.encode(finding),
            ])
        try await notify(
            Change(kind: .finding, route: RouteName(finding.route), id: finding.id.description))
    }

    func save(_ analysis: StoredAnalysis, of route: RouteName) async throws {
        try await query(
            """
            INSERT INTO analyses (route, through, state) VALUES ($1, $2, $3)
            ON CONFLICT (route) DO UPDATE SET through = EXCLUDED.through, state = EXCLUDED.state
            """, [route, analysis.through, analysis.state])
    }
}

package import ControlLoop
import Core
import Policy
import PostgresClient

extension PostgresControlStore {
    package func keep(_ report: RehearsalReport, by actor: String) async throws {
        try await storing {
            try await pool.withTransaction { connection in
                let locked = try await connection.query(
                    "SELECT 1 FROM routing_table WHERE route = $1 FOR UPDATE", [report.route])
                guard !locked.isEmpty else { throw Self.noRoute(report.route) }
                try await connection.query(
                    """
                    INSERT INTO rehearsals (id, route, at, policy, passed, terms, document)
                    VALUES ($1, $2, $3, $4, $5, $6, $7)
                    """,
                    [
                        report.id, report.route, report.at, report.stable, report.passed,
                        try StoredDocument.encode(report.terms), try StoredDocument.encode(report),
                    ])
                try await connection.query(
                    """
                    DELETE FROM rehearsals WHERE route = $1 AND id NOT IN (
                        SELECT id FROM rehearsals WHERE route = $1 ORDER BY id DESC
                        LIMIT \(RehearsalReport.keptPerRoute))
                    """, [report.route])
                try await connection.audit(
                    actor, "route.rehearse", route: report.route, subject: report.id.description,
                    detail: report.summary, now: report.at)
                try await connection.notify(
                    Change(kind: .route, route: report.route, id: report.route.description))
            }
        }
    }

    package func rehearsals(_ query: PageQuery) async throws -> [RehearsalReport] {
        var query = query
        query.state = nil
        return try await page(query, of: "rehearsals", state: "route") { try $0.document() }
    }
}

extension RehearsalVerdict {
    /// Terms of another version of the program, which cannot be read, hold for nothing.
    init?(_ row: PostgresRow) throws {
        let at: Int64? = try row["rehearsed_at"]
        guard let at else { return nil }
        let terms: String = try row["rehearsal_terms"]
        self.init(at: at, passed: try row["rehearsal_passed"], terms: try? StoredDocument.decode(terms))
    }
}

package import ControlLoop
package import Core
package import Decisions
import PostgresClient
package import Rollouts

extension PostgresControlStore {
    package func decisions(_ query: PageQuery) async throws -> [Decision] {
        try await page(query, of: "decisions", state: "status") { try $0.document() }
    }

    package func decision(_ id: UUIDv7) async throws -> Decision? {
        try await rows("SELECT document FROM decisions WHERE id = $1", [id]) { try $0.document(Decision.self) }.first
    }

    package func rollouts(_ query: PageQuery) async throws -> [Rollout] {
        try await page(query, of: "rollouts", state: "phase") { try $0.document() }
    }

    package func rollout(_ id: UUIDv7) async throws -> Rollout? {
        try await rows("SELECT document FROM rollouts WHERE id = $1", [id]) { try $0.document(Rollout.self) }.first
    }

    package func audit(_ query: PageQuery) async throws -> [AuditEntry] {
        try await page(query, of: "audit", state: "action") { row in
            AuditEntry(
                id: try row["id"], at: try row["at"], actor: try row["actor"], action: try row["action"],
                route: try row["route"], subject: try row["subject"], detail: try row["detail"])
        }
    }

    /// - Parameters:
    ///   - table: one with the columns `id` and `route`.
    ///   - state: the column that `query.state` is compared with.
    func page<Value: Sendable>(
        _ query: PageQuery, of table: String, state: String, _ decode: @Sendable (PostgresRow) throws -> Value
    ) async throws -> [Value] {
        try await rows(
            """
            SELECT * FROM \(table)
            WHERE ($1::text IS NULL OR route = $1) AND ($2::text IS NULL OR \(state) = $2)
                AND ($3::uuid IS NULL OR id < $3)
            ORDER BY id DESC LIMIT $4
            """, [query.route, query.state, query.before, min(max(query.limit, 1), 500)], decode)
    }
}

package import ControlLoop
package import Core
import Decisions
package import Policy
package import PostgresClient
import Rollouts

/// What the loop and the control API keep, in PostgreSQL.
package struct PostgresControlStore: ControlStore, AdminStore {
    let pool: PostgresPool
    /// A leader's epoch: once there is a newer leader, updates are refused.
    private var fence: (name: String, epoch: Int64)?

    package init(_ pool: PostgresPool) { self.pool = pool }

    /// The same store, for a leader: its updates fail with `store.not_leader` once another one leads.
    package func fenced(by lock: String, epoch: Int64) -> PostgresControlStore {
        var store = self
        store.fence = (lock, epoch)
        return store
    }

    package func routes() async throws -> [RouteName] {
        try await rows("SELECT name FROM routes ORDER BY name") { try $0["name"] }
    }

    package func state(of route: RouteName) async throws -> RouteState? {
        try await storing {
            try await pool.withTransaction { connection in
                // All parts of the state must be of one moment.
                try await connection.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                return try await connection.routeState(route, lock: false)
            }
        }
    }

    package func update<Result: Sendable>(
        _ route: RouteName,
        _ body: @escaping @Sendable (RouteState) throws -> (effects: [ControlEffect], result: Result)
    ) async throws -> Result {
        try await storing {
            try await pool.withTransaction { connection in
                try await checkFence(connection)
                guard let state = try await connection.routeState(route, lock: true) else { throw Self.noRoute(route) }
                let (effects, result) = try body(state)
                for effect in effects { try await connection.write(effect, of: route) }
                try await connection.insert(state.events(of: effects))
                return result
            }
        }
    }

    package func apply(_ route: Route, firstPolicy: RoutingPolicy?, by actor: String, now: Int64) async throws {
        try await storing {
            try await pool.withTransaction { connection in
                var route = route
                let found = try await connection.query(
                    "SELECT document FROM routes WHERE name = $1 FOR UPDATE", [route.name]
                ).first
                if let old: Route = try found?.document() {
                    route.baseline = route.baseline ?? old.baseline
                    try await connection.query(
                        "UPDATE routes SET document = $2, updated_at = $3 WHERE name = $1",
                        [route.name, try StoredDocument.encode(route), now])
                } else {
                    route.baseline = route.baseline ?? 1
                    try await connection.insert(route, firstPolicy, now: now)
                }
                try await connection.raiseEpoch(of: route.name)
                try await connection.audit(
                    actor, "route.apply", route: route.name, subject: route.name.description, now: now)
                try await connection.notify(Change(kind: .route, route: route.name, id: route.name.description))
            }
        }
    }

    package func delete(_ route: RouteName, by actor: String, now: Int64) async throws {
        try await storing {
            try await pool.withTransaction { connection in
                let deleted = try await connection.query("DELETE FROM routes WHERE name = $1", [route])
                guard deleted.affected > 0 else { throw Self.noRoute(route) }
                for table in [
                    "window_results", "window_feedback", "window_hours", "window_feedback_hours", "window_days",
                    "window_feedback_days",
                ] {
                    try await connection.query("DELETE FROM \(table) WHERE route = $1", [route])
                }
                try await connection.raiseRevision("table")
                try await connection.audit(actor, "route.delete", route: route, subject: route.description, now: now)
                try await connection.notify(Change(kind: .route, route: route, id: route.description))
            }
        }
    }

    package func policies(of route: RouteName) async throws -> [RoutingPolicy] {
        try await rows("SELECT document FROM policies WHERE route = $1 ORDER BY version", [route]) {
            try $0.document()
        }
    }

    package func policy(_ route: RouteName, version: Int) async throws -> RoutingPolicy? {
        try await rows("SELECT document FROM policies WHERE route = $1 AND version = $2", [route, version]) {
            try $0.document(RoutingPolicy.self)
        }.first
    }

    package func create(_ policy: RoutingPolicy, now: Int64) async throws -> RoutingPolicy {
        try await storing {
            try await pool.withTransaction { connection in
                // The route's lock orders the versions.
                let locked = try await connection.query(
                    "SELECT 1 FROM routing_table WHERE route = $1 FOR UPDATE", [policy.route])
                guard !locked.isEmpty else { throw Self.noRoute(policy.route) }
                var policy = policy
                policy.version = try await connection.latestVersion(policy.route) + 1
                policy.createdAt = now
                try await connection.insert(policy)
                try await connection.notify(
                    Change(kind: .policy, route: policy.route, id: String(policy.version)))
                return policy
            }
        }
    }

    // MARK: Parts

    func rows<Value: Sendable>(
        _ sql: String, _ parameters: [any PostgresEncodable] = [], _ decode: @Sendable (PostgresRow) throws -> Value
    ) async throws -> [Value] {
        try await storing {
            try await pool.withConnection { try await $0.query(sql, parameters) }.rows.map(decode)
        }
    }

    static func noRoute(_ route: RouteName) -> TrimtabError {
        TrimtabError(
            "store.no_route", "There is no route '\(route)'.", remedy: "List the routes with `trimtab routes`.")
    }

    private func checkFence(_ connection: PostgresConnection) async throws {
        guard let fence else { return }
        let row = try await connection.query("SELECT epoch FROM leaders WHERE name = $1 FOR SHARE", [fence.name]).first
        guard try row?["epoch"] == fence.epoch else {
            throw TrimtabError(
                "store.not_leader", "Another process leads since; nothing was written.",
                remedy: "Nothing needs to be done: this process stands by until it leads again.")
        }
    }
}

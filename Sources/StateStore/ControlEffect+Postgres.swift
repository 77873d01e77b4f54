import Analysis
import ControlLoop
import Core
import Decisions
import Policy
import PostgresClient
import Rollouts

extension PostgresConnection {
    /// Writes one effect inside the caller's transaction; readers are told when that is committed.
    func write(_ effect: ControlEffect, of route: RouteName) async throws {
        switch effect {
        case .savePolicy(let policy):
            try await insert(policy)
            try await notify(Change(kind: .policy, route: route, id: String(policy.version)))
        case .saveRollout(let rollout):
            try await save(rollout)
            try await notify(Change(kind: .rollout, route: route, id: rollout.id.description))
        case .setPointer(let pointer): try await set(pointer)
        case .renewLease(let until):
            try await query("UPDATE routing_table SET lease_until = $2 WHERE route = $1", [route, until])
            try await raiseRevision("leases")
        case .saveDecision(let decision):
            try await save(decision)
            try await notify(Change(kind: .decision, route: route, id: decision.id.description))
        case .saveFinding(let change): try await save(change.finding)
        case .saveAnalysis(let analysis): try await save(analysis, of: route)
        case .setBaseline(let version):
            try await query(
                "UPDATE routes SET document = jsonb_set(document, '{baseline}', to_jsonb($2::int)) WHERE name = $1",
                [route, version])
            try await raiseEpoch(of: route)
            try await notify(Change(kind: .route, route: route, id: route.description))
        case .audit(let entry): try await insert(entry)
        }
    }

    /// A route that is new: with its first policy, which it serves.
    func insert(_ route: Route, _ firstPolicy: RoutingPolicy?, now: Int64) async throws {
        guard var policy = firstPolicy else {
            throw TrimtabError(
                "store.first_policy", "Route \(route.name) is new and has no policy.",
                remedy: "Give it a first policy with at least one target.")
        }
        (policy.version, policy.route) = (1, route.name)
        try await query(
            "INSERT INTO routes (name, document, created_at, updated_at) VALUES ($1, $2, $3, $3)",
            [route.name, try StoredDocument.encode(route), now])
        try await insert(policy)
        try await query("INSERT INTO routing_table (route, stable, epoch) VALUES ($1, 1, 0)", [route.name])
    }

    func insert(_ policy: RoutingPolicy) async throws {
        try await query(
            """
            INSERT INTO policies (route, version, content_hash, created_at, created_by, document)
            VALUES ($1, $2, $3, $4, $5, $6)
            """,
            [
                policy.route, policy.version, policy.contentHash, policy.createdAt, policy.createdBy,
                try StoredDocument.encode(policy),
            ])
    }

    private func save(_ rollout: Rollout) async throws {
        try await query(
            """
            INSERT INTO rollouts
                (id, route, stable, candidate, phase, active, decision, created_at, ended_at, document)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
            ON CONFLICT (id) DO UPDATE SET phase = EXCLUDED.phase, active = EXCLUDED.active,
                ended_at = EXCLUDED.ended_at, document = EXCLUDED.document
            """,
            [
                rollout.id, rollout.route, rollout.stable, rollout.candidate, rollout.phase.name, rollout.isActive,
                rollout.decision, rollout.createdAt, rollout.endedAt, try StoredDocument.encode(rollout),
            ])
    }

    private func set(_ pointer: RoutePointer) async throws {
        let epoch = try await raiseRevision("table")
        try await query(
            """
            UPDATE routing_table SET stable = $2, candidate = $3, weight = $4, salt = $5, rollout = $6, step = $7,
                lease_until = $8, epoch = $9, eligibility = $10, mode = $11 WHERE route = $1
            """,
            [
                pointer.route, pointer.stable, pointer.candidate, pointer.weight, pointer.salt, pointer.rollout,
                pointer.step, pointer.leaseUntil, epoch, try pointer.eligibility.map { try StoredDocument.encode($0) },
                pointer.mode.rawValue,
            ])
        try await notify(Change(kind: .pointer, route: pointer.route, id: String(epoch)))
    }

    private func save(_ decision: Decision) async throws {
        try await query(
            """
            INSERT INTO decisions (id, route, at, status, document) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (id) DO UPDATE SET status = EXCLUDED.status, document = EXCLUDED.document
            """,
            [
                decision.id, decision.route, decision.at, decision.status.rawValue,
                try StoredDocument.encode(decision),
            ])
    }

    func insert(_ entry: AuditEntry) async throws {
        try await query(
            "INSERT INTO audit (id, at, actor, action, route, subject, detail) VALUES ($1, $2, $3, $4, $5, $6, $7)",
            [entry.id, entry.at, entry.actor, entry.action, entry.route, entry.subject, entry.detail])
    }

    func audit(
        _ actor: String, _ action: String, route: RouteName? = nil, subject: String, detail: String = "", now: Int64
    ) async throws {
        var generator = SystemRandomNumberGenerator()
        let id = UUIDv7(milliseconds: now, using: &generator)
        try await insert(
            AuditEntry(
                id: id, at: now, actor: actor, action: action, route: route, subject: subject, detail: detail))
    }

    // MARK: Telling others

    /// Counts a change. The row's lock is held to the end of the transaction, so that numbers rise in commit order and
    /// a reader that has seen one has seen all below it.
    @discardableResult
    func raiseRevision(_ name: String) async throws -> Int64 {
        let value: Int64? = try await query(
            "UPDATE revisions SET value = value + 1 WHERE name = $1 RETURNING value", [name]
        ).first?["value"]
        try await query("SELECT pg_notify('trimtab_table', $1)", [name])
        return value ?? 0
    }

    func raiseEpoch(of route: RouteName) async throws {
        let epoch = try await raiseRevision("table")
        try await query("UPDATE routing_table SET epoch = $2 WHERE route = $1", [route, epoch])
    }

    func notify(_ change: Change) async throws {
        try await query("SELECT pg_notify('trimtab_change', $1)", [try StoredDocument.encode(change)])
    }
}

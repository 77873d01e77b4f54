import ControlLoop
import Core
import Decisions
import Policy
import PostgresClient
import Rollouts

extension PostgresConnection {
    private static var historyLimit: Int { 50 }

    func routeState(_ route: RouteName, lock: Bool) async throws -> RouteState? {
        let found = try await query(
            """
            SELECT t.*, r.document, h.at AS rehearsed_at, h.passed AS rehearsal_passed, h.terms AS rehearsal_terms
            FROM routing_table t JOIN routes r ON r.name = t.route
            LEFT JOIN LATERAL (
                SELECT at, passed, terms FROM rehearsals WHERE route = t.route ORDER BY id DESC LIMIT 1
            ) h ON true
            WHERE t.route = $1 \(lock ? "FOR UPDATE OF t" : "")
            """, [route])
        guard let row = found.first else { return nil }
        let settings: Route = try row.document()
        let pointer = try RoutePointer(row)
        let rollout: Rollout? = try await query(
            "SELECT document FROM rollouts WHERE route = $1 AND active", [route]
        ).first?.document()
        let proposal: Decision? = try await query(
            "SELECT document FROM decisions WHERE route = $1 AND status = 'proposed' ORDER BY id DESC LIMIT 1", [route]
        ).first?.document()
        let named = [
            pointer.stable, pointer.candidate, settings.baseline, rollout?.stable, rollout?.candidate, proposal?.policy,
        ].compactMap { $0 }
        let policies: [RoutingPolicy] = try await query(
            "SELECT document FROM policies WHERE route = $1 AND version = ANY ($2)", [route, PostgresArray(named)]
        ).rows.map { try $0.document() }
        return RouteState(
            route: settings, pointer: pointer, policies: Dictionary(policies.map { ($0.version, $0) }) { $1 },
            rollout: rollout, proposal: proposal, history: try await history(of: route),
            latestVersion: try await latestVersion(route),
            rehearsal: try RehearsalVerdict(row))
    }

    func latestVersion(_ route: RouteName) async throws -> Int {
        try await query("SELECT COALESCE(max(version), 0) AS latest FROM policies WHERE route = $1", [route])
            .first?["latest"] ?? 0
    }

    private func history(of route: RouteName) async throws -> [RolloutHistory] {
        let model = { (table: String) in
            "\(table).document #>> '{targets,0,provider}' || '/' || (\(table).document #>> '{targets,0,model}')"
        }
        let rows = try await query(
            """
            SELECT r.id, r.phase, r.created_at, r.ended_at, r.decision IS NOT NULL AS by_decision,
                COALESCE(\(model("s")), '') AS from_model, COALESCE(\(model("c")), '') AS to_model
            FROM rollouts r
            LEFT JOIN policies s ON s.route = r.route AND s.version = r.stable
            LEFT JOIN policies c ON c.route = r.route AND c.version = r.candidate
            WHERE r.route = $1 AND NOT r.active AND r.ended_at IS NOT NULL
            ORDER BY r.id DESC LIMIT \(Self.historyLimit)
            """, [route]
        ).rows
        return try rows.map { row in
            let phase: String = try row["phase"]
            return RolloutHistory(
                rollout: try row["id"], fromModel: try row["from_model"], toModel: try row["to_model"],
                startedAt: try row["created_at"], endedAt: try row["ended_at"], promoted: phase == "promoted",
                rolledBack: phase == "rolled_back", byDecision: try row["by_decision"])
        }
    }
}

extension RoutePointer {
    init(_ row: PostgresRow) throws {
        self.init(route: try row["route"], stable: try row["stable"])
        candidate = try row["candidate"]
        weight = try row["weight"]
        salt = try row["salt"]
        rollout = try row["rollout"]
        step = try row["step"]
        leaseUntil = try row["lease_until"]
        epoch = try row["epoch"]
        let eligibility: String? = try row["eligibility"]
        self.eligibility = try eligibility.map { try StoredDocument.decode($0) }
        mode = Mode(rawValue: try row["mode"]) ?? .split
    }
}

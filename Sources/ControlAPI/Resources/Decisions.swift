import Analysis
import ControlLoop
import Core
import Decisions
import Hummingbird
import Policy

extension ControlAPI {
    static let decisionEndpoints: [Endpoint] = [
        Endpoint(
            "GET", "/api/v1/decisions", .viewer, "Lists decisions, newest first.",
            query: ["route", "status", "limit", "cursor"]
        ) { api, call in
            let page = try await call.page(
                state: try call.choice("status", Decision.Status.allCases.map(\.rawValue)), id: \Decision.id,
                view: { DecisionView(decision: $0, whole: false) }
            ) { try await api.store.decisions($0) }
            return Answer.json(page)
        },
        Endpoint("GET", "/api/v1/decisions/{id}", .viewer, "One decision with its input and alternatives.") {
            api, call in Answer.resource(DecisionView(decision: try await api.decision(call), whole: true), for: call)
        },
        Endpoint("POST", "/api/v1/decisions/{id}:approve", .operator, "Lets a proposed decision start its rollout.") {
            api, call in
            let decision = try await api.decision(call)
            return try await api.run(.approve(decision: decision.id), on: decision.route, call)
        },
        Endpoint("POST", "/api/v1/decisions/{id}:reject", .operator, "Puts a proposed decision aside.") { api, call in
            let decision = try await api.decision(call)
            return try await api.run(.reject(decision: decision.id), on: decision.route, call)
        },
        Endpoint("GET", "/api/v1/decisions/{id}/replay", .viewer, "Makes the decision again from its stored input.") {
            api, call in
            let decision = try await api.decision(call)
            return Answer.json(ReplayView(id: decision.id, storedEngine: decision.engine, result: replay(decision)))
        },
    ]

    private func decision(_ call: Call) async throws -> Decision {
        let id = try call.id("decision")
        guard let decision = try await store.decision(id) else {
            throw Problem.notFound(
                "There is no decision \(id).", remedy: "`trimtab decisions list` shows those there are.")
        }
        return decision
    }

    func run(_ command: Command, on route: RouteName, _ call: Call) async throws -> Response {
        Answer.json(CommandView(result: try await commands.handle(command, route: route, by: call.actor)))
    }
}

struct CommandView: Encodable {
    let result: CommandResult

    private enum CodingKeys: String, CodingKey { case changed, message, rollout }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(result.changed, forKey: .changed)
        try container.encode(result.message, forKey: .message)
        try container.encodeIfPresent(result.rollout, forKey: .rollout)
    }
}

/// A decision for people: what it does and why; whole, also everything it was made from.
struct DecisionView: Encodable {
    let decision: Decision
    let whole: Bool

    private enum CodingKeys: String, CodingKey {
        case id, route, at, engine, status, action, code, rationale, model, edits, forecast, policy, rollout, front
        case alternatives, input
        case decidedBy = "decided_by"
        case decidedAt = "decided_at"
        case waitsFor = "waits_for"
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(decision.id, forKey: .id)
        try container.encode(decision.route, forKey: .route)
        try container.encode(decision.at, forKey: .at)
        try container.encode(decision.engine, forKey: .engine)
        try container.encode(decision.status, forKey: .status)
        try container.encode(decision.outcome.code, forKey: .code)
        try container.encode(decision.outcome.rationale, forKey: .rationale)
        try container.encodeIfPresent(decision.policy, forKey: .policy)
        try container.encodeIfPresent(decision.rollout, forKey: .rollout)
        try container.encodeIfPresent(decision.decidedBy, forKey: .decidedBy)
        try container.encodeIfPresent(decision.decidedAt, forKey: .decidedAt)
        try container.encodeIfPresent(decision.waitsFor, forKey: .waitsFor)
        switch decision.outcome.action {
        case .none: try container.encode("none", forKey: .action)
        case .change(let candidate):
            try container.encode("change", forKey: .action)
            try container.encode(candidate.modelKey, forKey: .model)
            try container.encode(candidate.edits, forKey: .edits)
            try container.encode(candidate.forecast, forKey: .forecast)
        }
        guard whole else { return }
        try container.encode(decision.outcome.alternatives, forKey: .alternatives)
        try container.encode(decision.input, forKey: .input)
    }
}

/// A decision made again, beside the one that is kept.
private struct ReplayView: Encodable {
    let id: UUIDv7
    let storedEngine: String
    let result: ReplayResult

    enum CodingKeys: String, CodingKey {
        case id, engine, matches
        case storedEngine = "stored_engine"
    }

    func encode(to encoder: any Encoder) throws {
        try result.encode(to: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(id, forKey: .id)
        try container.encode(DecisionEngine.name, forKey: .engine)
        try container.encode(storedEngine, forKey: .storedEngine)
        try container.encode(result.matches, forKey: .matches)
    }
}

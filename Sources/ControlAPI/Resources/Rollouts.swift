import ControlLoop
import Core
import Foundation
import Hummingbird
import Policy
import Rollouts

extension ControlAPI {
    static let rolloutEndpoints: [Endpoint] = [
        Endpoint(
            "GET", "/api/v1/rollouts", .viewer, "Lists rollouts, newest first.",
            query: ["route", "state", "limit", "cursor"]
        ) { api, call in
            let page = try await call.page(
                state: try call.choice("state", RolloutPhase.names), id: \Rollout.id,
                view: { RolloutView(rollout: $0, at: api.hooks.now()) }
            ) { try await api.store.rollouts($0) }
            return Answer.json(page)
        },
        Endpoint(
            "POST", "/api/v1/rollouts", .operator, "Starts a rollout of an existing policy version.", creates: true
        ) { api, call in try await api.startRollout(call) },
        Endpoint("GET", "/api/v1/rollouts/{id}", .viewer, "One rollout with what happened on it.") { api, call in
            Answer.resource(
                RolloutView(rollout: try await api.rollout(call), at: api.hooks.now(), whole: true), for: call)
        },
        verb("pause", "Holds the weight and the step's clock; guardrails go on.") { rollout, _ in
            .pause(rollout: rollout.id)
        },
        verb("resume", "Lets a paused rollout go on.") { rollout, _ in .resume(rollout: rollout.id) },
        verb("skip", "To the next step at once; guardrails go on.") { rollout, _ in .skip(rollout: rollout.id) },
        verb("retry", "Tries an ended rollout's change once more, with fresh salt and evidence.") { rollout, reason in
            .retry(rollout: rollout.id, reason: reason)
        },
        Endpoint(
            "POST", "/api/v1/rollouts/{id}:waive", .operator,
            "One guardrail neither rolls back nor holds for so long, at most a day; 0 s ends that."
        ) { api, call in try await api.waive(call) },
        verb("promote", "To 100 % at once, whatever the evidence.") { rollout, _ in .promote(rollout: rollout.id) },
        verb("abort", "Weight 0 at once.") { rollout, reason in .abort(rollout: rollout.id, reason: reason) },
    ]

    private static func verb(
        _ verb: String, _ summary: String, command: @escaping @Sendable (Rollout, _ reason: String) -> Command
    ) -> Endpoint {
        Endpoint("POST", "/api/v1/rollouts/{id}:\(verb)", .operator, summary) { api, call in
            let reason = call.body.isEmpty ? nil : try call.decode(ReasonBody.self).reason
            let rollout = try await api.rollout(call)
            return try await api.run(
                command(rollout, reason ?? "asked by \(call.actor)"), on: rollout.route, call)
        }
    }

    private func waive(_ call: Call) async throws -> Response {
        let body = try call.decode(WaiverBody.self)
        let longest = Waiver.longestMs / 1000
        var wrong: [Violation] = []
        if !(0...longest).contains(body.seconds) {
            wrong.append(Violation("/for_s", "\(body.seconds) is not 0 to \(longest): a waiver lasts a day at most."))
        }
        let reason = body.reason.trimmingCharacters(in: .whitespacesAndNewlines)
        if reason.isEmpty { wrong.append(Violation("/reason", "Say why: it goes into the audit.")) }
        guard wrong.isEmpty else { throw Problem.invalid(wrong) }
        let rollout = try await rollout(call)
        return try await run(
            .waive(rollout: rollout.id, guardrail: body.guardrail, forMs: body.seconds * 1000, reason: reason),
            on: rollout.route, call)
    }

    func rollout(_ call: Call) async throws -> Rollout {
        let id = try call.id("rollout")
        guard let rollout = try await store.rollout(id) else {
            throw Problem.notFound(
                "There is no rollout \(id).", remedy: "`trimtab rollouts list` shows those there are.")
        }
        return rollout
    }

    private func startRollout(_ call: Call) async throws -> Response {
        let body = try call.decode(StartBody.self)
        let reason = (body.reason ?? "started by hand").trimmingCharacters(in: .whitespacesAndNewlines)
        guard !reason.isEmpty else { throw Violation("/reason", "A reason is not empty. Say why, or leave it out.") }
        guard try await store.state(of: body.route) != nil else {
            throw Violation("/route", "There is no route '\(body.route)'.")
        }
        guard try await store.policy(body.route, version: body.policy) != nil else {
            throw Violation("/policy", "The route '\(body.route)' has no policy version \(body.policy).")
        }
        if let wrong = body.eligibility?.violations(), !wrong.isEmpty { throw Problem.invalid(wrong) }
        let command = Command.startRollout(
            RolloutRequest(
                policy: body.policy, goal: body.goal ?? .neutral, kind: body.kind ?? .canary,
                eligibility: body.eligibility,
                supersedes: body.supersede ?? false, reason: reason))
        let result = try await commands.handle(command, route: body.route, by: call.actor)
        var response = Answer.json(CommandView(result: result), status: result.rollout == nil ? 200 : 201)
        if let id = result.rollout { response.headers[.location] = "/api/v1/rollouts/\(id)" }
        return response
    }
}

private struct StartBody: RequestBody {
    let route: RouteName
    let policy: Int
    let goal: RolloutPlan.Goal?
    let kind: RolloutPlan.Kind?
    let eligibility: Eligibility?
    let supersede: Bool?
    let reason: String?

    static let shape = Shape.object([
        "route": .value, "policy": .value, "goal": .value, "kind": .value, "supersede": .value, "reason": .value,
        "eligibility": .object(["headers": .value, "keys": .value, "tags": .value]),
    ])
}

private struct ReasonBody: RequestBody {
    let reason: String?
    static let shape = Shape.object(["reason": .value])
}

private struct WaiverBody: RequestBody {
    let guardrail: Guardrail
    let seconds: Int64
    let reason: String

    static let shape = Shape.object(["guardrail": .value, "for_s": .value, "reason": .value])
    private enum CodingKeys: String, CodingKey {
        case guardrail, reason
        case seconds = "for_s"
    }
}

/// A rollout for people, and what it waits for at a time; whole, also what happened on it.
struct RolloutView: Encodable {
    let rollout: Rollout
    let at: Int64
    var whole = false

    private enum CodingKeys: String, CodingKey {
        case id, route, stable, candidate, decision, reason, plan, state, step, steps, weight, timeline, active, detail,
            kind
        case eligibility, acknowledgement, waivers
        case waitsFor = "waits_for"
        case retryOf = "retry_of"
        case createdAt = "created_at"
        case createdBy = "created_by"
        case stepStartedAt = "step_started_at"
        case endedAt = "ended_at"
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(rollout.id, forKey: .id)
        try container.encode(rollout.route, forKey: .route)
        try container.encode(rollout.stable, forKey: .stable)
        try container.encode(rollout.candidate, forKey: .candidate)
        try container.encodeIfPresent(rollout.decision, forKey: .decision)
        try container.encodeIfPresent(rollout.retryOf, forKey: .retryOf)
        try container.encode(rollout.plan.kind, forKey: .kind)
        try container.encodeIfPresent(rollout.eligibility, forKey: .eligibility)
        try container.encodeIfPresent(rollout.acknowledgement, forKey: .acknowledgement)
        try container.encode(rollout.reason, forKey: .reason)
        try container.encode(rollout.phase.name, forKey: .state)
        try container.encode(rollout.phase.explanation, forKey: .detail)
        try container.encode(rollout.isActive, forKey: .active)
        try container.encodeIfPresent(rollout.phase.step, forKey: .step)
        try container.encode(rollout.plan.steps, forKey: .steps)
        try container.encode(rollout.weight, forKey: .weight)
        try container.encode(rollout.createdAt, forKey: .createdAt)
        try container.encode(rollout.createdBy, forKey: .createdBy)
        try container.encode(rollout.stepStartedAt, forKey: .stepStartedAt)
        try container.encodeIfPresent(rollout.endedAt, forKey: .endedAt)
        if rollout.isActive, case .hold(let reason) = rollout.evaluate(now: at) {
            try container.encode(reason, forKey: .waitsFor)
        }
        if rollout.isActive {
            try container.encodeIfPresent(rollout.waivers?.filter { at < $0.until }, forKey: .waivers)
        }
        guard whole else { return }
        try container.encode(rollout.plan, forKey: .plan)
        try container.encode(rollout.timeline, forKey: .timeline)
    }
}

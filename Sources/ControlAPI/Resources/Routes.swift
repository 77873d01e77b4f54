import Analysis
import ControlLoop
import Core
import Decisions
import Hummingbird
import Policy
import Rollouts

extension ControlAPI {
    static let routeEndpoints: [Endpoint] = [
        Endpoint("GET", "/api/v1/routes", .viewer, "Lists routes.", query: ["limit", "cursor"]) { api, call in
            let page = try call.page(try await api.store.routes(), key: \.description)
            var views: [RouteView] = []
            for name in page.items {
                if let state = try await api.store.state(of: name) { views.append(RouteView(state)) }
            }
            return Answer.json(Page(items: views, nextCursor: page.nextCursor))
        },
        Endpoint("GET", "/api/v1/routes/{name}", .viewer, "One route.") { api, call in
            Answer.resource(RouteView(try await api.state(try call.route())), for: call)
        },
        Endpoint("PUT", "/api/v1/routes/{name}", .operator, "Makes a route, or replaces the settings of one.") {
            api, call in try await api.applyRoute(call)
        },
        Endpoint("DELETE", "/api/v1/routes/{name}", .operator, "Removes a route with its policies.") { api, call in
            let route = try await api.state(try call.route()).route.name
            try await api.store.delete(route, by: call.actor, now: api.hooks.now())
            return Answer.empty
        },
    ]

    func state(_ route: RouteName) async throws -> RouteState {
        guard let state = try await store.state(of: route) else {
            throw Problem.notFound(
                "There is no route '\(route)'.", remedy: "`trimtab routes list` shows those there are.")
        }
        return state
    }

    private func applyRoute(_ call: Call) async throws -> Response {
        let name = try call.route()
        let body = try call.decode(RouteBody.self)
        var errors = body.route.violations()
        if let (place, words) = AnalyzerSettings.problem(in: body.route.analyzers) {
            errors.append(.init("/analyzers/" + place.replacing(".", with: "/"), words))
        }
        if body.route.name != name {
            errors.append(.init("/name", "'\(body.route.name)' is not the route '\(name)' of the address."))
        }
        let existing = try await store.state(of: name)
        let now = hooks.now()
        let policy = body.policy?.policy(of: name, by: call.actor, now: now)
        if existing != nil, policy != nil {
            errors.append(
                .init("/policy", "The route exists; its first policy is given already. Add one under its policies."))
        } else if let policy {
            errors += policyViolations(policy).map { .init("/policy" + $0.pointer, $0.detail) }
        } else if existing == nil {
            errors.append(.init("/policy", "A new route needs its first policy, with at least one target."))
        }
        if let baseline = body.route.baseline {
            if existing == nil, baseline != 1 {
                errors.append(.init("/baseline", "A new route has policy version 1 only."))
            } else if existing != nil, try await store.policy(name, version: baseline) == nil {
                errors.append(.init("/baseline", "The route has no policy version \(baseline)."))
            }
        }
        guard errors.isEmpty else { throw Problem.invalid(errors) }
        try await store.apply(body.route, firstPolicy: policy, by: call.actor, now: now)
        return Answer.json(RouteView(try await state(name)), status: existing == nil ? 201 : 200)
    }
}

/// A route with what is in force on it.
private struct RouteView: Encodable {
    let state: RouteState

    init(_ state: RouteState) { self.state = state }

    enum CodingKeys: String, CodingKey {
        case pointer, rollout, proposal, rehearsal
        case latestVersion = "latest_version"
    }

    func encode(to encoder: any Encoder) throws {
        try state.route.encode(to: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(state.pointer, forKey: .pointer)
        try container.encodeIfPresent(state.rollout?.id, forKey: .rollout)
        try container.encodeIfPresent(state.proposal?.id, forKey: .proposal)
        try container.encode(state.latestVersion, forKey: .latestVersion)
        try container.encodeIfPresent(
            state.rehearsal.map { Rehearsed(at: $0.at, passed: $0.passed, missing: state.missingRehearsal) },
            forKey: .rehearsal)
    }

    private struct Rehearsed: Encodable {
        let at: Int64
        let passed: Bool
        /// Why it does not let `autonomy: auto` act.
        let missing: String?
    }
}

/// A route as people write it; what `GET` adds for the record is let through, so that its answer can be applied again.
struct RouteBody: RequestBody {
    let route: Route
    let policy: PolicyBody?

    enum CodingKeys: String, CodingKey { case policy }

    init(from decoder: any Decoder) throws {
        route = try Route(from: decoder)
        policy = try decoder.container(keyedBy: CodingKeys.self).decodeIfPresent(PolicyBody.self, forKey: .policy)
    }

    static let shape = Shape.object([
        "name": .value, "project": .value, "baseline": .value, "bad_below": .value, "allowed": .list(.value),
        "sticky": .value, "autonomy": .value, "holdout": .value, "policy": PolicyBody.shape,
        "exploration": .object(["share": .value]),
        "objective": .object([
            "quality": .object(["floor": .value, "tolerance": .value]),
            "latency": .object(["p95_ms": .value, "ttft_p95_ms": .value]),
            "cost": .object(["minimize": .value, "budget_day_usd": .value]),
        ]),
        "guardrails": .object(
            Dictionary(uniqueKeysWithValues: (["alpha"] + Guardrail.allCases.map(\.rawValue)).map { ($0, .value) })),
        "analyzers": .object(
            Dictionary(
                uniqueKeysWithValues: AnalyzerKind.allCases.map { kind in
                    let names = ["enabled"] + kind.thresholds.map(\.name)
                    return (kind.rawValue, .object(Dictionary(uniqueKeysWithValues: names.map { ($0, .value) })))
                })),
        "pointer": .value, "rollout": .value, "proposal": .value, "latest_version": .value,
        "rehearsal": .value,
    ])
}

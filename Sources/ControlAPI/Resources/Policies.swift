import ControlLoop
import Core
import Hummingbird
import Policy

extension ControlAPI {
    static let policyEndpoints: [Endpoint] = [
        Endpoint(
            "GET", "/api/v1/routes/{name}/policies", .viewer, "Lists a route's policies.", query: ["limit", "cursor"]
        ) { api, call in
            let route = try await api.state(try call.route()).route.name
            // Padded, so that text sorts as the numbers do.
            let page = try call.page(try await api.store.policies(of: route)) { policy in
                let text = String(policy.version)
                return String(repeating: "0", count: max(0, 9 - text.count)) + text
            }
            return Answer.json(Page(items: page.items.map(PolicyView.init), nextCursor: page.nextCursor))
        },
        Endpoint(
            "POST", "/api/v1/routes/{name}/policies", .operator, "Adds a policy version; it serves nothing yet.",
            creates: true
        ) { api, call in
            let route = try await api.state(try call.route()).route.name
            let body = try call.decode(PolicyBody.self)
            let policy = body.policy(of: route, by: call.actor, now: api.hooks.now())
            var errors = api.policyViolations(policy)
            if let parent = body.parent, try await api.store.policy(route, version: parent) == nil {
                errors.append(.init("/parent", "The route has no policy version \(parent)."))
            }
            guard errors.isEmpty else { throw Problem.invalid(errors) }
            let created = try await api.store.create(policy, now: api.hooks.now())
            var response = Answer.json(PolicyView(policy: created), status: 201)
            response.headers[.location] = "\(call.request.uri.path)/\(created.version)"
            return response
        },
        Endpoint("GET", "/api/v1/routes/{name}/policies/{version}", .viewer, "One policy version.") { api, call in
            Answer.resource(PolicyView(policy: try await api.policy(call)), for: call)
        },
        Endpoint(
            "POST", "/api/v1/routes/{name}/policies/{version}:activate", .operator,
            "Makes a version stable at once, without a canary."
        ) { api, call in
            let policy = try await api.policy(call)
            return try await api.run(.activate(policy: policy.version), on: policy.route, call)
        },
        Endpoint(
            "GET", "/api/v1/routes/{name}/policies/{version}/diff", .viewer, "What differs from another version.",
            query: ["against"]
        ) { api, call in
            let policy = try await api.policy(call)
            let against = try call.number("against") ?? Int64(policy.parent ?? policy.version - 1)
            guard let other = try await api.store.policy(policy.route, version: Int(clamping: against)) else {
                throw Violation("?against", "The route has no policy version \(against).")
            }
            return Answer.json(
                Diff(version: policy.version, against: other.version, differences: policy.diff(against: other)))
        },
        Endpoint("POST", "/api/v1/policies:validate", .viewer, "Says what is wrong with a policy, keeping nothing.") {
            api, call in
            let body = try call.decode(PolicyBody.self)
            guard let any = RouteName("validate") else { return Answer.empty }
            let errors = api.policyViolations(body.policy(of: any, by: call.actor, now: 0))
            return Answer.json(Validation(valid: errors.isEmpty, errors: errors))
        },
    ]

    func policyViolations(_ policy: RoutingPolicy) -> [Violation] {
        let models = Dictionary(settings.providers.map { ($0.name, $0.models) }) { $1 }
        return policy.violations(provider: { models[$0] != nil }, models: { models[$0] ?? [] })
    }

    /// The policy named in the path.
    private func policy(_ call: Call) async throws -> RoutingPolicy {
        let route = try call.route()
        let text = call.parameters["version"] ?? ""
        guard let version = Int(text), let policy = try await store.policy(route, version: version) else {
            throw Problem.notFound(
                "The route '\(route)' has no policy version '\(text)'.",
                remedy: "`trimtab policies list \(route)` shows those there are.")
        }
        return policy
    }

    private struct Diff: Encodable {
        let version, against: Int
        let differences: [PolicyDifference]
    }

    private struct Validation: Encodable {
        let valid: Bool
        let errors: [Violation]
    }
}

/// A policy with the hash of what it does.
struct PolicyView: Encodable {
    let policy: RoutingPolicy

    private enum CodingKeys: String, CodingKey { case hash = "content_hash" }

    func encode(to encoder: any Encoder) throws {
        try policy.encode(to: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(policy.contentHash, forKey: .hash)
    }
}

/// A policy as people write it; route, version and author are not theirs to say.
struct PolicyBody: RequestBody {
    let parent: Int?
    let reason: String?
    let targets: [Target]
    let selector: RoutingPolicy.Selector?
    let fallbacks: [String]?
    let timeouts: RoutingPolicy.Timeouts?

    func policy(of route: RouteName, by actor: String, now: Int64) -> RoutingPolicy {
        RoutingPolicy(
            route: route, version: 0, parent: parent, createdAt: now, createdBy: actor, reason: reason ?? "",
            targets: targets, selector: selector, fallbacks: fallbacks ?? [], timeouts: timeouts ?? .init())
    }

    static let shape = Shape.object([
        "parent": .value, "reason": .value,
        "targets": .list(.object(["id": .value, "provider": .value, "model": .value, "credentials": .value])),
        "selector": .object(["kind": .value, "weights": .map(.value)]), "fallbacks": .list(.value),
        "timeouts": .object(["connect_ms": .value, "first_byte_ms": .value, "idle_ms": .value, "total_ms": .value]),
    ])
}

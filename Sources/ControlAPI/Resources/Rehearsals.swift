import ControlLoop
import Core
import Hummingbird
import Policy

extension ControlAPI {
    static let rehearsalEndpoints: [Endpoint] = [
        Endpoint(
            "POST", "/api/v1/routes/{name}:rehearse", .operator,
            "Tries the route's guardrails on simulated traffic with injected faults, and keeps the score."
        ) { api, call in
            let route = try await api.state(try call.route()).route.name
            guard let rehearse = api.hooks.rehearse else {
                throw TrimtabError(
                    "rehearsal.unavailable", "This process does not rehearse.",
                    remedy: "Ask one with the role control.")
            }
            return Answer.json(RehearsalView(report: try await rehearse(route, call.actor)))
        },
        Endpoint(
            "GET", "/api/v1/routes/{name}/rehearsals", .viewer, "A route's rehearsals, newest first.",
            query: ["limit", "cursor"]
        ) { api, call in
            let route = try await api.state(try call.route()).route.name
            let page = try await call.page(
                state: nil, id: \RehearsalReport.id, view: { RehearsalView(report: $0) }
            ) { query in
                var query = query
                query.route = route
                return try await api.store.rehearsals(query)
            }
            return Answer.json(page)
        },
    ]
}

/// A rehearsal with what it comes to.
private struct RehearsalView: Encodable {
    let report: RehearsalReport

    private enum CodingKeys: String, CodingKey { case passed, summary }

    func encode(to encoder: any Encoder) throws {
        try report.encode(to: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(report.passed, forKey: .passed)
        try container.encode(report.summary, forKey: .summary)
    }
}

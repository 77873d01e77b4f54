import Hummingbird

extension ControlAPI {
    static let systemEndpoints: [Endpoint] = [
        Endpoint("GET", "/livez", nil, "Whether the process runs.") { _, _ in Answer.text("ok\n") },
        Endpoint("GET", "/readyz", nil, "Whether everything it needs to serve answers; 503 if not.") { api, _ in
            await api.readiness()
        },
        Endpoint("GET", "/healthz", nil, "The same as `/readyz`.") { api, _ in await api.readiness() },
        Endpoint("GET", "/metrics", nil, "Metrics in the Prometheus text format.") { api, _ in
            Answer.text(api.hooks.metrics(), type: "text/plain; version=0.0.4; charset=utf-8")
        },
    ]

    private func readiness() async -> Response {
        var results: [Readiness.Check] = []
        await withTaskGroup(of: (Int, Readiness.Check).self) { group in
            for (index, check) in hooks.checks.enumerated() {
                group.addTask {
                    let problem = await check.problem()
                    return (
                        index,
                        .init(name: check.name, ready: problem == nil, required: check.isRequired, detail: problem)
                    )
                }
            }
            var found: [(Int, Readiness.Check)] = []
            for await result in group { found.append(result) }
            results = found.sorted { $0.0 < $1.0 }.map(\.1)
        }
        let ready = results.allSatisfy { $0.ready || !$0.required }
        return Answer.json(Readiness(ready: ready, checks: results), status: ready ? 200 : 503)
    }

    private struct Readiness: Encodable {
        let ready: Bool
        let checks: [Check]

        struct Check: Encodable {
            let name: String
            let ready: Bool
            let required: Bool
            let detail: String?
        }
    }
}

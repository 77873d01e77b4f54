import ControlLoop
import Core
import Hummingbird
import NIOCore
import Policy
import ServiceLifecycle
import Telemetry

extension ControlAPI {
    static let measurementEndpoints: [Endpoint] = [
        Endpoint(
            "GET", "/api/v1/windows", .viewer,
            "What was measured: of one route over time, in steps, by policy version and arm, or results of a declared window.",
            query: ["route", "window", "key", "kind", "job", "from", "to", "span_ms", "step_ms"]
        ) { api, call in
            if let name = call.query["window"] { return try await api.declaredWindows(call, named: name) }
            for name in ["key", "kind", "job"] where call.query[name] != nil {
                throw Violation("?\(name)", "'\(name)' needs 'window', the name of a declared window.")
            }
            return try await api.series(call)
        },
        Endpoint("POST", "/api/v1/feedback", .operator, "Judges one request.", creates: true) { api, call in
            try await api.judge(call)
        },
        Endpoint(
            "GET", "/api/v1/audit", .viewer, "Who did what, newest first.",
            query: ["route", "action", "limit", "cursor"]
        ) { api, call in
            let page = try await call.page(state: call.query["action"], id: \AuditEntry.id, view: { $0 }) {
                try await api.store.audit($0)
            }
            return Answer.json(page)
        },
        Endpoint(
            "GET", "/api/v1/gateways", .viewer, "What each gateway last said of itself.", query: ["limit", "cursor"]
        ) { api, call in Answer.json(try call.page(try await api.store.gateways(), key: \.id)) },
        Endpoint("GET", "/api/v1/providers", .viewer, "The configured providers.", query: ["limit", "cursor"]) {
            api, call in Answer.json(try call.page(api.settings.providers, key: \.name))
        },
        Endpoint("GET", "/api/v1/events", .viewer, "Tells of every change, as server-sent events.") { api, call in
            try api.follow(call)
        },
    ]

    private func series(_ call: Call) async throws -> Response {
        guard let text = call.query["route"] else { throw Violation("?route", "'route' is missing.") }
        let route = try await state(try call.routeName(text, at: "?route")).route.name
        let to = try call.number("to") ?? hooks.now()
        let from = try call.number("from") ?? to - (try call.number("span_ms") ?? 3_600_000)
        guard from < to else { throw Violation("?from", "'from' lies before 'to'.") }
        let range = from..<to
        let step = try call.number("step_ms") ?? WindowSeries.step(for: range)
        guard step > 0, (to - from) / step <= WindowSeries.pointLimit else {
            throw Violation("?step_ms", "A series has at most \(WindowSeries.pointLimit) steps. Ask for longer ones.")
        }
        let query = WindowQuery(route: route, range: range, limit: WindowSeries.windowLimit)
        return Answer.json(WindowSeries(route, range, step: step, try await store.windows(query)))
    }

    private func judge(_ call: Call) async throws -> Response {
        let body = try call.decode(FeedbackBody.self)
        var errors: [Violation] = []
        let name = body.name ?? Feedback.quality
        if name.wholeMatch(of: /[a-z][a-z0-9_]{0,63}/) == nil {
            errors.append(.init("/name", "'\(name)' is not a name: use a-z, 0-9 and _, a letter first, at most 64."))
        }
        if !(0...1).contains(body.value) { errors.append(.init("/value", "\(body.value) is outside 0...1.")) }
        if let comment = body.comment, comment.utf8.count > 4096 {
            errors.append(.init("/comment", "A comment has at most 4096 bytes."))
        }
        guard errors.isEmpty else { throw Problem.invalid(errors) }
        var feedback = Feedback(
            id: body.id ?? newID(), request: body.request, at: hooks.now(), name: name, value: body.value,
            source: body.source ?? .user)
        feedback.pair = body.pair
        feedback.comment = body.comment
        try await self.feedback.append(feedback)
        return Answer.json(["id": feedback.id.description], status: 202)
    }

    private func follow(_ call: Call) throws -> Response {
        guard let events = events.open() else {
            throw Problem(
                status: 503, code: "events.full", detail: "\(EventHub.streamLimit) event streams are open already.",
                remedy: "Close some, or poll.")
        }
        let digest = call.identity?.digest ?? ""
        let authenticator = authenticator
        let body = ResponseBody { writer in
            try await writer.write(ByteBuffer(string: "retry: 2000\nevent: reset\ndata: {}\n\n"))
            // The server waits for open answers before it tells its other services to stop.
            for await event in events.cancelOnGracefulShutdown() {
                switch event {
                case .change(let change):
                    let data = String(decoding: try Answer.encode(change), as: UTF8.self)
                    try await writer.write(ByteBuffer(string: "event: change\ndata: \(data)\n\n"))
                case .reset: try await writer.write(ByteBuffer(string: "event: reset\ndata: {}\n\n"))
                case .heartbeat:
                    // A stream outlives its request; it must not outlive its token.
                    guard try await authenticator.token(digest: digest) != nil else {
                        return try await writer.finish(nil)
                    }
                    try await writer.write(ByteBuffer(string: ": heartbeat\n\n"))
                }
            }
            try await writer.finish(nil)
        }
        return Response(status: .ok, headers: [.contentType: "text/event-stream"], body: body)
    }
}

private struct FeedbackBody: RequestBody {
    let id: UUIDv7?
    let request: UUIDv7
    let name: String?
    let value: Double
    let source: Feedback.Source?
    let pair: UUIDv7?
    let comment: String?

    static let shape = Shape.object([
        "id": .value, "request": .value, "name": .value, "value": .value, "source": .value, "pair": .value,
        "comment": .value,
    ])
}

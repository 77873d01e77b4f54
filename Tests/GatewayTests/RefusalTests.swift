import Gateway
import Telemetry
import TestSupport
import Testing

/// What the gateway refuses by itself: always OpenAI's envelope, always one record.
@Suite struct RefusalTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var request: String
        var status: Int
        var error: ErrorClass
        /// What the message or its parameter must name.
        var names: String
        var testDescription: String { name }
    }

    static let cases: [Case] = [
        Case(
            name: "malformed JSON", request: Wire.post(#"{"model":"chat","#), status: 400, error: .badRequest,
            names: "at byte 16"),
        Case(
            name: "repeated model", request: Wire.post(#"{"model":"chat","model":"chat"}"#), status: 400,
            error: .badRequest, names: #""param":"model""#),
        Case(
            name: "missing model", request: Wire.post(#"{"messages":[]}"#), status: 400, error: .badRequest,
            names: #""param":"model""#),
        Case(
            name: "unknown route", request: Wire.post(#"{"model":"nope"}"#), status: 404, error: .badRequest,
            names: "There are: chat."),
        Case(
            name: "no route's name", request: Wire.post(#"{"model":"\u0000\"<>"}"#), status: 404, error: .badRequest,
            names: "model_not_found"),
        Case(
            name: "no key", request: Wire.post(Wire.body, key: nil), status: 401, error: .auth,
            names: "missing_api_key"),
        Case(
            name: "unknown key", request: Wire.post(Wire.body, key: "tt-nobody"), status: 401, error: .auth,
            names: "invalid_api_key"),
        Case(
            name: "revoked key", request: Wire.post(Wire.body, key: TestGateway.revokedKey), status: 401, error: .auth,
            names: "revoked_api_key"),
        Case(
            name: "body over the limit", request: Wire.post(Wire.body + String(repeating: " ", count: 70_000)),
            status: 413, error: .localLimit, names: "65536 bytes"),
        Case(
            name: "chunked body over the limit",
            request: "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer \(TestGateway.key)\r\n"
                + "transfer-encoding: chunked\r\n\r\n11000\r\n" + String(repeating: " ", count: 0x11000),
            status: 413, error: .localLimit, names: "65536 bytes"),
        Case(
            name: "header flood",
            request: Wire.post(Wire.body, headers: "x-a: \(String(repeating: "a", count: 20_000))\r\n"),
            status: 431, error: .localLimit, names: "headers"),
        Case(
            name: "many headers",
            request: Wire.post(Wire.body, headers: String(repeating: "a: b\r\n", count: 300)), status: 431,
            error: .localLimit, names: "headers"),
        Case(name: "not HTTP", request: "hello there\r\n\r\n", status: 400, error: .badRequest, names: "HTTP/1.1"),
        Case(
            name: "slow headers", request: "POST /v1/chat/completions HTTP/1.1\r\nx-a:", status: 408,
            error: .localLimit, names: "in time"),
        Case(
            name: "slow body",
            request: "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer \(TestGateway.key)\r\n"
                + "content-length: 100\r\n\r\n{\"model\"",
            status: 408, error: .localLimit, names: "in time"),
    ]

    @Test(arguments: cases)
    func isRefusedInOpenAIsFormAndRecordedOnce(_ test: Case) async throws {
        let gateway = try await TestGateway(upstream: 1) { options in
            options.settings.limits.bodyBytes = 65_536
            guard test.status == 408 else { return }
            options.settings.timeouts.headerMs = 1_000
            options.settings.timeouts.bodyMs = 1_000
        }
        let response = try await RawClient.ask(test.request, port: gateway.port)
        #expect(response.status == test.status)
        #expect(response.body.hasPrefix(#"{"error":{"message":""#) && response.body.contains(test.names))
        #expect(response.header("x-request-id")?.utf8.count == 36)
        let record = try await gateway.onlyRecord()
        #expect(record.outcome == .rejected && record.status == test.status && record.error == test.error)
        #expect(record.route == RequestRecord.noRoute && record.target == nil)
        await gateway.stop()
        #expect(gateway.sink.records.count == 1)
    }

    @Test func otherPathsAndMethodsAreRefusedWithoutARecord() async throws {
        let gateway = try await TestGateway(upstream: 1)
        let lost = try await RawClient.ask("GET /v2 HTTP/1.1\r\nhost: x\r\n\r\n", port: gateway.port)
        #expect(lost.status == 404 && lost.body.contains("/v1/chat/completions"))
        let wrong = try await RawClient.ask("GET /v1/chat/completions HTTP/1.1\r\nhost: x\r\n\r\n", port: gateway.port)
        #expect(wrong.status == 405 && wrong.header("allow") == "post")
        let health = try await RawClient.ask("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n", port: gateway.port)
        #expect(health.status == 200)
        await gateway.stop()
        #expect(gateway.sink.records.isEmpty)
    }

    @Test func withoutRequiredKeysAnyoneIsServed() async throws {
        let upstream = try await ScriptedUpstream { _, _ in [Wire.response(Wire.answer)] }
        let gateway = try await TestGateway(upstream: upstream.port) { $0.settings.requireKeys = false }
        #expect(try await RawClient.ask(Wire.post(Wire.body, key: nil), port: gateway.port).status == 200)
        #expect(try await gateway.onlyRecord().key == nil)
        #expect(
            try await RawClient.ask(Wire.post(Wire.body, key: TestGateway.revokedKey), port: gateway.port).status == 401
        )
        await gateway.stop()
    }

    @Test func connectionsBeyondTheLimitAreTurnedAway() async throws {
        let gateway = try await TestGateway(upstream: 1) { $0.settings.limits.connections = 1 }
        var clients: [RawClient] = []
        // One for each event loop is the least there is room for.
        for _ in 0..<64 where !clients.contains(where: \.isClosed) {
            clients.append(try await RawClient(port: gateway.port))
        }
        await eventually("a refusal") { clients.contains { $0.isClosed && $0.text.hasPrefix("HTTP/1.1 503") } }
        for client in clients { await client.close() }
        await gateway.stop()
    }
}

import Core
import Gateway
import Policy
import Telemetry
import TestSupport
import Testing

/// Providers that fail in every way there is: the client gets a clear answer, the record says what happened, once.
@Suite struct UpstreamWeatherTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var body = Wire.body
        var steps: [Step]
        var status: Int
        var outcome: Outcome
        var error: ErrorClass?
        var testDescription: String { name }
    }

    static let cases: [Case] = [
        Case(
            name: "garbage", steps: [.send("garbage\r\n\r\n"), .close], status: 502, outcome: .upstreamError,
            error: .protocol),
        Case(
            name: "not JSON", steps: [Wire.response("<html>")], status: 502, outcome: .upstreamError, error: .protocol),
        Case(
            name: "JSON that is no answer", steps: [Wire.response("{}")], status: 502, outcome: .upstreamError,
            error: .protocol),
        Case(name: "closed before a byte", steps: [.close], status: 502, outcome: .upstreamError, error: .reset),
        Case(
            name: "half a response",
            steps: [.send("HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"choices\":["), .close], status: 502,
            outcome: .upstreamCut, error: .reset),
        Case(
            name: "content length too small",
            steps: [
                .send("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n\(Wire.answer)")
            ],
            status: 502, outcome: .upstreamError, error: .protocol),
        Case(
            name: "content length too large",
            steps: [.send("HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n\(Wire.answer)")], status: 504,
            outcome: .timeout, error: .timeoutIdle),
        Case(name: "silence", steps: [], status: 504, outcome: .timeout, error: .timeoutFirstByte),
        Case(
            name: "a redirect", steps: [Wire.response("", status: "302 Found", headers: "location: /x\r\n")],
            status: 502, outcome: .upstreamError, error: .protocol),
        Case(
            name: "our key refused", steps: [Wire.response(#"{"error":"sk-upstream"}"#, status: "401 Unauthorized")],
            status: 502, outcome: .upstreamError, error: .auth),
        Case(
            name: "bad request", steps: [Wire.response(#"{"error":{"code":"x"}}"#, status: "400 Bad Request")],
            status: 400, outcome: .upstreamError, error: .badRequest),
        Case(
            name: "content filter",
            steps: [Wire.response(#"{"error":{"code":"content_filter"}}"#, status: "400 Bad Request")], status: 400,
            outcome: .upstreamError, error: .contentFilter),
        Case(
            name: "quota", steps: [Wire.response(#"{"error":{"code":"insufficient_quota"}}"#, status: "429 X")],
            status: 429, outcome: .upstreamError, error: .quota),
        Case(
            name: "overloaded", steps: [Wire.response("{}", status: "503 X")], status: 503, outcome: .upstreamError,
            error: .overloaded),
        Case(
            name: "stream cut", body: Wire.streamBody,
            steps: [Wire.streamHead, Wire.chunk(Wire.delta("a")), .close], status: 200, outcome: .upstreamCut,
            error: .reset),
        Case(
            name: "stream without [DONE]", body: Wire.streamBody,
            steps: [Wire.streamHead, Wire.chunk(Wire.delta("a")), Wire.end], status: 200, outcome: .upstreamCut,
            error: .reset),
        Case(
            name: "error inside a stream", body: Wire.streamBody,
            steps: [
                Wire.streamHead, Wire.chunk("data: {\"error\":{\"message\":\"x\"}}\n\n"), Wire.chunk(Wire.done),
                Wire.end,
            ],
            status: 200, outcome: .upstreamError, error: .server),
        Case(
            name: "stalled stream", body: Wire.streamBody, steps: [Wire.streamHead, Wire.chunk(Wire.delta("a"))],
            status: 200, outcome: .timeout, error: .timeoutIdle),
        Case(
            name: "never-ending stream", body: Wire.streamBody,
            steps: [Wire.streamHead]
                + (0..<400).flatMap { _ in [Wire.chunk(Wire.delta("a")), .pause(milliseconds: 20)] },
            status: 200, outcome: .timeout, error: .timeoutTotal),
        Case(
            name: "stream left open after [DONE]", body: Wire.streamBody,
            steps: [Wire.streamHead, Wire.chunk(Wire.delta("a") + Wire.done)], status: 200, outcome: .complete),
    ]

    @Test(arguments: cases)
    func isAnsweredAndRecordedOnce(_ test: Case) async throws {
        let upstream = try await ScriptedUpstream { _, _ in test.steps }
        let gateway = try await TestGateway(upstream: upstream.port) { options in
            // Only what is waited for is short, so that a busy machine does not turn one case into another.
            if test.error == .timeoutFirstByte { options.timeouts.firstByteMs = 300 }
            if test.error == .timeoutIdle { options.timeouts.idleMs = 300 }
            if test.error == .timeoutTotal { options.timeouts.totalMs = 900 }
        }
        let response = try await RawClient.ask(Wire.post(test.body), port: gateway.port)
        #expect(response.status == test.status)
        let record = try await gateway.onlyRecord()
        #expect(record.outcome == test.outcome && record.error == test.error && record.status == test.status)
        #expect(record.target == "main" && record.route == "chat")
        if test.status == 200 {
            // A stream that was not whole neither looks whole nor ends without a word.
            #expect(response.isWhole == (test.outcome == .complete || test.error == .server))
            #expect(test.outcome == .complete || response.body.contains(#"{"error":"#))
        } else {
            #expect(response.header("x-request-id") == record.id.description)
            #expect(!response.body.contains("sk-upstream"))
        }
        await eventually("the upstream connection to be gone or idle") { gateway.server.statistics.inFlight == 0 }
        await gateway.stop()
        #expect(gateway.sink.records.count == 1)
    }

    @Test func aRateLimitIsPassedOnWithItsRetryAfter() async throws {
        let upstream = try await ScriptedUpstream { _, _ in
            [Wire.response(#"{"error":{}}"#, status: "429 Too Many Requests", headers: "retry-after: 17\r\n")]
        }
        let gateway = try await TestGateway(upstream: upstream.port)
        let response = try await RawClient.ask(Wire.post(Wire.body), port: gateway.port)
        #expect(response.status == 429 && response.header("retry-after") == "17" && response.body == #"{"error":{}}"#)
        #expect(try await gateway.onlyRecord().error == .rateLimited)
        await gateway.stop()
    }

    @Test(
        arguments: [
            (["HTTP/1.1 429 X\r\ncontent-length: 2\r\n\r\n{}"], ErrorClass.rateLimited, 429),
            (["HTTP/1.1 500 X\r\ncontent-length: 2\r\n\r\n{}"], .server, 500),
            (["garbage\r\n\r\n"], .protocol, nil),
            ([], .timeoutFirstByte, nil),
        ] as [([String], ErrorClass, Int?)])
    func oneFallbackBeforeTheFirstByte(_ sends: [String], _ error: ErrorClass, _ status: Int?) async throws {
        let bad = try await ScriptedUpstream { _, _ in sends.map { .send($0) } }
        let good = try await ScriptedUpstream { _, _ in [Wire.response(Wire.answer)] }
        let gateway = try await TestGateway(upstream: bad.port) { options in
            if error == .timeoutFirstByte { options.timeouts.firstByteMs = 300 }
            options.spare = good.port
        }
        let response = try await RawClient.ask(Wire.post(Wire.body), port: gateway.port)
        #expect(response.status == 200 && response.header("x-trimtab-target") == "spare")
        #expect(good.requests.first?.contains(#""model":"model-b""#) == true)
        #expect(good.requests.first?.contains("authorization") == false)
        let record = try await gateway.onlyRecord()
        #expect(record.outcome == .complete && record.target == "spare" && record.provider == "spare")
        #expect(record.attempts.map(\.outcome) == [error] && record.attempts.first?.status == status)
        #expect(record.attempts.first?.target == "main")
        await gateway.stop()
    }

    @Test func theClientsOwnFaultIsNotTriedElsewhere() async throws {
        let bad = try await ScriptedUpstream { _, _ in [Wire.response("{}", status: "400 Bad Request")] }
        let good = try await ScriptedUpstream { _, _ in [Wire.response(Wire.answer)] }
        let gateway = try await TestGateway(upstream: bad.port) { $0.spare = good.port }
        #expect(try await RawClient.ask(Wire.post(Wire.body), port: gateway.port).status == 400)
        #expect(good.requests.isEmpty)
        await gateway.stop()
    }

    @Test(arguments: [
        ("http://no-such-host.invalid/v1", ErrorClass.dns), ("http://127.0.0.1:1/v1", .refused),
    ])
    func aProviderThatIsNotThereIsNamedAsSuch(_ url: String, _ error: ErrorClass) async throws {
        let gateway = try await TestGateway(upstream: 1) { $0.baseURL = url }
        let response = try await RawClient.ask(Wire.post(Wire.body), port: gateway.port)
        #expect(response.status == 502 && response.body.contains("upstream_\(error.rawValue)"))
        let record = try await gateway.onlyRecord()
        #expect(record.outcome == .upstreamError && record.error == error)
        await gateway.stop()
    }

    @Test func aKeptConnectionThatHasGoneStaleIsReplacedOnce() async throws {
        // Answers each connection's first request, and closes without a word on its second.
        let upstream = try await ScriptedUpstream { _, number in
            number == 2 ? [.close] : [Wire.response(Wire.answer)]
        }
        let gateway = try await TestGateway(upstream: upstream.port)
        let client = try await RawClient(port: gateway.port)
        for count in 1...2 {
            await client.send(Wire.post(Wire.body))
            await eventually("answer \(count)") { client.text.components(of: "HTTP/1.1 200 OK") == count }
        }
        await eventually("two records") { gateway.sink.records.count == 2 }
        #expect(gateway.sink.records.allSatisfy { $0.outcome == .complete && $0.attempts.isEmpty })
        #expect(upstream.requests.count == 3 && upstream.opened == 2)
        await client.close()
        await gateway.stop()
    }

    @Test func requestsBeyondTheConnectionsWaitTheirTurn() async throws {
        let upstream = try await ScriptedUpstream { _, _ in
            [.pause(milliseconds: 100), Wire.response(Wire.answer)]
        }
        let gateway = try await TestGateway(upstream: upstream.port) { $0.maxConnections = 1 }
        let port = gateway.port
        let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<6 { group.addTask { try await RawClient.ask(Wire.post(Wire.body), port: port).status } }
            return try await group.reduce(into: [Int]()) { $0.append($1) }
        }
        #expect(statuses == [Int](repeating: 200, count: 6))
        #expect(gateway.sink.records.contains { $0.queueMs > 0 })
        await gateway.stop()
    }

    @Test func anAnswerTooLargeToKeepPassesThrough() async throws {
        let large = Wire.answer.replacing("hi there", with: String(repeating: "x", count: 300_000))
        let upstream = try await ScriptedUpstream { _, _ in [Wire.response(large)] }
        let gateway = try await TestGateway(upstream: upstream.port) { $0.settings.limits.answerBytes = 100_000 }
        let response = try await RawClient.ask(Wire.post(Wire.body), port: gateway.port)
        #expect(response.status == 200 && response.body == large && response.header("x-trimtab-cost-usd") == nil)
        let record = try await gateway.onlyRecord()
        #expect(record.outcome == .complete && record.tokens?.source == .estimated)
        await gateway.stop()
    }
}

import Core
import Telemetry
import Testing

@Suite struct OTLPTests {
    static func mapping() throws -> SpanMapping { SpanMapping(defaultRoute: try #require(RouteName("otlp"))) }

    static func outcomes(_ export: SpanExport, _ encoding: TraceExport.Encoding) throws -> [SpanMapping.Outcome] {
        try TraceExport.read(encoding == .json ? export.json : export.protobuf, as: encoding).map(mapping().map)
    }

    static func record(_ span: SpanExport.Span, resource: [(String, SpanExport.Value)] = []) throws -> RequestRecord {
        let export = SpanExport(resource: resource, spans: [span])
        let outcome = try #require(try outcomes(export, .protobuf).first)
        guard case .record(let record, _) = outcome else {
            Issue.record("\(outcome)")
            throw OTLPError.malformed("\(outcome)")
        }
        return record
    }

    /// Bytes written down by hand from the specification, not by the encoder of these tests.
    @Test func goldenBytes() throws {
        let span: [UInt8] =
            [0x0a, 16] + Array(1...16) + [0x12, 8] + Array(1...8) + [0x30, 3]
            + [0x39, 0, 0x44, 0xd4, 0x39, 0x33, 0xb2, 0x79, 0x18, 0x41, 0x40, 0x86, 0x0f, 0x3a, 0x33, 0xb2, 0x79, 0x18]
            + [0x4a, 17, 0x0a, 6] + Array("gen_ai".utf8) + [0x12, 7, 0x0a, 5] + Array("other".utf8)
            + [0x4a, 27, 0x0a, 21] + Array("gen_ai.operation.name".utf8) + [0x12, 2, 0x18, 5]
            + [0x7a, 2, 0x18, 2]
        let scope: [UInt8] = [0x12, UInt8(span.count)] + span
        let group: [UInt8] = [0x12, UInt8(scope.count)] + scope
        let spans = try TraceExport.read([0x0a] + SpanExport.varint(UInt64(group.count)) + group, as: .protobuf)
        var expected = OTLPSpan()
        (expected.traceHigh, expected.traceLow) = (0x0102_0304_0506_0708, 0x090a_0b0c_0d0e_0f10)
        expected.spanID = 0x0102_0304_0506_0708
        (expected.kind, expected.status, expected.isGenAI) = (3, 2, true)
        (expected.start, expected.end) = (0x1879_b233_39d4_4400, 0x1879_b233_3a0f_8640)
        expected.attributes = [.operation: .integer(5)]
        #expect(spans == [expected])
    }

    @Test func bothEncodingsGiveTheSameRecords() throws {
        var first = SpanExport.Span.chat(more: [
            ("gen_ai.conversation.id", .text("c-1")), ("gen_ai.request.stream", .flag(true)), ("x", .text("\"y\"")),
            ("gen_ai.response.time_to_first_chunk", .number(0.2117)), ("gen_ai.request.temperature", .number(0.5)),
        ])
        first.events = [("exception", 5), ("gen_ai.choice", 1_763_650_000_334_000_000)]
        var failed = SpanExport.Span.chat(2, more: [("error.type", .text("openai.RateLimitError"))])
        failed.status = 2
        var export = SpanExport(spans: [first, failed, .init([("http.method", .text("GET"))]), .chat(0)])
        let outcomes = try Self.outcomes(export, .protobuf)
        #expect(outcomes == (try Self.outcomes(export, .json)))
        #expect(outcomes[2...] == [.ignored, .rejected(.badID)])
        export.resourceLast = true
        #expect(outcomes == (try Self.outcomes(export, .protobuf)))

        guard case .record(let record, nil) = outcomes[0] else { throw OTLPError.malformed("\(outcomes[0])") }
        var expected = RequestRecord(
            id: record.id, at: 1_763_650_000_935, startedAt: 1_763_650_000_123, route: "shop", outcome: .complete,
            status: 200, totalMs: 812.5)
        (expected.target, expected.provider, expected.model) = ("openai/gpt-4o-mini", "openai", "gpt-4o-mini")
        (expected.stream, expected.finish, expected.ttftMs) = (true, "stop", 211.7)
        expected.tokens = TokenUsage(input: 512, output: 187)
        expected.session = record.session
        #expect(record == expected)
        // All of one session meets in one partition.
        #expect(record.session?.utf8.count == 16)
        #expect(UInt16(record.session?.suffix(3) ?? "", radix: 16) == record.id.bucket)
        #expect(record.id.milliseconds == record.startedAt)
        #expect(record.id.description.dropFirst(14).first == "7")
        guard case .record(let other, nil) = outcomes[1] else { throw OTLPError.malformed("\(outcomes[1])") }
        #expect(other.id != record.id && other.outcome == .upstreamError)
        #expect(other.error == .rateLimited && other.status == 429)
    }

    /// What the stream reads back is what was mapped: nothing that an export holds can make a dead letter of it.
    @Test func recordsPassTheStreamsOwnReader() throws {
        let long = String(repeating: "é", count: 200)
        let spans: [SpanExport.Span] = [
            .chat(), .chat(more: [("gen_ai.request.model", .text(long))]),
            .chat(more: [("user.id", .text("ann")), ("gen_ai.usage.input_tokens", .integer(-3))]),
            .chat(more: [("gen_ai.response.finish_reasons", .list([.text(long), .text("stop")]))]),
        ]
        for outcome in try Self.outcomes(SpanExport(spans: spans), .protobuf) {
            guard case .record(let record, _) = outcome else { continue }
            var bytes: [UInt8] = []
            EventEncoder.encode(.request(record), into: &bytes)
            #expect(try EventDecoder().decode(bytes, kind: .request) == .request(record))
        }
    }

    @Test func olderNamesAreRead() throws {
        let record = try Self.record(
            .init([
                ("gen_ai.system", .text("anthropic")), ("gen_ai.response.model", .text("claude")),
                ("gen_ai.usage.prompt_tokens", .integer(7)), ("gen_ai.usage.completion_tokens", .integer(5)),
            ]))
        #expect(record.provider == "anthropic" && record.model == "claude")
        #expect(record.tokens == TokenUsage(input: 7, output: 5))
        #expect(record.route == "otlp")
    }

    @Test(arguments: [
        ("shop", "shop"), ("my shop!", "my-shop-"), ("-ünder", "nder"), ("", "otlp"),
        ("unknown_service:python", "otlp"),
        (String(repeating: "a", count: 200), String(repeating: "a", count: 128)),
    ]) func serviceNamesBecomeRoutes(service: String, route: String) throws {
        #expect(try Self.record(.chat(), resource: [("service.name", .text(service))]).route == route)
    }

    @Test func aNamedRouteGoesBeforeTheService() throws {
        let named = SpanExport.Span.chat(more: [("trimtab.route", .text("support"))])
        #expect(try Self.record(named, resource: [("service.name", .text("shop"))]).route == "support")
    }

    struct Refusal: Sendable {
        var outcome: SpanMapping.Outcome
        var change: @Sendable (inout SpanExport.Span) -> Void
    }
    static let refusals: [Refusal] = [
        Refusal(outcome: .ignored) { $0.attributes[0].1 = .text("invoke_agent") },
        Refusal(outcome: .ignored) { $0.attributes[0].1 = .text("execute_tool") },
        Refusal(outcome: .ignored) { $0.attributes = [("gen_ai.tool.name", .text("search"))] },
        Refusal(outcome: .ignored) {
            $0.attributes.removeFirst()
            $0.kind = 2
        },
        Refusal(outcome: .rejected(.noModel)) { $0.attributes[2].1 = .integer(4) },
        Refusal(outcome: .rejected(.noModel)) { $0.attributes[1].1 = .text("") },
        Refusal(outcome: .rejected(.badTime)) { $0.end = $0.start - 1 },
        Refusal(outcome: .rejected(.badTime)) { $0.start = 0 },
        Refusal(outcome: .rejected(.badTime)) { $0.end = .max },
        Refusal(outcome: .rejected(.badID)) { $0.traceID = [1, 2] },
        Refusal(outcome: .rejected(.badID)) { $0.spanID = [] },
        Refusal(outcome: .rejected(.badRoute)) { $0.attributes.append(("trimtab.route", .text("a b"))) },
    ]
    @Test(arguments: refusals.indices) func spansThatAreNoRecord(index: Int) throws {
        var span = SpanExport.Span.chat()
        Self.refusals[index].change(&span)
        #expect(try Self.outcomes(SpanExport(spans: [span]), .protobuf) == [Self.refusals[index].outcome])
        #expect(try Self.outcomes(SpanExport(spans: [span]), .json) == [Self.refusals[index].outcome])
    }

    @Test(
        arguments: [
            ("openai.APITimeoutError", nil, Outcome.timeout, ErrorClass.timeoutTotal, 504),
            ("500", nil, .upstreamError, .server, 500), ("AuthenticationError", 403, .upstreamError, .auth, 403),
            ("_OTHER", nil, .upstreamError, .server, 502), (nil, 529, .upstreamError, .overloaded, 529),
            ("asyncio.CancelledError", nil, .clientGone, nil, 200), (nil, 200, .complete, nil, 200),
        ] as [(String?, Int64?, Outcome, ErrorClass?, Int)])
    func failures(type: String?, code: Int64?, outcome: Outcome, error: ErrorClass?, status: Int) throws {
        var span = SpanExport.Span.chat()
        if let type { span.attributes.append(("error.type", .text(type))) }
        if let code { span.attributes.append(("http.response.status_code", .integer(code))) }
        let record = try Self.record(span)
        #expect(record.outcome == outcome && record.error == error && record.status == status)
    }

    /// Half of a request's tokens would make a wrong cost.
    @Test func tokensAreKnownWholeOrNotAtAll() throws {
        var span = SpanExport.Span.chat()
        span.attributes.remove(at: 3)
        #expect(try Self.record(span).tokens == nil)
        let embedding = SpanExport.Span([
            ("gen_ai.operation.name", .text("embeddings")), ("gen_ai.provider.name", .text("p")),
            ("gen_ai.request.model", .text("m")), ("gen_ai.usage.input_tokens", .integer(9)),
        ])
        #expect(try Self.record(embedding).tokens == TokenUsage(input: 9, output: 0))
    }

    @Test func theFirstOutputEventGivesTheTimeToFirstToken() throws {
        var span = SpanExport.Span.chat()
        span.events = [("gen_ai.choice", span.start + 300_000_000), ("first_token", span.start + 100_000_000)]
        #expect(try Self.record(span).ttftMs == 100)
        span.events = [("gen_ai.choice", span.end + 1)]
        #expect(try Self.record(span).ttftMs == nil, "after the end")
    }

    @Test func answers() {
        let partial = ExportAnswer(rejected: 3, message: "no")
        #expect(partial.encoded(as: .protobuf) == [0x0a, 6, 0x08, 3, 0x12, 2, 0x6e, 0x6f])
        #expect(
            String(decoding: partial.encoded(as: .json), as: UTF8.self)
                == #"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"no"}}"#)
        let whole = ExportAnswer(rejected: 0, message: "")
        #expect(whole.encoded(as: .protobuf).isEmpty && whole.encoded(as: .json) == Array("{}".utf8))
        #expect(ExportAnswer.status(code: 3, message: "x", as: .protobuf) == [0x08, 3, 0x12, 1, 0x78])
    }
}

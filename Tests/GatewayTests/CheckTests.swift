import Gateway
import Policy
import Telemetry
import TestSupport
import Testing

/// What the record says of an answer without knowing what is good.
@Suite struct CheckTests {
    struct Case: Sendable, CustomStringConvertible {
        var content: String
        var asksJSON = true
        var finish = "stop"
        /// Schema, refusal, empty.
        var expected: [Bool?]
        var description: String { "\(content.prefix(32)) \(finish)" }
    }

    static let cases = [
        Case(content: #""{\"a\":[1,2]}""#, expected: [true, false, false]),
        Case(content: #"" [1, \"\\u00e4\"]\n""#, expected: [true, false, false]),
        Case(content: #""{\"a\":[1,2""#, finish: "length", expected: [false, false, false]),
        Case(content: #""```json\n{}\n```""#, expected: [false, false, false]),
        Case(content: #""""#, expected: [false, false, true]),
        Case(content: #""""#, finish: "content_filter", expected: [nil, true, true]),
        Case(content: #"null,"refusal":"I cannot""#, expected: [nil, true, false]),
        Case(content: #"null,"tool_calls":[{"id":"a","index":0}]"#, expected: [nil, false, false]),
        Case(content: #""not json""#, asksJSON: false, expected: [nil, false, false]),
        Case(
            content: "\"" + String(repeating: "1", count: AnswerText.contentLimit + 1) + "\"",
            expected: [nil, false, false]),
    ]

    @Test(arguments: cases, [false, true])
    func answersAreChecked(_ test: Case, _ stream: Bool) async throws {
        let kind = stream ? "delta" : "message"
        let choice = #"{"index":0,"\#(kind)":{"content":\#(test.content)},"finish_reason":"\#(test.finish)"}"#
        let answer = #"{"choices":[\#(choice)],"usage":{"prompt_tokens":7,"completion_tokens":3}}"#
        let upstream = try await ScriptedUpstream { _, _ in
            stream
                ? [Wire.streamHead, Wire.chunk("data: \(answer)\n\n"), Wire.chunk(Wire.done), Wire.end]
                : [Wire.response(answer)]
        }
        let gateway = try await TestGateway(upstream: upstream.port)
        var body = stream ? Wire.streamBody : Wire.body
        if test.asksJSON {
            body = body.replacing("{\"model\"", with: #"{"response_format":{"type":"json_object"},"model""#)
        }
        #expect(try await RawClient.ask(Wire.post(body), port: gateway.port).status == 200)
        let checks = try #require(try await gateway.onlyRecord().checks)
        #expect([checks.schema, checks.refusal, checks.empty] == test.expected)
        await gateway.stop()
    }

    /// Said by a gateway, of answers and of copies alike, from the request that it passed on.
    @Test(arguments: [false, true])
    func toolCallsAndLoopsAreChecked(_ stream: Bool) async throws {
        let call = #"[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]"#
        let loop = String(repeating: "and so on, ", count: 100)
        let answers = [
            (#""content":null,"tool_calls":\#(call)"#, Pair(tools: true)),
            (#""content":null,"tool_calls":\#(call.replacing("\\\"a", with: "\\\"b"))"#, Pair(tools: false)),
            (#""content":"\#(loop)""#, Pair(repetition: true)),
            (#""content":"\#(loop)Done.""#, Pair(repetition: false)),
            (#""content":"Yes.""#, Pair()),
        ]
        for (said, expected) in answers {
            let kind = stream ? "delta" : "message"
            let answer = #"{"choices":[{"index":0,"\#(kind)":{\#(said)},"finish_reason":"stop"}]}"#
            let steps =
                stream
                ? [Wire.streamHead, Wire.chunk("data: \(answer)\n\n"), Wire.chunk(Wire.done), Wire.end]
                : [Wire.response(answer)]
            let upstream = try await ScriptedUpstream { _, _ in steps }
            let gateway = try await TestGateway(upstream: upstream.port) { options in
                options.spare = upstream.port
                options.edit = { entry in
                    entry.stable.fallbacks = []
                    entry.addCandidate(weight: 1, provider: "spare")
                    entry.pointer.mode = .mirror
                }
            }
            let body = (stream ? Wire.streamBody : Wire.body)
                .replacing("{\"model\"", with: #"{"tools":\#(ToolCallTests.declared),"model""#)
            #expect(try await RawClient.ask(Wire.post(body), port: gateway.port).status == 200)
            await eventually("the record and its copy's") { gateway.sink.records.count == 2 }
            for record in gateway.sink.records {
                let checks = try #require(record.checks)
                #expect(Pair(tools: checks.tools, repetition: checks.repetition) == expected, "\(said.prefix(40))")
            }
            await gateway.stop()
        }
    }

    private struct Pair: Equatable {
        var tools: Bool?
        var repetition: Bool?
    }

    /// Of what did not come whole nothing is said.
    @Test func brokenAnswersAreNotChecked() async throws {
        let upstream = try await ScriptedUpstream { _, _ in
            [Wire.streamHead, Wire.chunk(Wire.delta("a")), .close]
        }
        let gateway = try await TestGateway(upstream: upstream.port)
        _ = try await RawClient.ask(Wire.post(Wire.streamBody), port: gateway.port)
        #expect(try await gateway.onlyRecord().checks == nil)
        await gateway.stop()
    }
}

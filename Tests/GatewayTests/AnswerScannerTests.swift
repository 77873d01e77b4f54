import Gateway
import NIOCore
import Telemetry
import TestSupport
import Testing

@Suite struct AnswerScannerTests {
    private func scan(_ text: String) throws -> AnswerFacts {
        try ByteBuffer(string: text).withUnsafeReadableBytes { try AnswerScanner.scan($0) }
    }

    @Test func readsUsageFinishAndContent() throws {
        let facts = try scan(
            """
            {"choices":[{"index":0,"message":{"content":"häi","refusal":null},"finish_reason":"length"}],
             "usage":{"prompt_tokens":12,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":5},
                      "completion_tokens_details":{"reasoning_tokens":2},"total_tokens":19}}
            """)
        var usage = TokenUsage(input: 12, output: 7)
        usage.cachedRead = 5
        usage.reasoning = 2
        #expect(facts.usage == usage)
        #expect(facts.finish == "length")
        #expect(facts.characters == 3)
        #expect(facts.choices == 1)
        #expect(!facts.refusal && !facts.toolCalls && !facts.failed)
    }

    @Test(arguments: [
        (#"{"choices":[{"message":{"content":null,"refusal":"no"}}]}"#, true, false, false),
        (#"{"choices":[{"message":{"content":null,"tool_calls":[{"id":"a"}]}}]}"#, false, true, false),
        (#"{"error":{"message":"x"}}"#, false, false, true),
        (#"{"error":null,"choices":[]}"#, false, false, false),
    ])
    func seesRefusalsToolCallsAndErrors(_ text: String, refusal: Bool, tools: Bool, failed: Bool) throws {
        let facts = try scan(text)
        #expect(facts.refusal == refusal)
        #expect(facts.toolCalls == tools)
        #expect(facts.failed == failed)
    }

    private func checks(_ text: String, asksJSON: Bool = false) throws -> AnswerFacts {
        try ByteBuffer(string: text).withUnsafeReadableBytes { try AnswerScanner.scan($0, keepsContent: asksJSON) }
    }

    private static func message(_ fields: String, finish: String = "stop") -> String {
        #"{"choices":[{"index":0,"message":{\#(fields)},"finish_reason":"\#(finish)"}]}"#
    }

    @Test(arguments: [
        (message(#""content":"hi","refusal":null"#), false, true), (message(#""content":"""#), false, false),
        (message(#""content":null"#), false, false), (message(""), false, false),
        (message(#""content":null,"reasoning_content":"hm""#), false, false),
        (message(#""content":"","refusal":"I cannot""#), true, true),
        (message(#""content":"hi","refusal":"""#), false, true),
        (message(#""content":null"#, finish: "content_filter"), true, false),
        (message(#""content":[{"type":"text","text":"a"}]"#), false, true), (message(#""content":[]"#), false, false),
        (message(#""content":null,"audio":{"id":"a"}"#), false, true),
    ])
    func seesWhetherAnythingWasSaidOrDeclined(_ text: String, refusal: Bool, content: Bool) throws {
        let facts = try checks(text)
        #expect(facts.refusal == refusal && facts.hasContent == content && facts.content == nil)
    }

    @Test func keepsTheOnlyChoicesTextUpToTheLimit() throws {
        func kept(_ text: String) throws -> String? {
            try checks(text, asksJSON: true).content.map { String(decoding: $0, as: UTF8.self) }
        }
        #expect(try kept(Self.message(#""content":"{\"a\":\"\u00e4\"}""#)) == #"{"a":"ä"}"#)
        #expect(try kept(Self.message(#""content":null"#)) == "")
        #expect(try kept(#"{"choices":[{"index":1,"message":{"content":"a"}}]}"#) == nil)
        #expect(try kept(#"{"choices":[{"message":{"content":"a"}},{"message":{"content":"b"}}]}"#) == nil)
        let limit = AnswerText.contentLimit
        let longest = String(repeating: "x", count: limit)
        #expect(try kept(Self.message(#""content":"\#(longest)""#))?.count == limit)
        #expect(try kept(Self.message(#""content":"\#(longest)x""#)) == nil)
    }

    @Test(arguments: [
        #"{"usage":null}"#, #"{"usage":{"prompt_tokens":1}}"#,
        #"{"usage":{"prompt_tokens":-1,"completion_tokens":1}}"#,
        #"{"usage":{"prompt_tokens":1.5,"completion_tokens":1}}"#,
        #"{"usage":{"prompt_tokens":99999999999999999999999,"completion_tokens":1}}"#,
        #"{"usage":{"prompt_tokens":"1","completion_tokens":1}}"#,
    ])
    func usageThatIsNoneIsUnknown(_ text: String) throws {
        #expect(try scan(text).usage == nil)
    }
}

@Suite struct SSEScannerTests {
    private static let stream = Wire.delta("ab") + ": ping\n\n" + Wire.delta("c") + Wire.finish + Wire.usage + Wire.done

    private func run(_ text: String, dropsUsage: Bool, size: Int) -> (SSEScanner, String) {
        var scanner = SSEScanner(dropsUsage: dropsUsage)
        var output = ""
        var bytes = ByteBuffer(string: text)
        while let piece = bytes.readSlice(length: min(size, bytes.readableBytes)), piece.readableBytes > 0 {
            output += String(buffer: scanner.feed(piece))
        }
        output += String(buffer: scanner.rest())
        return (scanner, output)
    }

    @Test(arguments: [1, 2, 3, 7, 64, 10_000])
    func passesEveryByteHoweverTheyAreCut(_ size: Int) {
        let (scanner, output) = run(Self.stream, dropsUsage: false, size: size)
        #expect(output == Self.stream)
        #expect(scanner.done && scanner.hasContent && !scanner.malformed)
        #expect(scanner.facts.usage == TokenUsage(input: 7, output: 3))
        #expect(scanner.facts.finish == "stop")
        #expect(scanner.facts.characters == 3)
    }

    @Test(arguments: [1, 2, 3, 7, 64, 10_000])
    func leavesOutTheUsageChunkThatOnlyWeAskedFor(_ size: Int) {
        let (scanner, output) = run(Self.stream, dropsUsage: true, size: size)
        #expect(output == Self.stream.replacing(Wire.usage, with: ""))
        #expect(scanner.facts.usage == TokenUsage(input: 7, output: 3))
    }

    @Test(arguments: [1, 5, 10_000])
    func linesMayEndInCRLF(_ size: Int) {
        let text = Self.stream.replacing("\n", with: "\r\n")
        let (scanner, output) = run(text, dropsUsage: true, size: size)
        #expect(output == text.replacing(Wire.usage.replacing("\n", with: "\r\n"), with: ""))
        #expect(scanner.done)
    }

    @Test(arguments: [1, 3, 64, 10_000])
    func gathersTheTextThatIsToBeChecked(_ size: Int) {
        func gathered(_ text: String) -> String? {
            var scanner = SSEScanner(dropsUsage: false, keepsContent: true)
            var bytes = ByteBuffer(string: text)
            while let piece = bytes.readSlice(length: min(size, bytes.readableBytes)), piece.readableBytes > 0 {
                _ = scanner.feed(piece)
            }
            return scanner.facts.content.map { String(decoding: $0, as: UTF8.self) }
        }
        let text = Wire.delta(#"{\"a\":"#) + Wire.delta("[1") + Wire.delta("]}") + Wire.finish + Wire.usage + Wire.done
        #expect(gathered(text) == #"{"a":[1]}"#)
        #expect(gathered(Wire.delta("a") + "data: nonsense\n\n" + Wire.done) == nil)
        let other = Wire.delta("b").replacing("\"index\":0", with: "\"index\":1")
        #expect(gathered(Wire.delta("a") + other + Wire.done) == nil)
        let part = Wire.delta(String(repeating: "x", count: 8_192))
        let parts = AnswerText.contentLimit / 8_192
        if size > 1 {
            #expect(gathered(String(repeating: part, count: parts))?.count == AnswerText.contentLimit)
            #expect(gathered(String(repeating: part, count: parts + 1)) == nil)
        }
    }

    @Test func aUsageChunkWithChoicesStays() {
        let text = #"data: {"choices":[{"delta":{}}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"# + "\n\n"
        #expect(run(text, dropsUsage: true, size: 5).1 == text)
    }

    @Test func dataOverSeveralLinesIsJoined() {
        let (scanner, output) = run("data: {\"choices\":\ndata: []}\n\n", dropsUsage: true, size: 4)
        #expect(!scanner.malformed)
        #expect(output == "data: {\"choices\":\ndata: []}\n\n")
    }

    @Test func anEventWithoutEndIsPassedOnPastTheLimit() {
        let text = "data: " + String(repeating: "x", count: SSEScanner.eventLimit + 100) + "\n\n" + Wire.done
        let (scanner, output) = run(text, dropsUsage: true, size: 60_000)
        #expect(output == text)
        #expect(scanner.done)
    }
}

import Core
import Foundation
import Gateway
import NIOCore
import Testing

/// Whether an answer's tool calls can be made, by what the request declared.
@Suite struct ToolCallTests {
    /// `f` requires `a`, `g` nothing, and `h` two things, one with a name that needs escapes.
    static let declared = #"""
        [{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"a":{"type":"integer"},
        "b":{"type":"object","required":["x"]}},"required":["a"]}}},{"function":{"name":"g"},"type":"function"},
        {"type":"function","function":{"description":"{","parameters":{"required":["a","s\u00f6 \"x\""]},"name":"h"}},
        {"type":"custom","custom":{"name":"c"}}]
        """#

    static func call(_ function: String) -> String { #"{"id":"1","type":"function","function":{\#(function)}}"# }

    static func whole(_ calls: [String]) -> String {
        #"{"choices":[{"index":0,"message":{"content":null,"tool_calls":[\#(calls.joined(separator: ","))]}}]}"#
    }

    static func chunk(_ parts: [String]) -> String {
        #"data: {"choices":[{"index":0,"delta":{"tool_calls":[\#(parts.joined(separator: ","))]}}]}"# + "\n\n"
    }

    private static func verdict(_ facts: AnswerFacts, _ declared: String?) -> Bool? {
        guard let declared else { return facts.text.calls?.canBeMade(by: nil) }
        return ByteBuffer(string: declared).withUnsafeReadableBytes { facts.text.calls?.canBeMade(by: $0) }
    }

    private static func verdict(whole text: String, _ declared: String? = declared) throws -> Bool? {
        verdict(try ByteBuffer(string: text).withUnsafeReadableBytes { try AnswerScanner.scan($0) }, declared)
    }

    private static func verdict(stream text: String) -> Bool? {
        var scanner = SSEScanner(dropsUsage: false)
        _ = scanner.feed(ByteBuffer(string: text + Wire.done))
        return verdict(scanner.facts, declared)
    }

    @Test(arguments: [
        (#""name":"f","arguments":"{\"a\":1}""#, true), (#""arguments":"{\"b\":{},\"a\":null}","name":"f""#, true),
        (#""name":"f","arguments":" {\"\\u0061\" : [1, 2]}\n""#, true),
        (#""name":"\u0066","arguments":"{\"a\":1}""#, true),
        (#""name":"g","arguments":"{}""#, true), (#""name":"g","arguments":"""#, true), (#""name":"g""#, true),
        (#""name":"h","arguments":"{\"a\":1,\"sö \\\"x\\\"\":2}""#, true),
        // What is required is missing, at the top level only.
        (#""name":"f","arguments":"{}""#, false), (#""name":"f","arguments":"""#, false),
        (#""name":"f","arguments":"{\"b\":{\"a\":1}}""#, false), (#""name":"h","arguments":"{\"a\":1}""#, false),
        (#""name":"f","arguments":"{\"a\":1,\"b\":{}}""#, true),
        // No JSON object.
        (#""name":"g","arguments":"{\"a\":1""#, false), (#""name":"g","arguments":"[]""#, false),
        (#""name":"g","arguments":"{} {}""#, false), (#""name":"g","arguments":"{'a':1}""#, false),
        (#""name":"g","arguments":"null""#, false),
        // No such function.
        (#""name":"c","arguments":"{}""#, false), (#""name":"F","arguments":"{\"a\":1}""#, false),
        (#""name":"","arguments":"{}""#, false), (#""arguments":"{}""#, false),
        // No text, as nothing specifies.
        (#""name":"g","arguments":{}"#, nil), (#""name":"g","arguments":null"#, true),
    ])
    func aCallIsHeldAgainstItsDeclaration(_ function: String, expected: Bool?) throws {
        #expect(try Self.verdict(whole: Self.whole([Self.call(function)])) == expected)
        let good = Self.call(#""name":"g","arguments":"{}""#)
        #expect(try Self.verdict(whole: Self.whole([good, Self.call(function), good])) == expected)
        #expect(Self.verdict(stream: Self.chunk([Self.call(function)])) == expected)
    }

    @Test func nothingIsSaidWithoutCallsOrOfOtherKinds() throws {
        let custom = #"{"id":"2","type":"custom","custom":{"name":"c","input":"x"}}"#
        #expect(try Self.verdict(whole: #"{"choices":[{"message":{"content":"a"}}]}"#) == nil)
        #expect(try Self.verdict(whole: Self.whole([])) == nil)
        #expect(try Self.verdict(whole: Self.whole([custom])) == nil)
        #expect(try Self.verdict(whole: Self.whole([Self.call(#""name":"g""#), custom])) == nil)
        #expect(try Self.verdict(whole: Self.whole([Self.call(#""name":"none""#), custom])) == false)
        #expect(try Self.verdict(whole: Self.whole(["1"])) == nil)
        let old = #"{"choices":[{"message":{"function_call":{"name":"g","arguments":"{}"}}}]}"#
        #expect(try Self.verdict(whole: old) == nil)
        let second = Self.whole([Self.call(#""name":"none""#)]).dropFirst(12)
        let two = #"{"choices":[{"message":{"content":"a"}},\#(second)"#
        #expect(try Self.verdict(whole: two) == nil)
        #expect(try Self.verdict(whole: Self.whole([Self.call(#""name":"g""#)]), nil) == false, "none was declared")
    }

    /// However a provider numbers and cuts its calls.
    @Test func partsOfAStreamAreJoined() {
        func part(_ index: String, _ id: String, _ name: String?, _ arguments: String) -> String {
            let name = name.map { #""name":\#($0),"# } ?? ""
            return #"{\#(index)\#(id)"function":{\#(name)"arguments":"\#(arguments)"}}"#
        }
        func numbered(_ index: Int) -> String { #""index":\#(index),"# }
        let id = #""id":"1","#
        let interleaved =
            Self.chunk([part(numbered(0), id, #""f""#, "")]) + Self.chunk([part(numbered(1), id, #""h""#, "{")])
            + Self.chunk([part(numbered(1), "", nil, #"\"a\":0,\"s\u00f6 "#), part(numbered(0), "", nil, #"{\"a\""#)])
            + Self.chunk([part(numbered(0), "", #""""#, ":1}"), part(numbered(1), "", "null", #"\\\"x\\\"\":1}"#)])
        #expect(Self.verdict(stream: interleaved) == true)
        let unnumbered =
            Self.chunk([part("", id, #""f""#, #"{\"a"#)]) + Self.chunk([part("", #""id":"","#, nil, #"\":1}"#)])
            + Self.chunk([part("", id, #""g""#, "{}")]) + Self.chunk([part("", "", #""f""#, #"{\"a\":2}"#)])
        #expect(Self.verdict(stream: unnumbered) == true)
        #expect(Self.verdict(stream: Self.chunk([part(numbered(0), id, #""f""#, "{")])) == false, "cut off")
        #expect(Self.verdict(stream: interleaved + "data: nonsense\n\n") == nil)
        // In a whole answer every element is a call, whatever its number.
        let same = [part(numbered(0), id, #""g""#, "{}"), part(numbered(0), id, #""g""#, "{}")]
        #expect((try? Self.verdict(whole: Self.whole(same))) == true)
    }

    /// A stream says of calls what the whole answer says.
    @Test(arguments: 1...4)
    func anyCutGivesTheSameVerdict(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let functions = [
            ("f", #"{\"a\":[1,{\"x\":\"\\u00e4\"}]}"#), ("f", #"{\"b\":1}"#), ("g", ""), ("g", "{}"), ("h", "{"),
            ("x", "{}"),
            ("h", #"{\"a\":1,\"s\u00f6 \\\"x\\\"\":2}"#),
        ]
        var seen: Set<Bool?> = []
        for _ in 0..<500 {
            let calls = (0..<Int.random(in: 1...3, using: &random)).map { _ in
                functions.randomElement(using: &random) ?? ("g", "")
            }
            let whole = calls.map { Self.call(#""name":"\#($0)","arguments":"\#($1)""#) }
            var parts: [String] = []
            for (index, (name, arguments)) in calls.enumerated() {
                parts.append(#"{"index":\#(index),"id":"i","function":{"name":"\#(name)","arguments":""}}"#)
                var rest = Substring(arguments)
                while !rest.isEmpty {
                    // Not within an escape, or the chunk would be no JSON.
                    var end = rest.index(rest.startIndex, offsetBy: Int.random(in: 1...rest.count, using: &random))
                    while end < rest.endIndex, Self.isInEscape(rest[..<end]) { end = rest.index(after: end) }
                    parts.append(#"{"index":\#(index),"function":{"arguments":"\#(rest[..<end])"}}"#)
                    rest = rest[end...]
                }
            }
            let expected = try Self.verdict(whole: Self.whole(whole))
            #expect(Self.verdict(stream: parts.map { Self.chunk([$0]) }.joined()) == expected, "\(calls)")
            seen.insert(expected)
        }
        #expect(seen == [true, false])
    }

    private static func isInEscape(_ text: Substring) -> Bool {
        (try? JSONSerialization.jsonObject(with: Data("\"\(text)\"".utf8), options: .fragmentsAllowed)) == nil
    }

    @Test func whatExceedsABoundIsNotJudged() throws {
        func verdict(argumentBytes bytes: Int, calls: Int = 1) throws -> Bool? {
            let name = #""name":"g","arguments":"{\"\#(String(repeating: "x", count: bytes - 8))\":1}""#
            return try Self.verdict(whole: Self.whole(Array(repeating: Self.call(name), count: calls)))
        }
        // The name is a byte too.
        #expect(try verdict(argumentBytes: ToolCalls.byteLimit - 1) == true)
        #expect(try verdict(argumentBytes: ToolCalls.byteLimit) == nil)
        #expect(try verdict(argumentBytes: 100, calls: ToolCalls.callLimit) == true)
        #expect(try verdict(argumentBytes: 100, calls: ToolCalls.callLimit + 1) == nil)
        let call = Self.whole([Self.call(#""name":"g""#)])
        let spaces = String(repeating: " ", count: ToolCalls.declaredLimit - Self.declared.utf8.count)
        #expect(try Self.verdict(whole: call, Self.declared + spaces) == true)
        #expect(try Self.verdict(whole: call, Self.declared + spaces + " ") == nil)
    }
}

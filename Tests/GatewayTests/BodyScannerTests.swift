import Gateway
import Testing

@Suite struct BodyScannerTests {
    private func scan(_ text: String) throws(ChatBodyFault) -> ChatBody {
        var text = text
        let result = text.withUTF8 { bytes -> Result<ChatBody, ChatBodyFault> in
            do throws(ChatBodyFault) {
                return .success(try BodyScanner.scan(UnsafeRawBufferPointer(bytes), salt: 7))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    private func slice(_ text: String, _ range: Range<Int>) -> String {
        String(decoding: Array(text.utf8)[range], as: UTF8.self)
    }

    @Test(arguments: [
        (#"{"type":"json_object"}"#, true), (#"{"json_schema":{"type":"object"},"type":"json_schema"}"#, true),
        (#"{"type":"text"}"#, false), (#"{"type":1}"#, false), ("{}", false), ("null", false),
        (#""json_object""#, false),
    ])
    func seesWhetherJSONIsAskedFor(_ format: String, _ expected: Bool) throws {
        #expect(try scan(#"{"model":"chat","response_format":\#(format)}"#).asksJSON == expected)
    }

    @Test func findsWhatTheGatewayNeedsAndNothingElse() throws {
        let text = """
            { "temperature": 1e-2, "model" : "chat", "stream":true, "user":"u\\u00e4", "metadata":{"session_id":"s1"},
              "tools":[{"type":"function"}],
              "messages":[{"role":"system","content":"äö"},
                {"role":"user","content":[{"type":"text","text":"abc"},{"type":"image_url","image_url":{"url":"x"}}]},
                {"role":"assistant","content":null}] }
            """
        let body = try scan(text)
        #expect(slice(text, body.model.quoted) == "\"chat\"")
        #expect(body.stream)
        #expect(body.user.map { slice(text, $0.range) } == "u\\u00e4")
        #expect(body.session.map { slice(text, $0.range) } == "s1")
        #expect(body.messages == 3)
        #expect(body.characters == 5)
        #expect(body.images == 1)
        #expect(body.tools.map { slice(text, $0) } == #"[{"type":"function"}]"#)
        #expect(body.usage == .absent(at: 1))
    }

    @Test(arguments: [
        (#"{"model":"a","stream_options":{"include_usage":true}}"#, ChatBody.UsageRequest.asked),
        (#"{"model":"a","stream_options":null}"#, .null(30..<34)),
        (#"{"model":"a","stream_options":{}}"#, .object(at: 31, empty: true)),
        (#"{"model":"a","stream_options":{"b":1}}"#, .object(at: 31, empty: false)),
        (#"{"model":"a","stream_options":{"include_usage":false}}"#, .declined(47..<52)),
    ])
    func seesWhetherUsageIsAskedFor(_ text: String, _ expected: ChatBody.UsageRequest) throws {
        #expect(try scan(text).usage == expected)
    }

    @Test(arguments: [
        (#"{"messages":[]}"#, "model"),
        (#"{"model":"a","model":"b"}"#, "model"),
        (#"{"model":"a","mod\u0065l":"b"}"#, "model"),
        (#"{"model":1}"#, "model"),
        (#"{"model":"a","stream":"yes"}"#, "stream"),
        (#"{"model":"a","stream":true,"stream":true}"#, "stream"),
        (#"{"model":"a","stream_options":[]}"#, "stream_options"),
        (#"{"model":"a","messages":[],"messages":[]}"#, "messages"),
    ])
    func namesTheFieldToBlame(_ text: String, _ field: String) {
        let error = #expect(throws: ChatBodyFault.self) { try scan(text) }
        #expect(error?.field == field)
        #expect(error?.text.contains(field) == true)
    }

    @Test(arguments: [
        ("", 0), ("[]", 0), ("null", 0), ("{", 1), (#"{"model":"a""#, 12), (#"{"model":"a"} x"#, 14),
        (#"{"model":"a",}"#, 13), (#"{"model":"a" "b":1}"#, 13), (#"{"model":nul}"#, 9), (#"{"a":01}"#, 6),
        (#"{"a":1.}"#, 7), (#"{"a":1e}"#, 7), (#"{"a":-}"#, 6), (#"{"a":+1}"#, 5), (#"{"a":[1,]}"#, 8),
        (#"{"a":"\x"}"#, 7), (#"{"a":"\u12g4"}"#, 7), ("{\"a\":\"\n\"}", 6), (#"{"a":"#, 5), (#"{a:1}"#, 1),
        (#"{"a":"b"#, 7), (#"{"a":tru"#, 5),
    ])
    func malformedJSONIsRefusedWithItsOffset(_ text: String, _ offset: Int) {
        let error = #expect(throws: ChatBodyFault.self) { try scan(text) }
        guard case .malformed(let fault)? = error else {
            Issue.record("\(text) gave \(String(describing: error))")
            return
        }
        #expect(fault.offset == offset)
    }

    @Test func nestingIsBounded() throws {
        let limit = JSONCursor.depthLimit
        func nested(_ depth: Int) -> String {
            "{\"model\":\"a\",\"x\":" + String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
                + "}"
        }
        _ = try scan(nested(limit - 1))
        #expect(throws: ChatBodyFault.self) { try scan(nested(limit)) }
        #expect(throws: ChatBodyFault.self) { try scan(nested(1_000_000)) }
    }
}

/// An export of spans as a test describes it, written in both of OTLP's encodings by means of our own.
struct SpanExport: Sendable {
    indirect enum Value: Sendable {
        case text(String), integer(Int64), number(Double), flag(Bool), list([Value])
    }

    struct Span: Sendable {
        var traceID: [UInt8] = Array(1...16)
        var spanID: [UInt8] = Array(1...8)
        var name = "chat"
        var kind: Int64 = 3
        var start: UInt64 = 1_763_650_000_123_000_000
        var end: UInt64 = 1_763_650_000_935_500_000
        var attributes: [(String, Value)] = []
        var events: [(String, UInt64)] = []
        var status: Int64 = 0

        init(_ attributes: [(String, Value)] = []) { self.attributes = attributes }

        /// One answered chat of gpt-4o-mini: 512 tokens in, 187 out.
        static func chat(_ number: UInt64 = 1, more: [(String, Value)] = []) -> Span {
            var span = Span(
                [
                    ("gen_ai.operation.name", .text("chat")), ("gen_ai.provider.name", .text("openai")),
                    ("gen_ai.request.model", .text("gpt-4o-mini")), ("gen_ai.usage.input_tokens", .integer(512)),
                    ("gen_ai.usage.output_tokens", .integer(187)),
                    ("gen_ai.response.finish_reasons", .list([.text("stop")])),
                ] + more)
            span.spanID = (0..<8).map { UInt8(truncatingIfNeeded: number >> (56 - 8 * $0)) }
            return span
        }
    }

    var resource: [(String, Value)]
    var spans: [Span]
    /// Writes the resource behind its spans, as protobuf allows.
    var resourceLast = false

    init(resource: [(String, Value)] = [("service.name", .text("shop"))], spans: [Span]) {
        self.resource = resource
        self.spans = spans
    }
}

// MARK: - Protobuf

extension SpanExport {
    var protobuf: [UInt8] {
        let resource = Self.field(1, resource.flatMap { Self.field(1, Self.keyValue($0)) })
        let scope = Self.field(2, Self.field(1, Self.text(1, "test")) + spans.flatMap { Self.field(2, Self.span($0)) })
        return Self.field(1, resourceLast ? scope + resource : resource + scope)
    }

    private static func span(_ span: Span) -> [UInt8] {
        var bytes = field(1, span.traceID) + field(2, span.spanID) + text(5, span.name)
        bytes += varint(6 << 3) + varint(UInt64(span.kind)) + fixed(7, span.start) + fixed(8, span.end)
        bytes += span.attributes.flatMap { field(9, keyValue($0)) }
        bytes += span.events.flatMap { field(11, fixed(1, $0.1) + text(2, $0.0)) }
        return bytes + field(15, text(2, "said") + varint(3 << 3) + varint(UInt64(span.status)))
    }

    private static func keyValue(_ pair: (String, Value)) -> [UInt8] { text(1, pair.0) + field(2, any(pair.1)) }

    private static func any(_ value: Value) -> [UInt8] {
        switch value {
        case .text(let text): self.text(1, text)
        case .flag(let flag): varint(2 << 3) + [flag ? 1 : 0]
        case .integer(let number): varint(3 << 3) + varint(UInt64(bitPattern: number))
        case .number(let number): fixed(4, number.bitPattern)
        case .list(let values): field(5, values.flatMap { field(1, any($0)) })
        }
    }

    static func field(_ number: UInt64, _ bytes: [UInt8]) -> [UInt8] {
        varint(number << 3 | 2) + varint(UInt64(bytes.count)) + bytes
    }

    static func text(_ number: UInt64, _ text: String) -> [UInt8] { field(number, Array(text.utf8)) }

    static func varint(_ value: UInt64) -> [UInt8] {
        value < 0x80 ? [UInt8(value)] : [UInt8(truncatingIfNeeded: value) | 0x80] + varint(value >> 7)
    }

    static func fixed(_ number: UInt64, _ value: UInt64) -> [UInt8] {
        varint(number << 3 | 1) + (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }
}

// MARK: - JSON

extension SpanExport {
    var json: [UInt8] {
        let spans = spans.map { span in
            """
            {"traceId":"\(Self.hex(span.traceID))","spanId":"\(Self.hex(span.spanID))","name":\(Self.quoted(span.name)),\
            "kind":\(span.kind),"startTimeUnixNano":"\(span.start)","endTimeUnixNano":"\(span.end)",\
            "attributes":\(Self.attributes(span.attributes)),"events":[\(span.events.map {
                "{\"timeUnixNano\":\"\($0.1)\",\"name\":\(Self.quoted($0.0))}" }.joined(separator: ","))],\
            "status":{"message":"said","code":\(span.status)}}
            """
        }
        let text = """
            {"resourceSpans":[{"resource":{"attributes":\(Self.attributes(resource))},\
            "scopeSpans":[{"scope":{"name":"test"},"spans":[\(spans.joined(separator: ","))]}]}]}
            """
        return Array(text.utf8)
    }

    private static func attributes(_ pairs: [(String, Value)]) -> String {
        "[" + pairs.map { "{\"key\":\(quoted($0.0)),\"value\":\(any($0.1))}" }.joined(separator: ",") + "]"
    }

    private static func any(_ value: Value) -> String {
        switch value {
        case .text(let text): "{\"stringValue\":\(quoted(text))}"
        case .flag(let flag): "{\"boolValue\":\(flag)}"
        case .integer(let number): "{\"intValue\":\"\(number)\"}"
        case .number(let number): "{\"doubleValue\":\(number)}"
        case .list(let values): "{\"arrayValue\":{\"values\":[\(values.map(any).joined(separator: ","))]}}"
        }
    }

    private static func quoted(_ text: String) -> String {
        "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
    }

    private static func hex(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}

import Core
import Telemetry
import Testing

/// Whatever bytes come, reading ends with spans or with an error.
@Suite struct OTLPHostileTests {
    private static let export = SpanExport(spans: [
        .chat(more: [("gen_ai.conversation.id", .text("c")), ("n", .list([.list([.number(2)])]))]), .chat(2),
    ])

    private static func malformed(_ bytes: [UInt8], _ encoding: TraceExport.Encoding) -> Bool {
        do {
            _ = try TraceExport.read(bytes, as: encoding)
            return false
        } catch { return true }
    }

    @Test func truncationAtEveryByte() {
        let (protobuf, json) = (Self.export.protobuf, Self.export.json)
        for length in protobuf.indices.dropFirst() {
            #expect(Self.malformed(Array(protobuf.prefix(length)), .protobuf), "\(length)")
        }
        for length in json.indices { #expect(Self.malformed(Array(json.prefix(length)), .json), "\(length)") }
    }

    @Test(arguments: 0..<16) func changedAndRandomBytes(seed: Int) throws {
        let mapping = try OTLPTests.mapping()
        var generator = SplitMix64(seed: UInt64(seed))
        for _ in 0..<1_000 {
            for (bytes, encoding) in [(Self.export.protobuf, TraceExport.Encoding.protobuf), (Self.export.json, .json)]
            {
                var changed = bytes
                for _ in 0..<Int(generator.next() % 8 + 1) {
                    let place = Int(generator.next() % UInt64(changed.count))
                    switch generator.next() % 3 {
                    case 0: changed[place] = UInt8(truncatingIfNeeded: generator.next())
                    case 1: changed.remove(at: place)
                    default: changed.insert(UInt8(truncatingIfNeeded: generator.next()), at: place)
                    }
                }
                for span in (try? TraceExport.read(changed, as: encoding)) ?? [] { _ = mapping.map(span) }
                let random = (0..<Int(generator.next() % 64)).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
                for span in (try? TraceExport.read(random, as: encoding)) ?? [] { _ = mapping.map(span) }
            }
        }
    }

    /// Any mapped record passes the reader of the stream.
    @Test(arguments: 0..<8) func hostileSpansMakeValidRecords(seed: Int) throws {
        var generator = SplitMix64(seed: UInt64(seed) + 100)
        let texts = ["", "a", "chat", "\u{0}", String(repeating: "x", count: 300), "é/ü", "gpt 4"]
        let numbers: [Int64] = [.min, -1, 0, 1, 1 << 40, (1 << 40) + 1, .max]
        func value() -> SpanExport.Value {
            switch generator.next() % 5 {
            case 0: .integer(numbers[Int(generator.next() % 7)])
            case 1: .number([.nan, .infinity, -1, 0.5, 1e300][Int(generator.next() % 5)])
            case 2: .flag(true)
            case 3: .list([.text(texts[Int(generator.next() % 7)])])
            default: .text(texts[Int(generator.next() % 7)])
            }
        }
        for _ in 0..<2_000 {
            var span = SpanExport.Span.chat(generator.next() | 1)
            for attribute in SpanAttribute.allCases where generator.next() % 3 == 0 {
                span.attributes.append((attribute.rawValue, value()))
            }
            span.start = generator.next() % 8 == 0 ? generator.next() : span.start
            for case .record(let record, _) in try OTLPTests.outcomes(SpanExport(spans: [span]), .protobuf) {
                var bytes: [UInt8] = []
                EventEncoder.encode(.request(record), into: &bytes)
                #expect(try EventDecoder().decode(bytes, kind: .request) == .request(record))
            }
        }
    }

    @Test func depthCostsNothing() throws {
        var value = SpanExport.text(1, "deep")
        for _ in 0..<20_000 { value = SpanExport.field(5, SpanExport.field(1, value)) }
        let attribute = SpanExport.text(1, "gen_ai.request.model") + SpanExport.field(2, value)
        let span = SpanExport.field(2, SpanExport.field(9, attribute))
        let spans = try TraceExport.read(SpanExport.field(1, SpanExport.field(2, span)), as: .protobuf)
        #expect(spans.first?.isGenAI == true && spans.first?.attributes.isEmpty == true)
        let json = Array((String(repeating: #"{"resourceSpans":["#, count: 5_000)).utf8)
        #expect(throws: OTLPError.self) { try TraceExport.read(json, as: .json) }
    }

    @Test(
        arguments: [
            [0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f], [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], [0x00, 0x00], [0x0b], [0x0c], [0x0e],
            [0x80],
            [0x09, 1, 2, 3], [0x0d, 1], [0xf8, 0xff, 0xff, 0xff, 0x7f, 0x01], Array(repeating: 0x80, count: 20),
        ] as [[UInt8]]) func lengthsAndNumbersThatCannotBe(bytes: [UInt8])
    {
        #expect(throws: OTLPError.self) { try TraceExport.read(bytes, as: .protobuf) }
    }

    @Test(arguments: [
        "", "[]", "3", #"{"resourceSpans":{}}"#, #"{"resourceSpans":[3]}"#, #"{"resourceSpans":[],"resourceSpans":[]}"#,
        #"{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":true}]}]}]}"#,
        #"{"resourceSpans":[{"scopeSpans":[{"spans":[{"kind":"SPAN_KIND_CLIENT"}]}]}]}"#,
        #"{"resourceSpans":[{"resource":7}]}"#,
    ]) func jsonOfAnotherShape(text: String) {
        #expect(throws: OTLPError.self) { try TraceExport.read(Array(text.utf8), as: .json) }
    }

    /// A few bytes a span must not ask for much memory.
    @Test func spansAreCounted() {
        let empty = SpanExport.field(2, Array(repeating: [0x12, 0] as [UInt8], count: 70_000).flatMap { $0 })
        #expect(throws: OTLPError.tooManySpans(limit: 65_536)) {
            try TraceExport.read(SpanExport.field(1, empty), as: .protobuf)
        }
        let text = String(repeating: "{},", count: 70_000) + "{}"
        let json = Array(#"{"resourceSpans":[{"scopeSpans":[{"spans":[\#(text)]}]}]}"#.utf8)
        #expect(throws: OTLPError.tooManySpans(limit: 65_536)) { try TraceExport.read(json, as: .json) }
    }

    @Test func anEmptyExportIsOne() throws {
        #expect(try TraceExport.read([], as: .protobuf).isEmpty)
        #expect(try TraceExport.read(Array("{}".utf8), as: .json).isEmpty)
    }
}

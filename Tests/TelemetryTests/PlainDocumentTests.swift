import Core
import Telemetry
import Testing

/// A document as we write it is read in one go, any other by its tokens: both ways must tell the same of it.
@Suite struct PlainDocumentTests {
    /// A space says nothing, but is not written by us.
    private static func spaced(_ bytes: [UInt8]) -> [UInt8] {
        bytes.first == UInt8(ascii: "{") ? [bytes[0], UInt8(ascii: " ")] + bytes.dropFirst() : bytes
    }

    private static func read(
        _ bytes: [UInt8], _ kind: LogEvent.Kind, _ decoder: EventDecoder
    ) -> Result<LogEvent, EventError> {
        Result { () throws(EventError) in try decoder.decode(bytes, kind: kind) }
    }

    @Test("Events are read alike, and hold what was written", arguments: [1, 2, 4] as [UInt64])
    func events(seed: UInt64) throws {
        var events = RandomEvents(seed: seed, plain: seed % 2 == 0)
        let (one, other) = (EventDecoder(), EventDecoder())
        for _ in 0..<1_000 {
            let event = events.next()
            var bytes: [UInt8] = []
            EventEncoder.encode(event, into: &bytes)
            #expect(try one.decode(bytes, kind: event.kind) == event)
            #expect(try other.decode(Self.spaced(bytes), kind: event.kind) == event)
        }
    }

    @Test("Damaged events are refused alike, or read alike", arguments: [11, 12, 14] as [UInt64])
    func damaged(seed: UInt64) {
        var events = RandomEvents(seed: seed, plain: seed % 2 == 0)
        let (one, other) = (EventDecoder(), EventDecoder())
        let signs = Array("\"\\{}[],:0123456789.-+eEtfn \t\n\u{1}\u{7f}é".utf8)
        var refused = 0
        for _ in 0..<4_000 {
            let event = events.next()
            var bytes: [UInt8] = []
            EventEncoder.encode(event, into: &bytes)
            for _ in 0...(events.random.next() % 3) {
                let at = 1 + Int(events.random.next() % UInt64(bytes.count - 1))
                let sign = signs[Int(events.random.next() % UInt64(signs.count))]
                switch events.random.next() % 4 {
                case 0: bytes[at] = sign
                case 1: bytes.insert(sign, at: at)
                case 2: bytes.remove(at: at)
                default: bytes.removeSubrange(at...)
                }
                if bytes.count < 2 { bytes = Array("{}".utf8) }
            }
            let told = Self.read(bytes, event.kind, one)
            #expect(
                told == Self.read(Self.spaced(bytes), event.kind, other), "\(String(decoding: bytes, as: UTF8.self))")
            if case .failure(let error) = told, error.reason == .malformedJSON { refused += 1 }
        }
        #expect(refused > 1_000)
    }

    @Test("What stands where another name is expected is read as what it is")
    func otherOrder() throws {
        var events = RandomEvents(seed: 21, plain: true)
        let decoder = EventDecoder()
        for _ in 0..<300 {
            let event = events.next()
            var bytes: [UInt8] = []
            EventEncoder.encode(event, into: &bytes)
            #expect(try decoder.decode(bytes, kind: event.kind) == event)
            // As long as the name that stood here before, or a beginning of it.
            for name in ["iD", "i", "", "identity", "a name of more than sixteen bytes"] {
                let more = Array("{\"\(name)\":1,".utf8) + bytes.dropFirst()
                #expect(try decoder.decode(more, kind: event.kind) == event)
            }
        }
    }

    @Test("A name that was written in another way is expected as we write it", arguments: [#""i\u0064":"#, "\"id\" :"])
    func otherWriting(name: String) throws {
        var events = RandomEvents(seed: 22, plain: true)
        let decoder = EventDecoder()
        for _ in 0..<100 {
            let event = events.next()
            var bytes: [UInt8] = []
            EventEncoder.encode(event, into: &bytes)
            let json = String(decoding: bytes, as: UTF8.self)
            // The first is learned from; behind the last's names is what the first has left behind its own.
            for text in [name, "\"id\":", #""idu0064":1,"id":"#, #""idu00":1,"id":"#] {
                let written = Array(json.replacing("\"id\":", with: text, maxReplacements: 1).utf8)
                #expect(try decoder.decode(written, kind: event.kind) == event)
            }
        }
    }

    @Test("Numbers of every length are read as Swift reads them")
    func numbers() throws {
        var random = SplitMix64(seed: 5)
        let document = JSONDocument()
        for length in 1...30 {
            for _ in 0..<50 {
                let digits = (0..<length).map { _ in Character("\(random.next() % 10)") }
                let whole = String(digits.drop { $0 == "0" })
                let point = Int(random.next() % UInt64(length))
                let sign = random.next() % 2 == 0 ? "-" : ""
                let texts = [
                    sign + (whole.isEmpty ? "0" : whole), "\(sign)0.\(String(digits))",
                    "\(sign)1\(String(digits[..<point])).\(String(digits[point...]))",
                    "\(sign)1\(String(digits))e-\(point)",
                ]
                for text in texts {
                    let json = Array("{\"x\":\(text)}".utf8)
                    let bytes = json + [UInt8](repeating: 0, count: 64)
                    let isHuge =
                        Int64(text) == nil && UInt64(text) == nil && text.allSatisfy { $0.isNumber || $0 == "-" }
                    try bytes.withUnsafeBytes { raw -> Void in
                        let part = UnsafeRawBufferPointer(rebasing: raw[..<json.count])
                        if isHuge {
                            #expect(throws: EventError.self) { try document.parse(part) }
                            return
                        }
                        try document.parse(part)
                        let index = try #require(document.values(of: JSONDocument.root).first { _ in true })
                        #expect(document.number(index) == Double(text), "\(text)")
                        #expect(document.integer(index) == Int64(text), "\(text)")
                    }
                }
            }
        }
    }
}

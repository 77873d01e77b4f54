import Core
import Foundation
import StreamProcessing
import Telemetry
import TestSupport
import Testing

/// What lies in the log and is not a sound record becomes a dead letter with its bytes, and nothing else happens.
@Suite struct InputRecordTests {
    private let decoder = EventDecoder()
    private let sound: [UInt8] = {
        var bytes: [UInt8] = []
        EventEncoder.encode(Make.request(1, at: 500) { $0.tags = ["a": "b"] }, into: &bytes)
        return bytes
    }()

    private static func processor() -> PartitionProcessor {
        PartitionProcessor(partition: 3, settings: Make.settings { $0.deadLetterBytes = 4_096 })
    }

    private func feed(_ bytes: [UInt8], to processor: PartitionProcessor, kind: LogEvent.Kind? = .request) {
        processor.process(
            bytes, bytes.indices, kind: kind, offset: processor.position, now: Make.start + 2_000, decoder: decoder)
    }

    /// Feeds one record, then a sound one, and says what became of the first.
    ///
    /// - Returns: its dead letter, or `nil` if it was counted or passed over.
    private func fate(of bytes: [UInt8], kind: LogEvent.Kind? = .request) throws -> DeadLetter? {
        let processor = Self.processor()
        let before = processor.watermark
        feed(bytes, to: processor, kind: kind)
        #expect(processor.position == 1)
        let dead = processor.checkpoint().deadLetters
        #expect(dead.count <= 1)
        guard let letter = dead.first else { return nil }
        #expect(letter.partition == 3 && letter.offset == 0 && letter.at == Make.start + 2_000)
        #expect(letter.raw == Array(bytes.prefix(4_096)) && !letter.detail.isEmpty)
        #expect(processor.watermark == before && processor.openWindows == 0 && processor.counts.requests == 0)
        feed(sound, to: processor)
        #expect(processor.counts.requests == 1 && processor.position == 2)
        return letter
    }

    /// The sound record with a field's value replaced.
    private func with(_ field: String, _ value: String?) -> [UInt8] {
        let text = String(decoding: sound, as: UTF8.self)
        guard let name = text.range(of: "\"\(field)\":") else { return [] }
        let end = text[name.upperBound...].firstIndex(of: ",") ?? text.endIndex
        if let value { return Array(text.replacingCharacters(in: name.upperBound..<end, with: value).utf8) }
        return Array(text.replacingCharacters(in: name.lowerBound...end, with: "").utf8)
    }

    @Test("V01: what is not JSON is put aside, whole or up to the bound")
    func notJSON() throws {
        for text in ["not json", "\u{0}", "{", "[1,2", "nul", String(repeating: "x", count: 10_000)] {
            #expect(try fate(of: Array(text.utf8))?.reason == .malformedJSON)
        }
    }

    @Test("V02: a time that is missing, null, boolean or text is refused")
    func time() throws {
        for value in [nil, "null"] { #expect(try fate(of: with("at", value))?.reason == .missingField) }
        for value in ["true", "\"1763650020500\"", "1e3000", "1.5"] {
            #expect([.badValue, .malformedJSON].contains(try fate(of: with("at", value))?.reason))
        }
    }

    @Test("V03: seconds in place of milliseconds do not move the watermark")
    func seconds() throws { #expect(try fate(of: with("at", "1760000000"))?.reason == .badValue) }

    /// A record without a model counts: a request can be refused before a model is chosen.
    @Test("V04: a record without a route is refused")
    func route() throws { #expect(try fate(of: with("route", nil))?.reason == .missingField) }

    @Test("V05: an empty record is passed over and counted")
    func tombstone() {
        let processor = Self.processor()
        feed([], to: processor)
        #expect(processor.position == 1 && processor.counts.skipped == 1)
        #expect(processor.checkpoint().deadLetters.isEmpty)
    }

    @Test("V06, V07: escapes, and unknown and nested fields, change nothing")
    func sameResult() {
        let plain = Self.processor()
        feed(sound, to: plain)
        let expected = plain.checkpoint()
        let text = String(decoding: sound, as: UTF8.self)
        for odd in [
            text.replacing("\"chat\"", with: #""ch\u0061t""#),
            #"{"deep":{"at":1,"a":[[{"route":"no"}]]},"list":[1,{"x":null}],"# + text.dropFirst(),
        ] {
            let other = Self.processor()
            feed(Array(odd.utf8), to: other)
            #expect(other.checkpoint() == expected)
        }
    }

    @Test("V08: the same place twice counts once")
    func twice() {
        let processor = Self.processor()
        for _ in 0..<2 {
            processor.process(
                sound, sound.indices, kind: .request, offset: 7, now: Make.start + 2_000, decoder: decoder)
        }
        #expect(processor.counts.requests == 1 && processor.counts.repeatedOffsets == 1)
    }

    @Test("A record cut at any byte is put aside")
    func truncated() throws {
        for length in 1..<sound.count {
            #expect(try fate(of: Array(sound.prefix(length))) != nil, "cut after \(length) bytes")
        }
    }

    @Test("Hostile values are put aside: other types, huge numbers, NaN, depth, repeats, bytes that are no text")
    func hostile() throws {
        let values = [
            "{}", "[]", "[[]]", "-1e308", "1e400", "99999999999999999999999999", "NaN", "Infinity", "-Infinity", "0x1F",
            "nan", "\"\\ud800\"", "\"\\u0000\"", "+1", "01", "true", String(repeating: "[", count: 100_000),
        ]
        for field in ["id", "at", "started_at", "route", "outcome", "status", "total_ms", "cost_nano_usd", "policy"] {
            for value in values {
                let letter = try fate(of: with(field, value))
                #expect(letter != nil, "\(field) = \(value.prefix(20))")
            }
        }
        for field in ["at", "route", "tags", "id"] {
            let text = String(decoding: sound, as: UTF8.self).dropLast() + ",\"\(field)\":1}"
            #expect(try fate(of: Array(text.utf8))?.reason == .repeatedField)
        }
        var notText = sound
        if let place = notText.firstIndex(of: UInt8(ascii: "c")) { notText[place] = 0xc3 }
        #expect(try fate(of: notText)?.reason == .malformedJSON)
        #expect(try fate(of: sound, kind: nil)?.reason == .unknownKind)
        #expect(try fate(of: sound, kind: .feedback) != nil)
    }

    @Test("A text of ten megabytes is put aside, and only its beginning is kept")
    func huge() throws {
        let text = "\"" + String(repeating: "a", count: 10_000_000) + "\""
        for bytes in [with("route", text), Array(text.utf8)] {
            let letter = try fate(of: bytes)
            #expect(letter?.reason == .malformedJSON && letter?.raw.count == 4_096)
        }
    }

    /// Whatever a few changed bytes make of a record: it counts, or it is put aside with its bytes; nothing is lost.
    @Test("Records changed at random are counted or put aside", arguments: 1...4 as ClosedRange<UInt64>)
    func fuzz(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        let pieces = [
            "{", "}", "[", "]", "\"", ",", ":", "null", "-", "1e99", "\\u", "\\ud800", "\u{0}", "tokens", "at",
            "9999999999999999999",
        ].map { Array($0.utf8) }
        var corpus: [(kind: LogEvent.Kind, bytes: [UInt8])] = []
        for event in [
            Make.request(1, at: 500) { $0.tokens = TokenUsage(input: 1, output: 2) }, Make.feedback(1, on: 1),
        ] {
            var bytes: [UInt8] = []
            EventEncoder.encode(event, into: &bytes)
            corpus.append((event.kind, bytes))
        }
        let processor = Self.processor()
        for _ in 0..<20_000 {
            let origin = corpus[Int(random.next() % 2)]
            var bytes = origin.bytes
            for _ in 0...random.next() % 3 {
                let at = Int(random.next() % UInt64(bytes.count))
                switch random.next() % 5 {
                case 0: bytes[at] = UInt8(truncatingIfNeeded: random.next())
                case 1: bytes.removeSubrange(at..<min(bytes.count, at + 1 + Int(random.next() % 9)))
                case 2: bytes.insert(contentsOf: pieces[Int(random.next() % UInt64(pieces.count))], at: at)
                case 3: bytes.insert(contentsOf: bytes[at..<min(bytes.count, at + 20)], at: at)
                default: bytes[at] ^= 1 << UInt8(random.next() % 8)
                }
                if bytes.isEmpty { bytes = [0] }
            }
            let (offset, counts) = (processor.position, processor.counts)
            feed(bytes, to: processor, kind: origin.kind)
            let letters = processor.checkpoint().deadLetters.filter { $0.offset == offset }
            #expect(processor.position == offset + 1)
            if let letter = letters.first {
                #expect(letters.count == 1 && processor.counts.requests == counts.requests)
                // Feedback that was understood and refused is written anew.
                #expect(letter.raw == bytes || letter.reason == .notOwnRequest || letter.reason == .requestUnknown)
            }
        }
    }
}

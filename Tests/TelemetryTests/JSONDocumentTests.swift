import Core
import Foundation
import Telemetry
import Testing

/// The walk over the parser's tokens is our own, so it is held to the grammar of RFC 8259 and to another parser.
@Suite struct JSONDocumentTests {
    private let document = JSONDocument()

    @Test(
        "What the grammar allows is read",
        arguments: [
            ("{}", "{}"), (" { } ", "{}"), (#"{"a":1}"#, #"{"a":1}"#), ("\n{\t\"a\"\r:\n1 }", #"{"a":1}"#),
            (#"{"a" :"b" , "c":[ ] }"#, #"{"a":"b","c":[]}"#),
            (#"{"a":[1,[2,{}],{"b":[]}]}"#, #"{"a":[1,[2,{}],{"b":[]}]}"#),
            (#"{"a":true,"b":false,"c":null}"#, #"{"a":true,"b":false,"c":null}"#), (#"{"":""}"#, #"{"":""}"#),
            (#"{"a":-0}"#, #"{"a":0}"#), (#"{"a":9223372036854775807}"#, #"{"a":9223372036854775807}"#),
            (#"{"a":-9223372036854775808}"#, #"{"a":-9223372036854775808}"#),
            (#"{"a":18446744073709551615}"#, #"{"a":1.8446744073709552e+19}"#), (#"{"a":0.5}"#, #"{"a":0.5}"#),
            (#"{"a":1e3}"#, #"{"a":1000.0}"#), (#"{"a":1E+2}"#, #"{"a":100.0}"#), (#"{"a":-2.5e-1}"#, #"{"a":-0.25}"#),
            (#"{"a":1e-400}"#, #"{"a":0.0}"#), (#"{"a":0.1000000000000000055511151231257827}"#, #"{"a":0.1}"#),
            (#"{"a":1.7976931348623157e308}"#, #"{"a":1.7976931348623157e+308}"#),
            (#"{"a":"\"\\\/\b\f\n\r\t"}"#, "{\"a\":\"\"\\/\u{8}\u{c}\n\r\t\"}"),
            (#"{"a":"\u00e9\u20AC"}"#, #"{"a":"é€"}"#),
            (#"{"a":"\ud83d\ude00!"}"#, #"{"a":"😀!"}"#), (#"{"\u0061b":"x\\"}"#, #"{"ab":"x\"}"#),
            (#"{"a":"é€😀"}"#, #"{"a":"é€😀"}"#),
            (#"{"a":"{[,:]}"}"#, #"{"a":"{[,:]}"}"#),
        ])
    func read(json: String, written: String) throws {
        try parse(Array(json.utf8))
        #expect(describe(JSONDocument.root) == written)
    }

    @Test(
        "What the grammar does not allow is refused",
        arguments: [
            "", " ", "{", "}", "[", "]", "{]", "[}", "[]", "1", "null", "\"a\"", "{}{}", "{}}", "{},", "{} x",
            "{}\u{0}",
            #"{"a"}"#, #"{"a":}"#, #"{"a" 1}"#, #"{"a":1,}"#, #"{,"a":1}"#, #"{"a":1 "b":2}"#, #"{"a":1,,"b":2}"#,
            #"{a:1}"#, #"{1:1}"#, #"{'a':1}"#, #"{"a"::1}"#, #"{"a":1:2}"#, #"{null:1}"#, #"{"a":[1,]}"#,
            #"{"a":[,1]}"#,
            #"{"a":[1 2]}"#, #"{"a":[1}"#, #"{"a":[1}]"#, #"{"a":(1)}"#, #"{"a":tru}"#, #"{"a":truee}"#, #"{"a":True}"#,
            #"{"a":nul}"#, #"{"a":nulll}"#, #"{"a":falsey}"#, #"{"a":NaN}"#, #"{"a":Infinity}"#, #"{"a":-Infinity}"#,
            #"{"a":01}"#, #"{"a":-01}"#, #"{"a":-}"#, #"{"a":+1}"#, #"{"a":.5}"#, #"{"a":1.}"#, #"{"a":1.e2}"#,
            #"{"a":1e}"#,
            #"{"a":1e+}"#, #"{"a":1.2.3}"#, #"{"a":1e2e3}"#, #"{"a":0x1}"#, #"{"a":1x}"#, #"{"a":1"b"}"#, #"{"a":--1}"#,
            #"{"a":1e400}"#, #"{"a":-1e400}"#, #"{"a":99999999999999999999}"#, #"{"a":-9223372036854775809}"#,
            #"{"a":"b}"#, #"{"a":"b"c}"#, #"{"a":"b""c"}"#, #"{"a":"\x"}"#, #"{"a":"\u12"}"#, #"{"a":"\u12g4"}"#,
            #"{"a":"\u+123"}"#, #"{"a":"\ud800"}"#, #"{"a":"\ud800\u0041"}"#, #"{"a":"\udc00"}"#,
            #"{"a":"\ud800\ud800"}"#,
            #"{"a":"\ud83d\ude0"}"#, #"{"a":"\"}"#, "{\"a\":\"\n\"}", "{\"a\":\"\u{0}\"}", "{\"a\":\u{0}1}",
            "\u{feff}{}",
            "{\"a\":1}\u{c}", "// c\n{}", "{\"a\":1} // c",
        ])
    func refused(json: String) {
        #expect(throws: EventError.self) { try parse(Array(json.utf8)) }
    }

    @Test("Nesting up to the bound is read, and beyond it refused with the reason")
    func nesting() throws {
        func nested(_ levels: Int) -> [UInt8] {
            Array(
                ("{\"a\":" + String(repeating: "[", count: levels - 1) + String(repeating: "]", count: levels - 1) + "}")
                    .utf8)
        }
        try parse(nested(16))
        let error = #expect(throws: EventError.self) { try parse(nested(17)) }
        #expect(error?.detail.contains("deeper than 16 levels") == true)
        #expect(throws: EventError.self) { try parse(Array(repeating: UInt8(ascii: "["), count: 200_000)) }
        #expect(throws: EventError.self) { try parse(Array(repeating: UInt8(ascii: "{"), count: 200_000)) }
    }

    @Test("A record of any length up to the bound is read, and one byte more is refused")
    func length() throws {
        let bound = 256 * 1024
        for length in [8, 63, 64, 65, 127, 128, 4_096, 4_097, bound - 1, bound] {
            let text = String(repeating: "é", count: (length - 8) / 2) + String(repeating: "e", count: length % 2)
            try parse(Array("{\"a\":\"\(text)\"}".utf8))
            #expect(describe(JSONDocument.root) == "{\"a\":\"\(text)\"}")
        }
        #expect(throws: EventError.self) { try parse(Array(repeating: UInt8(ascii: " "), count: bound + 1)) }
    }

    @Test("Whatever is read of changed bytes, another parser reads the same", arguments: 1...20)
    func differential(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let interesting =
            Array(#"{}[],:"\/ubfnrt0123456789.eE+-truefalsnl é€"#.utf8) + [0, 0x1f, 0x7f, 0x80, 0xc3, 0xff]
        for _ in 0..<500 {
            var bytes = value(&random, depth: 0)
            try parse(bytes)
            for _ in 0..<Int(random.next() % 4) where !bytes.isEmpty {
                let at = Int(random.next() % UInt64(bytes.count))
                let byte = interesting[Int(random.next() % UInt64(interesting.count))]
                switch random.next() % 3 {
                case 0: bytes[at] = byte
                case 1: bytes.insert(byte, at: at)
                default: bytes.remove(at: at)
                }
            }
            let theirs = try? JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any]
            let isRead = (try? parse(bytes)) != nil
            guard isRead else { continue }
            let isSame = theirs.map { same(JSONDocument.root, $0) }
            #expect(isSame == true, "\(String(decoding: bytes, as: UTF8.self))")
        }
    }

    @Test("Every number is read to the nearest double", arguments: 1...10)
    func nearest(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        for _ in 0..<1_000 {
            let digits = (0..<(1 + random.next() % 22)).map { _ in String(random.next() % 10) }.joined()
            let whole = String(random.next() % 1_000), power = Int64(random.next() % 660) - 330
            for text in ["\(whole).\(digits)", "-\(whole).\(digits)e\(power)", "\(whole)e\(power)"] {
                let nearest = try #require(Double(text))
                guard nearest.isFinite else { continue }
                try parse(Array("{\"a\":\(text)}".utf8))
                let value = try #require(document.values(of: JSONDocument.root).first { _ in true })
                #expect(document.number(value) == nearest, "\(text)")
            }
        }
    }

    // MARK: Help

    private func parse(_ bytes: [UInt8]) throws {
        try bytes.withUnsafeBytes { try document.parse($0) }
    }

    private func names(_ object: Int) -> [String] {
        document.values(of: object).map { String(decoding: document.key($0), as: UTF8.self) }
    }

    private func describe(_ index: Int) -> String {
        switch UInt8(document.type(index)) {
        case UInt8(ascii: "{"):
            "{"
                + zip(names(index), document.values(of: index)).map { "\"\($0)\":\(describe($1))" }.joined(
                    separator: ",")
                + "}"
        case UInt8(ascii: "["): "[" + document.values(of: index).map(describe).joined(separator: ",") + "]"
        case UInt8(ascii: "\""): "\"\(document.anyString(index) ?? "")\""
        case UInt8(ascii: "n"): "null"
        default:
            document.bool(index).map { "\($0)" } ?? document.integer(index).map { "\($0)" }
                ?? "\(document.number(index) ?? .nan)"
        }
    }

    private func same(_ index: Int, _ other: Any) -> Bool {
        switch UInt8(document.type(index)) {
        case UInt8(ascii: "{"):
            guard let other = other as? [String: Any] else { return false }
            // Of a name that is given twice the other parser takes one.
            guard Set(names(index)).count == names(index).count else { return true }
            guard names(index).count == other.count else { return false }
            return zip(names(index), document.values(of: index)).allSatisfy { name, value in
                other[name].map { same(value, $0) } ?? false
            }
        case UInt8(ascii: "["):
            guard let other = other as? [Any] else { return false }
            let values = Array(document.values(of: index))
            return values.count == other.count && zip(values, other).allSatisfy { same($0, $1) }
        case UInt8(ascii: "\""): return document.anyString(index) == other as? String
        case UInt8(ascii: "n"): return other is NSNull
        default:
            if let flag = document.bool(index) { return other as? Bool == flag }
            guard let theirs = (other as? NSNumber)?.doubleValue, let ours = document.number(index) else {
                return false
            }
            // The other parser is off by a unit in the last place now and then.
            return abs(theirs - ours) <= 1e-14 * abs(ours)
        }
    }

    /// A JSON object drawn at random.
    private func value(_ random: inout SplitMix64, depth: Int) -> [UInt8] {
        var json = "{"
        for field in 0..<Int(random.next() % 4 + 1) {
            json += (field > 0 ? "," : "") + text(&random) + (random.next() % 4 == 0 ? " : " : ":")
            json += inner(&random, depth: depth)
        }
        return Array((json + "}").utf8)
    }

    private func inner(_ random: inout SplitMix64, depth: Int) -> String {
        switch random.next() % (depth < 4 ? 8 : 6) {
        case 0: return "\(Int64(bitPattern: random.next()) >> Int64(random.next() % 64))"
        case 1: return "\(Double(Int64(bitPattern: random.next())) * pow(10, Double(Int64(random.next() % 60)) - 40))"
        case 2: return ["true", "false", "null"][Int(random.next() % 3)]
        case 3: return "\(Double(random.next() % 100_000) / 10)"
        case 4, 5: return text(&random)
        case 6: return String(decoding: value(&random, depth: depth + 1), as: UTF8.self)
        default:
            let count = random.next() % 4
            return "[" + (0..<count).map { _ in inner(&random, depth: depth + 1) }.joined(separator: ", ") + "]"
        }
    }

    private func text(_ random: inout SplitMix64) -> String {
        let pieces = [
            "a", "route", "é", "€", "😀", #"\n"#, #"\""#, #"\\"#, #"\/"#, #"\u0041"#, #"\ud83d\ude00"#, " ", ":", "}",
        ]
        return "\"" + (0..<(random.next() % 12)).map { _ in pieces[Int(random.next() % UInt64(pieces.count))] }.joined()
            + "\""
    }
}

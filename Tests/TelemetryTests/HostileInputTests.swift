import Core
import Telemetry
import Testing

@Suite struct HostileInputTests {
    private let decoder = EventDecoder()

    private static let valid: [(String, String)] = [
        ("v", "1"), ("id", #""01932f5c-3a1b-7abc-8def-0123456789ab""#), ("at", "1763650000935"),
        ("started_at", "1763650000123"), ("route", #""route-1""#), ("outcome", #""complete""#), ("status", "200"),
        ("total_ms", "812.4"),
    ]

    /// The valid record with one field replaced, or left out for `nil`, and more behind it.
    private static func record(_ field: String = "", _ value: String? = nil, more: String = "") -> String {
        var fields = valid.compactMap { name, usual in
            name == field ? value.map { "\"\(name)\":\($0)" } : "\"\(name)\":\(usual)"
        }
        if let value, !valid.contains(where: { $0.0 == field }) { fields.append("\"\(field)\":\(value)") }
        if !more.isEmpty { fields.append(more) }
        return "{" + fields.joined(separator: ",") + "}"
    }

    struct Refused: CustomTestStringConvertible, Sendable {
        var json: String
        var reason: EventError.Reason
        /// What the message has to name.
        var names: String
        var testDescription: String { String(json.prefix(80)) }
        init(_ json: String, _ reason: EventError.Reason, _ names: String = "") {
            self.json = json
            self.reason = reason
            self.names = names
        }
    }

    static let broken: [Refused] = [
        Refused("", .malformedJSON), Refused("nul", .malformedJSON), Refused("not json", .malformedJSON),
        Refused("[]", .malformedJSON, "object"), Refused("3", .malformedJSON, "object"),
        Refused(record() + "x", .malformedJSON), Refused(String(record().dropLast()), .malformedJSON),
        Refused(record("x", "[1,2,,]"), .malformedJSON), Refused(record("x", "01e"), .malformedJSON),
        Refused(
            record("x", String(repeating: "[", count: 40) + String(repeating: "]", count: 40)), .malformedJSON, "deep"),
        Refused(record("x", "\"" + String(repeating: "a", count: 300_000) + "\""), .malformedJSON, "longer"),
        Refused("{}", .missingField, "v"),
        Refused(record("v", "2"), .unsupportedVersion, "2"), Refused(record("v", "\"1\""), .badValue, "v"),
        Refused(record("id", nil), .missingField, "id"), Refused(record("route", nil), .missingField, "route"),
        Refused(record("at", nil), .missingField, "at"), Refused(record("at", "null"), .missingField, "at"),
        Refused(record("started_at", nil), .missingField, "started_at"),
        Refused(record("outcome", nil), .missingField, "outcome"),
        Refused(record("status", nil), .missingField, "status"),
        Refused(record("total_ms", nil), .missingField, "total_ms"),
        Refused(record("at", "true"), .badValue, "at"), Refused(record("at", "\"1763650000935\""), .badValue, "at"),
        Refused(record("at", "1760000000"), .badValue, "at"), Refused(record("at", "1763650000935.5"), .badValue, "at"),
        Refused(record("at", "99999999999999999999"), .malformedJSON),
        Refused(record("at", "18446744073709551615"), .badValue, "at"),
        Refused(record("id", "\"01932f5c\""), .badValue, "id"), Refused(record("id", "7"), .badValue, "id"),
        Refused(record("route", "7"), .badValue, "route"), Refused(record("route", #""a\u0000b""#), .badValue, "route"),
        Refused(record("route", "\"" + String(repeating: "r", count: 257) + "\""), .badValue, "route"),
        Refused(record("outcome", "\"fine\""), .badValue, "outcome"),
        Refused(record("arm", "\"left\""), .badValue, "arm"),
        Refused(record("error", "\"oops\""), .badValue, "error"), Refused(record("status", "-1"), .badValue, "status"),
        Refused(record("total_ms", "-0.1"), .badValue, "total_ms"),
        Refused(record("total_ms", "1e400"), .malformedJSON),
        Refused(record("total_ms", "1e40"), .badValue, "total_ms"),
        Refused(record("ttft_ms", "{}"), .badValue, "ttft_ms"),
        Refused(record("propensity", "1.01"), .badValue, "propensity"),
        Refused(record("cost_nano_usd", "-5"), .badValue, "cost_nano_usd"),
        Refused(record("cost_nano_usd", "1.5"), .badValue, "cost_nano_usd"),
        Refused(record("stream", "1"), .badValue, "stream"), Refused(record("seq", "-1"), .badValue, "seq"),
        Refused(record("tokens", "7"), .badValue, "tokens"),
        Refused(record("tokens", #"{"input":1}"#), .missingField, "tokens.output"),
        Refused(record("tokens", #"{"input":-1,"output":1}"#), .badValue, "tokens.input"),
        Refused(record("tokens", #"{"input":1,"input":1,"output":1}"#), .repeatedField, "tokens.input"),
        Refused(record("tags", #"{"a":"x","a":"y"}"#), .repeatedField, "tags.a"),
        Refused(record("tags", #"{"a":1}"#), .badValue, "tags"),
        Refused(record("attempts", #"[{"target":"a","ms":1}]"#), .missingField, "attempts.outcome"),
        Refused(record("attempts", #"{"target":"a"}"#), .badValue, "attempts"),
        Refused(record("attempts", "[1]"), .badValue, "attempts"),
        Refused(record(more: #""at":1763650000935"#), .repeatedField, "at"),
        Refused(record(more: #""ro\u0075te":"b""#), .repeatedField, "route"),
        Refused(record(more: #""arm":null,"arm":"stable""#), .repeatedField, "arm"),
    ]

    @Test("A broken record is refused with its reason, and the message names the field", arguments: broken)
    func refused(_ hostile: Refused) {
        let error = #expect(throws: EventError.self) {
            try decoder.decode(Array(hostile.json.utf8), kind: .request)
        }
        #expect(error?.reason == hostile.reason)
        #expect(error?.detail.contains(hostile.names) == true, "\(error?.detail ?? "")")
    }

    @Test("Bytes that are not UTF-8 are refused")
    func notUTF8() {
        var bytes = Array(Self.record().utf8)
        for (at, byte) in bytes.enumerated() where byte == UInt8(ascii: "r") { bytes[at] = 0xff }
        #expect(throws: EventError.self) { try decoder.decode(bytes, kind: .request) }
    }

    @Test("Unknown fields, nested values and escaped names change nothing")
    func tolerated() throws {
        let plain = try decoder.decode(Array(Self.record().utf8), kind: .request)
        let odd = [
            Self.record(more: #""next":{"at":1,"route":[{"route":"no"}]},"next":[]"#),
            #"{"first":{"deep":[[[{"id":7}]]]},"# + Self.record().dropFirst(),
            Self.record("route", #""ro\u0075te-1""#),
            Self.record(more: #""error":null,"tokens":null"#),
        ]
        for json in odd { #expect(try decoder.decode(Array(json.utf8), kind: .request) == plain) }
    }

    @Test(
        "Feedback out of its range is refused",
        arguments: [
            (#""value":1.5"#, "value"), (#""value":-0.1"#, "value"), (#""value":"1""#, "value"),
            (#""name":"Quality""#, "name"), (#""name":"""#, "name"), (#""source":"me""#, "source"),
            (#""request":"x""#, "request"), (#""at":5"#, "at"),
        ])
    func feedback(field: String, name: String) {
        let usual = [
            ("v", "1"), ("id", #""01932f5c-3a1b-7abc-8def-0123456789ab""#),
            ("request", #""01932f5c-3a1b-7abc-8def-0123456789ab""#), ("at", "1763650000935"),
            ("name", #""quality""#), ("value", "1"), ("source", #""user""#),
        ]
        let fields = usual.map { $0.0 == name ? field : "\"\($0.0)\":\($0.1)" }
        let error = #expect(throws: EventError.self) {
            try decoder.decode(Array(("{" + fields.joined(separator: ",") + "}").utf8), kind: .feedback)
        }
        #expect(error?.reason == .badValue && error?.detail.hasPrefix(name) == true)
    }
}

import Core
import Foundation

// Typed leaves. Each throws an error that names the key, the value, where it stands and what is allowed.
extension SettingsReader {
    func string(_ key: String, default fallback: String, secret: Bool = false, _ summary: String) throws -> String {
        try optionalString(key, shownDefault: fallback, secret: secret, summary) ?? fallback
    }

    func optionalString(_ key: String, shownDefault: String = "", secret: Bool = false, _ summary: String) throws
        -> String?
    {
        let value = try text(key)?.text
        note(key, "text", shownDefault, "", summary, secret: secret, value: value ?? shownDefault)
        return value
    }

    func int(_ key: String, default fallback: Int, _ range: ClosedRange<Int>, _ summary: String) throws -> Int {
        let value = try parse(key, "a whole number", Int.init) ?? fallback
        try check(key, value, range)
        note(
            key, "integer", "\(fallback)", "\(range.lowerBound)–\(range.upperBound)", summary, secret: false,
            value: "\(value)")
        return value
    }

    func double(_ key: String, default fallback: Double, _ range: ClosedRange<Double>, _ summary: String) throws
        -> Double
    {
        try optionalDouble(key, shownDefault: "\(fallback)", range, summary) ?? fallback
    }

    func optionalDouble(
        _ key: String, shownDefault: String = "", _ range: ClosedRange<Double>, _ summary: String
    ) throws -> Double? {
        let value = try parse(key, "a number", Double.init)
        if let value { try check(key, value, range) }
        note(
            key, "number", shownDefault, "\(range.lowerBound)–\(range.upperBound)", summary, secret: false,
            value: value.map { "\($0)" } ?? shownDefault)
        return value
    }

    func bool(_ key: String, default fallback: Bool, _ summary: String) throws -> Bool {
        try optionalBool(key, shownDefault: fallback, summary) ?? fallback
    }

    func optionalBool(_ key: String, shownDefault: Bool, _ summary: String) throws -> Bool? {
        let value = try parse(key, "true or false") { ["true": true, "false": false][$0] }
        note(key, "boolean", "\(shownDefault)", "", summary, secret: false, value: "\(value ?? shownDefault)")
        return value
    }

    func choice<Value: RawRepresentable & CaseIterable>(
        _ key: String, default fallback: Value, _ summary: String
    ) throws -> Value where Value.RawValue == String {
        let names = Value.allCases.map(\.rawValue)
        let value = try parse(key, "one of \(names.joined(separator: ", "))", Value.init(rawValue:)) ?? fallback
        note(
            key, "choice", fallback.rawValue, names.joined(separator: ", "), summary, secret: false,
            value: value.rawValue)
        return value
    }

    /// Seconds in the file (fractions allowed), milliseconds inside.
    func seconds(_ key: String, defaultMs: Int64, _ range: ClosedRange<Double>, _ summary: String) throws -> Int64 {
        let value = try double(key, default: Double(defaultMs) / 1000, range, summary)
        return Int64((value * 1000).rounded())
    }

    /// `host:port`.
    func address(_ key: String, default fallback: String, _ summary: String) throws -> (host: String, port: Int) {
        let value = try string(key, default: fallback, summary)
        guard let colon = value.lastIndex(of: ":"), let port = Int(value[value.index(after: colon)...]),
            (0...65_535).contains(port),
            colon != value.startIndex
        else {
            throw malformed(key, value, origin(key), "an address", remedy: "Write host:port, for example \(fallback).")
        }
        let host = value[..<colon].trimmingCharacters(in: CharacterSet(charactersIn: "[]"))
        return (host, port)
    }

    func doubles(_ key: String, default fallback: [Double], _ summary: String) throws -> [Double] {
        try list(key, default: fallback.map { "\($0)" }, summary).map { text in
            guard let value = Double(text) else {
                throw malformed(key, text, origin(key), "a number", remedy: "Write a list of numbers.")
            }
            return value
        }
    }

    /// What a JSON Lines file holds, one value a line; blank lines are nothing.
    ///
    /// - Parameters:
    ///   - key: names the file, which is at `path`.
    ///   - noun: what one value is, for messages.
    ///   - most: values that the file may hold.
    ///   - shape: how a line is written, for messages.
    func jsonLines<Value: Decodable>(
        _ key: String, _ path: String, of noun: String, most: Int, shape: String, isValid: (Value) -> Bool
    ) throws -> [Value] {
        let text: String
        do {
            text = try String(contentsOfFile: path, encoding: .utf8)
        } catch {
            throw wrong(key, "cannot be read: '\(path)'", remedy: "Name a file in UTF-8 that can be read.")
        }
        let lines = text.split(omittingEmptySubsequences: false) { $0 == "\n" || $0 == "\r\n" }.enumerated()
            .filter { !$0.element.allSatisfy(\.isWhitespace) }
        guard (1...most).contains(lines.count) else {
            throw wrong(key, "has \(lines.count) \(noun)s", remedy: "Give 1 to \(most), one a line.")
        }
        return try lines.map { index, line in
            guard let value = try? JSONDecoder().decode(Value.self, from: Data(line.utf8)), isValid(value) else {
                throw wrong(key, "has no \(noun) on line \(index + 1)", remedy: "Write \(shape).")
            }
            return value
        }
    }

    private func parse<Value>(_ key: String, _ type: String, _ convert: (String) -> Value?) throws -> Value? {
        guard let (text, origin) = try text(key) else { return nil }
        guard let value = convert(text) else {
            throw malformed(key, text, origin, type, remedy: "Give \(type), or leave the key out for its default.")
        }
        return value
    }

    private func check<Value: Comparable>(_ key: String, _ value: Value, _ range: ClosedRange<Value>) throws {
        guard !range.contains(value) else { return }
        throw TrimtabError(
            "config.out_of_range",
            "\(path.isEmpty ? key : "\(path).\(key)") = \(value) (\(origin(key))) is out of range.",
            remedy: "Allowed is \(range.lowerBound) to \(range.upperBound).")
    }
}

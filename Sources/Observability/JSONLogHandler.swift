package import Foundation
package import Logging

/// Writes one JSON object a line: time, level, label, message, then metadata under its own keys.
///
/// What looks like a secret, by its key or by its value, is never written.
package struct JSONLogHandler: LogHandler {
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?
    package var logLevel: Logger.Level
    private let label: String
    private let write: @Sendable (String) -> Void
    private let now: @Sendable () -> Date

    package init(
        label: String, level: Logger.Level = .info,
        now: @escaping @Sendable () -> Date = { Date() },
        write: @escaping @Sendable (String) -> Void = { FileHandle.standardError.write(Data($0.utf8)) }
    ) {
        self.label = label
        logLevel = level
        self.now = now
        self.write = write
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var line = "{\"at\":\(Self.quoted(now().formatted(Self.timestamp))),\"level\":\"\(event.level.rawValue)\""
        line += ",\"label\":\(Self.quoted(label)),\"message\":\(Self.quoted(event.message.description))"
        var all = metadata
        if let provided = metadataProvider?.get() { all.merge(provided) { $1 } }
        if let own = event.metadata { all.merge(own) { $1 } }
        if let error = event.error { all["error"] = "\(error)" }
        for (key, value) in all.sorted(by: { $0.key < $1.key }) {
            line +=
                ",\(Self.quoted(Self.reserved.contains(key) ? "metadata.\(key)" : key)):\(Self.json(value, key: key))"
        }
        write(line + "}\n")
    }

    private static let timestamp = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
    private static let reserved: Set<String> = ["at", "level", "label", "message"]

    private static func json(_ value: Logger.Metadata.Value, key: String) -> String {
        if Redaction.isSecret(key: key) { return quoted(Redaction.mask) }
        switch value {
        case .string(let text): return quoted(Redaction.redact(text))
        case .stringConvertible(let any): return quoted(Redaction.redact(any.description))
        case .array(let values): return "[" + values.map { json($0, key: key) }.joined(separator: ",") + "]"
        case .dictionary(let pairs):
            let fields = pairs.sorted { $0.key < $1.key }.map { "\(quoted($0.key)):\(json($0.value, key: $0.key))" }
            return "{" + fields.joined(separator: ",") + "}"
        }
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case "\u{0}"..<"\u{20}", "\u{7f}", "\u{2028}", "\u{2029}":
                let hex = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

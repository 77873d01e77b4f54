package import Analysis
package import ControlLoop
import Core
import Foundation

/// One entry of `integrations.webhooks`.
package struct WebhookSettings: Sendable, Equatable {
    package var name: String
    package var url: String
    /// What requests are signed with.
    package var key: [UInt8]
    package var kinds: Set<ControlEvent.Kind>
    /// Of findings; less severe ones are not sent.
    package var minSeverity: Finding.Severity

    /// Each has a task, a thread and a connection of its own.
    package static let most = 20
    /// Shorter ones could be guessed: the least that Standard Webhooks allows.
    private static let minimumKeyBytes = 24
    private static let secretPrefix = "whsec_"

    package init(
        name: String, url: String, key: [UInt8], kinds: Set<ControlEvent.Kind> = Set(ControlEvent.Kind.allCases),
        minSeverity: Finding.Severity = .warning
    ) {
        (self.name, self.url, self.key, self.kinds, self.minSeverity) = (name, url, key, kinds, minSeverity)
    }

    /// `integrations`.
    ///
    /// - Throws: `TrimtabError` `config.…` naming the key.
    static func all(_ reader: SettingsReader) throws -> [WebhookSettings] {
        let webhooks = try reader.map("webhooks", template: "webhook") { try WebhookSettings($0, name: $1) }
        guard webhooks.count <= most else {
            throw reader.wrong(
                "webhooks", "are more than \(most)", remedy: "Configure fewer, and let one of them pass events on.")
        }
        try reader.finish()
        return webhooks
    }

    private init(_ reader: SettingsReader, name: String) throws {
        // An address often holds a token.
        let url = try reader.optionalString("url", secret: true, "Where events are sent by POST; needed.")
        let secret = try reader.optionalString(
            "secret", secret: true,
            "What requests are signed with: whsec_ and base64, or any text of 24 bytes at least; needed.")
        let patterns = try reader.list(
            "events", default: ["*"], "Types that are sent, as in docs/webhooks.md; rollout.* is all of rollouts.")
        minSeverity = try reader.choice("min_severity", default: .warning, "Less severe findings are not sent.")
        guard let url else {
            throw reader.missing("url", remedy: "Set it to the address that takes events, for example https://…")
        }
        guard let secret else {
            throw reader.missing(
                "secret",
                remedy: "Make one with `echo whsec_$(openssl rand -base64 32)`, and give it to the receiver too.")
        }
        guard let parsed = URL(string: url), ["http", "https"].contains(parsed.scheme), parsed.host?.isEmpty == false
        else {
            throw reader.wrong(
                "url", "is no address", remedy: "Write https://host/path, or http:// on your own machine.")
        }
        (self.name, self.url) = (name, url)
        key = try Self.key(secret, reader)
        kinds = try patterns.reduce(into: []) { $0.formUnion(try Self.kinds($1, reader)) }
    }

    private static func key(_ secret: String, _ reader: SettingsReader) throws -> [UInt8] {
        var key = Array(secret.utf8)
        if secret.hasPrefix(secretPrefix) {
            guard let decoded = Data(base64Encoded: String(secret.dropFirst(secretPrefix.count))) else {
                throw reader.wrong(
                    "secret", "begins with \(secretPrefix), and the rest is not base64",
                    remedy: "Copy it whole, with its padding.")
            }
            key = Array(decoded)
        }
        guard key.count >= minimumKeyBytes else {
            throw reader.wrong(
                "secret", "has \(key.count) bytes", remedy: "Give \(minimumKeyBytes) random bytes at least.")
        }
        return key
    }

    private static func kinds(_ pattern: String, _ reader: SettingsReader) throws -> [ControlEvent.Kind] {
        let kinds = ControlEvent.Kind.allCases.filter { kind in
            pattern.hasSuffix("*") ? kind.rawValue.hasPrefix(pattern.dropLast()) : kind.rawValue == pattern
        }
        guard !kinds.isEmpty else {
            throw reader.malformed(
                "events", pattern, reader.origin("events"), "a type of event",
                remedy: "Use \(ControlEvent.Kind.allCases.map(\.rawValue).joined(separator: ", ")), or finding.*.")
        }
        return kinds
    }
}

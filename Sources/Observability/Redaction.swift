import Foundation

/// Keeps secrets out of what people and machines read.
package enum Redaction {
    package static let mask = "[redacted]"

    private static let words = [
        "password", "passwd", "secret", "token", "api_key", "apikey", "authorization", "cookie",
    ]
    private static let prefixes = ["tt-", "tto-", "sk-", "Bearer "]

    /// Whether values under this key are secrets by their nature, as `token` is and `tokens.input` is not.
    package static func isSecret(key: String) -> Bool {
        let last = key.split(separator: ".").last.map { $0.lowercased() } ?? ""
        return words.contains { last == $0 || last.hasSuffix("_" + $0) }
    }

    /// `text` without secrets of a known form: our own keys, provider keys, and passwords inside URLs.
    package static func redact(_ text: String) -> String {
        let words = text.split(separator: " ", omittingEmptySubsequences: false)
        var hideNext = false
        return words.map { word -> String in
            defer { hideNext = word == "Bearer" }
            if hideNext { return mask }
            if let at = secretStart(word) { return word[..<at] + mask }
            return withoutPassword(word)
        }.joined(separator: " ")
    }

    /// Where a key of at least 16 characters starts: at the front or after a quote, `=`, `:` or `(`.
    private static func secretStart(_ word: Substring) -> Substring.Index? {
        var at = word.startIndex
        while at < word.endIndex {
            let rest = word[at...]
            if prefixes.contains(where: { rest.hasPrefix($0) }), rest.count >= 16 { return at }
            guard let next = rest.firstIndex(where: { "\"'=:(,".contains($0) }) else { return nil }
            at = word.index(after: next)
        }
        return nil
    }

    private static func withoutPassword(_ word: Substring) -> String {
        guard let scheme = word.range(of: "://"), let end = word[scheme.upperBound...].firstIndex(of: "@") else {
            return String(word)
        }
        let user = word[scheme.upperBound..<end]
        guard let colon = user.firstIndex(of: ":") else { return String(word) }
        return word[...colon] + mask + word[end...]
    }
}

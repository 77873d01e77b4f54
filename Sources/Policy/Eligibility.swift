import Core

/// Whom a rollout may touch. Everyone else is served by stable, outside of it.
///
/// Values are globs, in which a pattern for a header or a tag also asks that there be one. All given parts must match;
/// of several keys, one.
package struct Eligibility: Codable, Sendable, Equatable {
    /// By header name, in lower case.
    package var headers: [String: String] = [:]
    /// Over the names of virtual keys.
    package var keys: [String] = []
    package var tags: [String: String] = [:]

    package static let mostHeaders = 8
    package static let mostKeys = 64
    package static let longestName = 64
    /// In bytes; a longer value of a request's matches nothing, so that a hostile one costs no time.
    package static let longestValue = 256
    /// What only the owner and the gateway are to know is no ground for routing.
    private static let secretHeaders: Set = ["authorization", "proxy-authorization", "cookie", "api-key", "x-api-key"]

    package init(headers: [String: String] = [:], keys: [String] = [], tags: [String: String] = [:]) {
        self.headers = headers
        self.keys = keys
        self.tags = tags
    }

    package init(from decoder: any Decoder) throws {
        let c = try decoder.container(keyedBy: CodingKeys.self)
        headers = try c.decodeIfPresent([String: String].self, forKey: .headers) ?? [:]
        keys = try c.decodeIfPresent([String].self, forKey: .keys) ?? []
        tags = try c.decodeIfPresent([String: String].self, forKey: .tags) ?? [:]
    }

    package func admits(_ request: RoutingRequest) -> Bool {
        func matches(_ pattern: String, _ value: String?) -> Bool {
            guard let value, value.utf8.count <= Self.longestValue else { return false }
            return globMatches(pattern, value)
        }
        return headers.allSatisfy { matches($0.value, request.headers[$0.key]) }
            && tags.allSatisfy { matches($0.value, request.tags[$0.key]) }
            && (keys.isEmpty || keys.contains { matches($0, request.key) })
    }

    /// - Parameter pointer: where the document has it.
    package func violations(at pointer: String = "/eligibility") -> [Violation] {
        var found: [Violation] = []
        func bound(_ part: String, _ count: Int, _ most: Int) {
            if count > most { found.append(.init("\(pointer)/\(part)", "At most \(most) are allowed, not \(count).")) }
        }
        func glob(_ place: String, _ pattern: String) {
            if !(1...Self.longestValue).contains(pattern.utf8.count) {
                found.append(.init("\(pointer)/\(place)", "A pattern has 1 to \(Self.longestValue) bytes."))
            }
        }
        bound("headers", headers.count, Self.mostHeaders)
        bound("keys", keys.count, Self.mostKeys)
        bound("tags", tags.count, RequestTags.most)
        for (name, pattern) in headers.sorted(by: { $0.key < $1.key }) {
            if !Self.isHeaderName(name) {
                found.append(
                    .init(
                        "\(pointer)/headers/\(name)",
                        "A header's name has 1 to \(Self.longestName) lower-case letters, digits, '-' or '_'."))
            } else if Self.secretHeaders.contains(name) {
                found.append(.init("\(pointer)/headers/\(name)", "It carries a secret. Use 'keys' instead."))
            }
            glob("headers/\(name)", pattern)
        }
        for (index, pattern) in keys.enumerated() { glob("keys/\(index)", pattern) }
        for (name, pattern) in tags.sorted(by: { $0.key < $1.key }) {
            if !RequestTags.isName(name) {
                found.append(
                    .init(
                        "\(pointer)/tags/\(name)",
                        "A tag's name has 1 to \(RequestTags.longestName) bytes and neither ',' nor '='."))
            }
            glob("tags/\(name)", pattern)
        }
        return found
    }

    private static func isHeaderName(_ name: String) -> Bool {
        (1...longestName).contains(name.utf8.count)
            && name.utf8.allSatisfy { byte in
                switch byte {
                case 0x61...0x7a, 0x30...0x39, 0x2d, 0x5f: true
                default: false
                }
            }
    }
}

/// The tags that a client gives with a request, as `name=value` pairs parted by commas.
package enum RequestTags {
    package static let most = 16
    package static let longestName = 64
    package static let longestValue = 256

    /// Reads one header's value. A pair that breaks a bound or has no name is left out, and so are those past the most:
    /// what a client says for bookkeeping is no reason to refuse its request.
    package static func read(_ text: String, into tags: inout [String: String]) {
        for pair in text.utf8.split(separator: UInt8(ascii: ",")) {
            guard let equals = pair.firstIndex(of: UInt8(ascii: "=")) else { continue }
            let name = trimmed(pair[..<equals]), value = trimmed(pair[pair.index(after: equals)...])
            guard isName(name), value.utf8.count <= longestValue, tags.count < most || tags[name] != nil else {
                continue
            }
            tags[name] = value
        }
    }

    static func isName(_ name: String) -> Bool {
        (1...longestName).contains(name.utf8.count)
            && !name.utf8.contains { $0 == UInt8(ascii: ",") || $0 == UInt8(ascii: "=") }
    }

    private static func trimmed(_ bytes: Substring.UTF8View) -> String {
        func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
        let start = bytes.firstIndex { !isSpace($0) } ?? bytes.endIndex
        let end = bytes.lastIndex { !isSpace($0) }.map { bytes.index(after: $0) } ?? start
        return String(Substring(bytes[start..<end]))
    }
}

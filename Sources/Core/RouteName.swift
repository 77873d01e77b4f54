/// The name a client addresses as its `model`: `[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}`.
package struct RouteName: Hashable, Sendable, Comparable, CustomStringConvertible {
    package let description: String

    package init?(_ text: String) {
        let allowed: (UInt8) -> Bool = { byte in
            switch byte {
            case 48...57, 65...90, 97...122, 45, 46, 47, 58, 95: true
            default: false
            }
        }
        guard let first = text.utf8.first, text.utf8.count <= 128, text.utf8.allSatisfy(allowed) else { return nil }
        guard allowed(first), ![45, 46, 47, 58, 95].contains(first) else { return nil }
        description = text
    }

    package static func < (lhs: Self, rhs: Self) -> Bool { lhs.description < rhs.description }
}

extension RouteName: Codable, CodingKeyRepresentable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let name = RouteName(text) else {
            throw DecodingError.dataCorruptedError(
                in: container,
                debugDescription:
                    "'\(text)' is not a route name: use 1 to 128 of A-Z a-z 0-9 . _ : / -, a letter or digit first.")
        }
        self = name
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }

    package var codingKey: any CodingKey { AnyCodingKey(description) }
    package init?(codingKey: some CodingKey) { self.init(codingKey.stringValue) }
}

/// A coding key made at run time.
package struct AnyCodingKey: CodingKey {
    package let stringValue: String
    package init(_ text: String) { stringValue = text }
    package init?(stringValue: String) { self.init(stringValue) }
    package var intValue: Int? { nil }
    package init?(intValue: Int) { nil }
}

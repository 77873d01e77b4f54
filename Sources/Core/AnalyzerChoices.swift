/// What a person chose of one analyzer, for all routes or for one: whether it runs, and its thresholds by name.
/// What is not named is left as it was.
package struct AnalyzerChoices: Sendable, Equatable {
    package var enabled: Bool?
    package var thresholds: [String: Double]

    package init(enabled: Bool? = nil, thresholds: [String: Double] = [:]) {
        self.enabled = enabled
        self.thresholds = thresholds
    }
}

/// Written flat: `{"enabled": false, "error_rise": 0.02}`.
extension AnalyzerChoices: Codable {
    private struct Name: CodingKey {
        var stringValue: String
        var intValue: Int? { nil }
        init(_ name: String) { stringValue = name }
        init?(stringValue: String) { self.init(stringValue) }
        init?(intValue: Int) { nil }
    }
    private static let enabledName = Name("enabled")

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Name.self)
        enabled = try container.decodeIfPresent(Bool.self, forKey: Self.enabledName)
        thresholds = [:]
        for name in container.allKeys where name.stringValue != Self.enabledName.stringValue {
            thresholds[name.stringValue] = try container.decode(Double.self, forKey: name)
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Name.self)
        try container.encodeIfPresent(enabled, forKey: Self.enabledName)
        for (name, value) in thresholds.sorted(by: { $0.key < $1.key }) {
            try container.encode(value, forKey: Name(name))
        }
    }
}

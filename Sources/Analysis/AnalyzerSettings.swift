package import Core

package enum AnalyzerKind: String, Codable, Sendable, CaseIterable, CodingKeyRepresentable {
    case performance, cost, quality, pattern, anomaly
}

/// A number that says when an analyzer speaks. The configuration, its reference and the routes' own choices are made
/// from these.
package struct Threshold: Sendable, Equatable {
    package let analyzer: AnalyzerKind
    /// snake_case, with its unit where it has one.
    package let name: String
    package let standard: Double
    package let range: ClosedRange<Double>
    /// What it means, one sentence.
    package let summary: String

    package init(
        _ analyzer: AnalyzerKind, _ name: String, _ standard: Double, _ range: ClosedRange<Double>, _ summary: String
    ) {
        self.analyzer = analyzer
        self.name = name
        self.standard = standard
        self.range = range
        self.summary = summary
    }
}

/// Which analyzers run, and when they speak.
package struct AnalyzerSettings: Sendable, Equatable {
    /// By analyzer; what is not named has its standard.
    package var choices: [AnalyzerKind: AnalyzerChoices] = [:]
    /// A finding that nothing has repeated for so long is closed, milliseconds.
    package var closeAfterMs: Int64 = 600_000
    /// How old a window is when its feedback is counted, milliseconds: what comes later the quality analyzer misses.
    package var feedbackDelayMs: Int64 = 600_000

    package init() {}

    package func runs(_ analyzer: AnalyzerKind) -> Bool { choices[analyzer]?.enabled ?? true }

    package subscript(threshold: Threshold) -> Double {
        choices[threshold.analyzer]?.thresholds[threshold.name] ?? threshold.standard
    }

    /// With what one route chose for itself.
    package func with(_ own: [String: AnalyzerChoices]) -> AnalyzerSettings {
        var merged = self
        for (name, chosen) in own {
            guard let kind = AnalyzerKind(rawValue: name) else { continue }
            var choice = merged.choices[kind] ?? AnalyzerChoices()
            if let enabled = chosen.enabled { choice.enabled = enabled }
            choice.thresholds.merge(chosen.thresholds) { _, new in new }
            merged.choices[kind] = choice
        }
        return merged
    }

    /// What is wrong with the choices of a route or a configuration: where, and in words; `nil` where nothing is.
    package static func problem(in choices: [String: AnalyzerChoices]) -> (place: String, words: String)? {
        for (name, choice) in choices.sorted(by: { $0.key < $1.key }) {
            guard let kind = AnalyzerKind(rawValue: name) else {
                let known = AnalyzerKind.allCases.map(\.rawValue).joined(separator: ", ")
                return (name, "there is no such analyzer; there are \(known).")
            }
            for (key, value) in choice.thresholds.sorted(by: { $0.key < $1.key }) {
                guard let threshold = kind.thresholds.first(where: { $0.name == key }) else {
                    let known = (["enabled"] + kind.thresholds.map(\.name)).joined(separator: ", ")
                    return ("\(name).\(key)", "the \(name) analyzer has \(known).")
                }
                guard threshold.range.contains(value) else {
                    let (low, high) = (threshold.range.lowerBound, threshold.range.upperBound)
                    return ("\(name).\(key)", "\(value) is not between \(low) and \(high).")
                }
            }
        }
        return nil
    }
}

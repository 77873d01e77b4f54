/// The engine that decides: its version rises with every change that may change an outcome.
package enum DecisionEngine {
    package static let version = 1

    /// `<version> <architecture>`.
    package static var name: String {
        #if arch(x86_64)
            "\(version) x86_64"
        #elseif arch(arm64)
            "\(version) arm64"
        #else
            "\(version) unknown"
        #endif
    }
}

/// A decision made again from its stored input.
package struct ReplayResult: Codable, Sendable, Equatable {
    /// Whether the stored decision was made by this engine, so that it has to match exactly.
    package var sameEngine: Bool
    package var outcome: DecisionOutcome
    /// What differs from the stored outcome, one line each; empty when it is the same.
    package var differences: [String]

    package var matches: Bool { differences.isEmpty }

    package init(sameEngine: Bool, outcome: DecisionOutcome, differences: [String]) {
        self.sameEngine = sameEngine
        self.outcome = outcome
        self.differences = differences
    }

    enum CodingKeys: String, CodingKey {
        case outcome, differences
        case sameEngine = "same_engine"
    }
}

package func replay(_ decision: Decision) -> ReplayResult {
    let old = decision.outcome, new = decide(decision.input)
    var differences: [String] = []
    func compare<T: Equatable>(_ name: String, _ old: T, _ new: T) {
        if old != new { differences.append("\(name): \(old) is now \(new)") }
    }
    compare("action", old.action.summary, new.action.summary)
    if differences.isEmpty, old.action != new.action { differences.append("action: the forecast or edits differ") }
    compare("code", old.code, new.code)
    compare("rationale", old.rationale, new.rationale)
    compare("alternatives", old.alternatives.map(\.candidate.modelKey), new.alternatives.map(\.candidate.modelKey))
    let before = Dictionary(
        old.alternatives.map { ($0.candidate.modelKey, $0) }, uniquingKeysWith: { first, _ in first })
    for alternative in new.alternatives {
        let key = alternative.candidate.modelKey
        guard let earlier = before[key], earlier != alternative else { continue }
        compare("\(key) verdict", earlier.verdict.rawValue, alternative.verdict.rawValue)
        compare("\(key) on front", earlier.onFront, alternative.onFront)
        if earlier.verdict == alternative.verdict, earlier.onFront == alternative.onFront {
            differences.append("\(key): reason, probabilities or forecast differ")
        }
    }
    return ReplayResult(
        sameEngine: decision.engine == DecisionEngine.name, outcome: new, differences: differences)
}

extension DecisionOutcome.Action {
    var summary: String {
        switch self {
        case .none: "none"
        case .change(let candidate): "change to \(candidate.modelKey)"
        }
    }
}

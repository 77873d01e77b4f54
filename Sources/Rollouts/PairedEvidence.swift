import Policy
package import Statistics
import StreamProcessing

/// How the answers to one request and to its copy compare, over all requests of a shadow that have a score on both sides.
///
/// Half of what makes answers differ is their requests, and a pair has the same one: so it takes fewer answers than two
/// arms side by side, and what is peculiar to a user or an hour is no evidence. A side without a score makes no pair: what
/// is unknown is never good.
package struct PairedEvidence: Codable, Sendable, Equatable {
    package private(set) var differences = PairedDifferences()
    /// Sides whose other side has no score yet, and pairs that are complete: the newest `RecentTable.limit`. Requests that
    /// have no copy wait until they are forgotten.
    private var sides = RecentTable()

    // Of a side's sixteen bits; the rest is its score in parts of `PairedDifferences.scale`.
    private static let candidate: UInt16 = 1 << 15
    private static let complete = UInt16.max

    package init() {}

    /// Sides and complete pairs that are remembered.
    package var remembered: Int { sides.count }

    /// Adds the score of one side, 0...1, higher is better. The first one of each side counts, and each pair once.
    mutating func add(_ score: Double, pair: UInt32, isCandidate: Bool) {
        guard !score.isNaN else { return }
        let parts = Int((min(max(score, 0), 1) * Double(PairedDifferences.scale)).rounded())
        guard let other = sides[pair] else {
            sides[pair] = UInt16(parts) | (isCandidate ? Self.candidate : 0)
            return
        }
        guard other != Self.complete, (other & Self.candidate != 0) != isCandidate else { return }
        sides[pair] = Self.complete
        let waited = Int(other & ~Self.candidate)
        differences.add(candidate: isCandidate ? parts : waited, control: isCandidate ? waited : parts)
    }

    mutating func forgetSides() { sides = RecentTable() }
}

extension Guardrail {
    /// Whether copies are judged by it in pairs: it scores an answer, and does not time, price or lose it.
    var isPaired: Bool {
        switch self {
        case .badAnswers, .refusals, .schemaFailures: true
        case .errors, .slow, .cost, .timeouts, .slowFirstToken, .slowMedian, .dear: false
        }
    }

    /// 1 if an answer passed the guardrail's check, 0 if not; `nil` where it was not made. An answer that failed is none,
    /// and gives as little as an empty one; whether JSON was asked for is not known of it.
    func score(_ marks: Trial.Marks) -> Double? {
        switch self {
        case .refusals:
            if marks.contains(.failed) { return 0 }
            return marks.contains(.refusalChecked) ? (marks.contains(.refused) ? 0 : 1) : nil
        case .schemaFailures: return marks.contains(.schemaChecked) ? (marks.contains(.malformed) ? 0 : 1) : nil
        default: return nil
        }
    }
}

package import Core
import Statistics

/// What a judge has done since the start.
package struct JudgeStatistics: Sendable, Equatable {
    /// Of the judge: its words and its model.
    package let version: String
    package var verdicts: [JudgeOutcome: Int] = [:]
    package var checks: [Check: Int] = [:]
    package var skipped: [JudgeSkip: Int] = [:]
    /// Preferred answers that were longer than the other, or shorter.
    package var preferredLonger = 0
    package var preferredShorter = 0
    package var spent = NanoUSD.zero
    package var isSuspended = false

    package struct Check: Sendable, Hashable {
        package let kind: JudgeCheck
        package let passed: Bool
        package init(_ kind: JudgeCheck, passed: Bool) {
            self.kind = kind
            self.passed = passed
        }
    }
}

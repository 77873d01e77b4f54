package import Core
package import Statistics

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
    /// Whose answer was preferred, by route.
    package private(set) var sides: [String: Sides] = [:]
    /// In the latest checks.
    package var accuracy = Proportion(events: 0, trials: 0)
    package var spent = NanoUSD.zero
    package var isSuspended = false

    package init(version: String) { self.version = version }

    /// Routes counted apart; the others are one.
    package static let mostRoutes = 64
    package static let otherRoutes = "(other)"

    package struct Sides: Sendable, Equatable {
        package var user: Int64 = 0
        package var copy: Int64 = 0
    }

    /// - Parameter isCopy: whether the copy's answer was preferred to the user's.
    package mutating func prefer(copy isCopy: Bool, route: String) {
        let route = sides[route] != nil || sides.count < Self.mostRoutes - 1 ? route : Self.otherRoutes
        if isCopy { sides[route, default: Sides()].copy += 1 } else { sides[route, default: Sides()].user += 1 }
    }

    /// The share of a route's decided pairs in which the copy's answer is the better one, without what the judge gets
    /// wrong; `nil` while that is not known.
    package func copyIsBetter(on route: String) -> JudgeCalibration.Corrected? {
        sides[route].flatMap {
            JudgeCalibration(accuracy: accuracy).corrected(Proportion(events: $0.copy, trials: $0.user + $0.copy))
        }
    }

    package struct Check: Sendable, Hashable {
        package let kind: JudgeCheck
        package let passed: Bool
        package init(_ kind: JudgeCheck, passed: Bool) {
            self.kind = kind
            self.passed = passed
        }
    }
}

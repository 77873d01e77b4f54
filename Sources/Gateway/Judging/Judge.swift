package import Telemetry

/// Says which of two answers to the same conversation is better. It is told nothing else: neither models nor which is new.
package protocol Judge: Sendable {
    /// - Throws: `JudgeFailure` if it gave no answer at all.
    func prefer(_ case: JudgeCase) async throws(JudgeFailure) -> JudgeVerdict
}

/// What a judge is shown.
package struct JudgeCase: Sendable, Equatable {
    /// The messages that were answered, as a JSON array.
    package var conversation: String
    package var first: String
    package var second: String

    package init(conversation: String, first: String, second: String) {
        self.conversation = conversation
        self.first = first
        self.second = second
    }

    var swapped: JudgeCase { JudgeCase(conversation: conversation, first: second, second: first) }
}

/// What a judge says of one case.
package struct JudgeVerdict: Sendable, Equatable {
    /// `nil`: it said something that is no verdict.
    package var preference: JudgePreference?
    package var usage: TokenUsage

    package init(_ preference: JudgePreference?, usage: TokenUsage) {
        self.preference = preference
        self.usage = usage
    }
}

package enum JudgePreference: Sendable, Equatable { case first, second, tie }

/// Why a judge gave no answer.
package struct JudgeFailure: Error, Equatable {
    package var error: ErrorClass
    /// The question has gone out, so that it may have to be paid for.
    package var mayCost: Bool

    package init(_ error: ErrorClass, mayCost: Bool) {
        self.error = error
        self.mayCost = mayCost
    }
}

/// A case put to the judge in both orders, and what is made of its two verdicts.
package enum JudgedSide: Equatable {
    case first, second, tie
    /// It prefers a place, or changed its mind: no side is better.
    case inconsistent
    case unusable

    /// - Parameter swapped: the preference in the case with its sides exchanged.
    package init(_ straight: JudgePreference?, swapped: JudgePreference?) {
        self =
            switch (straight, swapped) {
            case (nil, _), (_, nil): .unusable
            case (.first, .second): .first
            case (.second, .first): .second
            case (.tie, .tie): .tie
            default: .inconsistent
            }
    }
}

/// What became of a pair; a metric's label.
package enum JudgeOutcome: String, Sendable, CaseIterable { case preferred, tie, inconsistent, unusable, failed }

/// How a judge is tested; a metric's label.
package enum JudgeCheck: String, Sendable, CaseIterable {
    /// An answer against a text that says nothing.
    case control
    /// A question whose better answer is known.
    case gold
}

/// Why a sampled pair was not judged; a metric's label.
package enum JudgeSkip: String, Sendable, CaseIterable {
    /// So many wait already.
    case queue
    case budget
    /// The judge's price is not known, so neither is what it would spend.
    case price
    /// The judge fails its checks.
    case suspended
    /// Too long, with an image, a tool call or a refusal, or without a text.
    case unfit
}

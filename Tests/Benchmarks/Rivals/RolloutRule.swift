/// What a rule says after a trial.
package enum RuleVerdict: Sendable, Equatable {
    /// Nothing to say yet.
    case carryOn
    /// No further share for now; neither for nor against the candidate.
    case hold
    /// Ends the rollout.
    case rollBack
    /// Ends the rollout.
    case promote

    package var isFinal: Bool { self == .rollBack || self == .promote }
}

/// A way to decide about a candidate, fed with every outcome of both arms in the order of time. It is not asked again
/// after a final verdict.
package protocol RolloutRule: Sendable {
    /// Outcomes of the control before the start, for those that freeze thresholds from them.
    mutating func prepare(history: [RolloutTraffic.Trial])
    mutating func observe(_ trial: RolloutTraffic.Trial) -> RuleVerdict
    /// The verdict when the last trial is over.
    mutating func finish() -> RuleVerdict
}

extension RolloutRule {
    package mutating func prepare(history: [RolloutTraffic.Trial]) {}
    package mutating func finish() -> RuleVerdict { .carryOn }
}

import Policy
import Statistics
package import StreamProcessing

/// How a rollout's evidence grew, made anew from its stored trials: what a plot shows, and whether the same trials give the
/// same verdict.
package struct EvidenceHistory: Sendable {
    /// Points kept: when there are more, every second one goes.
    package static let limit = 200

    /// Where the evidence stood at one look.
    package struct Point: Sendable, Equatable {
        /// The newest trial's time, milliseconds since the epoch.
        package var at: Int64
        package var candidateRequests: Int64
        package var findings: [GuardrailFinding]
    }

    package private(set) var points: [Point] = []
    /// As of the last pane.
    package private(set) var evidence: RolloutEvidence
    private let end: [Int: Int64]
    private let goal: RolloutPlan.Goal
    private var stride = 1
    private var looks = 0

    package init(of rollout: Rollout) {
        evidence = rollout.evidence.anew
        end = rollout.evidence.cursor
        goal = rollout.plan.goal
    }

    /// What was shown to be worse.
    package var harm: EndReason? { evidence.shownHarm(under: goal) }

    /// Folds panes in the order of the store, up to those that the rollout itself had folded.
    package mutating func fold(_ panes: [EvidencePane]) {
        var group: [EvidencePane] = []
        for pane in panes where pane.number <= end[pane.partition] ?? -1 {
            if let last = group.last, (last.number, last.partition) != (pane.number, pane.partition) {
                look(at: group)
                group = []
            }
            group.append(pane)
        }
        if !group.isEmpty { look(at: group) }
    }

    private mutating func look(at group: [EvidencePane]) {
        evidence.fold(group)
        looks += 1
        guard looks % stride == 0 || harm != nil else { return }
        let at = group.flatMap(\.trials).map(\.at).max() ?? points.last?.at ?? 0
        points.append(
            Point(
                at: max(at, points.last?.at ?? at), candidateRequests: evidence.candidateRequests,
                findings: evidence.findings))
        guard points.count > Self.limit else { return }
        points = points.enumerated().filter { $0.offset % 2 == 0 }.map(\.element)
        stride *= 2
    }
}

extension RolloutEvidence {
    /// The same tests without a trial.
    var anew: RolloutEvidence {
        RolloutEvidence(
            thresholds: thresholds, isMirrored: isMirrored, sharesQuota: sharesQuota, costAlpha: costAlpha,
            guardrails: guardrails.map {
                GuardrailEvidence(
                    guardrail: $0.guardrail, alpha: $0.alpha, controlRate: $0.outcomes?.controlRate,
                    isMirrored: $0.pairs != nil)
            })
    }
}

package import Analysis
package import Core
import Decisions
import Policy
import Rollouts

/// Something that somebody outside may want to hear of, at once and unasked.
package struct ControlEvent: Encodable, Sendable {
    package var kind: Kind
    package var route: RouteName
    /// Of a finding: the most severe that it has been, so that whoever heard of it also hears of its end.
    package var severity: Finding.Severity?
    private let content: Content

    /// Public names: `<noun>.<what happened>`.
    package enum Kind: String, Sendable, CaseIterable {
        case findingOpened = "finding.opened"
        /// More severe than it has ever been.
        case findingRaised = "finding.raised"
        case findingClosed = "finding.closed"
        /// It waits for a person.
        case decisionProposed = "decision.proposed"
        case decisionApproved = "decision.approved"
        case decisionRejected = "decision.rejected"
        /// It waits no more: a newer one took its place, or what it rested on is gone.
        case decisionSuperseded = "decision.superseded"
        case rolloutStarted = "rollout.started"
        /// To the next step.
        case rolloutAdvanced = "rollout.advanced"
        case rolloutPaused = "rollout.paused"
        case rolloutResumed = "rollout.resumed"
        case rolloutPromoted = "rollout.promoted"
        case rolloutRolledBack = "rollout.rolled_back"
        /// In any other way: aborted, superseded, passed, inconclusive or without data.
        case rolloutEnded = "rollout.ended"
    }

    fileprivate enum Content: Sendable {
        case finding(Finding)
        case decision(Decision)
        case rollout(Rollout)
    }

    fileprivate init(_ kind: Kind, _ route: RouteName, _ content: Content) {
        (self.kind, self.route, self.content) = (kind, route, content)
        if case .finding(let finding) = content { severity = finding.peakSeverity }
    }

    /// What it is about, as it is after the change.
    package func encode(to encoder: any Encoder) throws {
        switch content {
        case .finding(let finding): try finding.encode(to: encoder)
        case .decision(let decision): try DecisionSummary(decision).encode(to: encoder)
        case .rollout(let rollout): try RolloutSummary(rollout).encode(to: encoder)
        }
    }
}

extension RouteState {
    /// What these effects on the route tell those outside: changes of a phase or status, and not what is saved beside.
    package func events(of effects: [ControlEffect]) -> [ControlEvent] {
        effects.compactMap { effect in
            switch effect {
            case .saveFinding(let change): event(change)
            case .saveDecision(let decision): event(decision)
            case .saveRollout(let rollout): event(rollout)
            case .savePolicy, .setPointer, .renewLease, .saveAnalysis, .setBaseline, .audit: nil
            }
        }
    }

    private func event(_ change: FindingBook.Change) -> ControlEvent? {
        let kind: ControlEvent.Kind? =
            switch change {
            case .opened: .findingOpened
            case .raised: .findingRaised
            case .closed: .findingClosed
            case .updated: nil
            }
        return kind.map { ControlEvent($0, route.name, .finding(change.finding)) }
    }

    private func event(_ decision: Decision) -> ControlEvent? {
        guard proposal?.id != decision.id || proposal?.status != decision.status else { return nil }
        let kind: ControlEvent.Kind? =
            switch decision.status {
            // Nothing to do, or nothing that is to be done: findings tell of what stands out.
            case .noted: nil
            case .proposed: .decisionProposed
            case .approved: .decisionApproved
            case .rejected: .decisionRejected
            case .superseded: .decisionSuperseded
            }
        return kind.map { ControlEvent($0, route.name, .decision(decision)) }
    }

    private func event(_ next: Rollout) -> ControlEvent? {
        let kind: ControlEvent.Kind? =
            if let rollout, rollout.id == next.id {
                rollout.phase == next.phase ? nil : next.phase.kind(after: rollout.phase)
            } else {
                // One that is over changes its phase no more.
                history.contains { $0.rollout == next.id } ? nil : .rolloutStarted
            }
        return kind.map { ControlEvent($0, route.name, .rollout(next)) }
    }
}

extension RolloutPhase {
    fileprivate func kind(after former: RolloutPhase) -> ControlEvent.Kind {
        switch self {
        case .progressing(let step): step == former.step ? .rolloutResumed : .rolloutAdvanced
        case .paused: .rolloutPaused
        case .promoted: .rolloutPromoted
        case .ended(.guardrail), .ended(.fastLane), .ended(.overspent): .rolloutRolledBack
        case .ended: .rolloutEnded
        }
    }
}

/// Fields as in the control API, without what a decision was made from.
private struct DecisionSummary: Encodable {
    let id: UUIDv7
    let route: RouteName
    let at: Int64
    let status: Decision.Status
    let code: String
    let rationale: String
    /// The model to move to.
    let model: String?
    let policy: Int?
    let rollout: UUIDv7?
    let decidedBy: String?
    let decidedAt: Int64?
    let waitsFor: String?

    init(_ decision: Decision) {
        (id, route, at, status) = (decision.id, decision.route, decision.at, decision.status)
        (code, rationale) = (decision.outcome.code, decision.outcome.rationale)
        model = if case .change(let candidate) = decision.outcome.action { candidate.modelKey } else { nil }
        (policy, rollout) = (decision.policy, decision.rollout)
        (decidedBy, decidedAt, waitsFor) = (decision.decidedBy, decision.decidedAt, decision.waitsFor)
    }

    enum CodingKeys: String, CodingKey {
        case id, route, at, status, code, rationale, model, policy, rollout
        case decidedBy = "decided_by"
        case decidedAt = "decided_at"
        case waitsFor = "waits_for"
    }
}

/// Fields as in the control API, without plan, evidence and timeline.
private struct RolloutSummary: Encodable {
    let id: UUIDv7
    let route: RouteName
    let state: String
    /// One sentence on how far it has come.
    let detail: String
    let kind: RolloutPlan.Kind
    /// Counted from 0, of `steps`; absent once it is over.
    let step: Int?
    let steps: [Double]
    let weight: Double
    let stable: Int
    let candidate: Int
    let decision: UUIDv7?
    let reason: String
    let createdAt: Int64
    let createdBy: String
    let endedAt: Int64?

    init(_ rollout: Rollout) {
        (id, route, state) = (rollout.id, rollout.route, rollout.phase.name)
        (detail, kind) = (rollout.phase.explanation, rollout.plan.kind)
        (step, steps, weight) = (rollout.phase.step, rollout.plan.steps, rollout.weight)
        (stable, candidate, decision) = (rollout.stable, rollout.candidate, rollout.decision)
        (reason, createdAt, createdBy) = (rollout.reason, rollout.createdAt, rollout.createdBy)
        endedAt = rollout.endedAt
    }

    enum CodingKeys: String, CodingKey {
        case id, route, state, detail, kind, step, steps, weight, stable, candidate, decision, reason
        case createdAt = "created_at"
        case createdBy = "created_by"
        case endedAt = "ended_at"
    }
}

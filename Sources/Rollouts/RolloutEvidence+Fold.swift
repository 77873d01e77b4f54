package import StreamProcessing
import Statistics
package import Telemetry

extension RolloutEvidence {
    /// Requests the fast lane looks at.
    package static let fastLaneRequests: Int64 = 20

    /// Folds one pane; a pane that was folded before changes nothing, so panes may be delivered again.
    ///
    /// All folds commute: the e-processes are products over events with a plug-in that was fixed at the start, so the
    /// evidence depends on the set of panes and not on their order.
    package mutating func fold(_ pane: EvidencePane) {
        guard pane.number > cursor[pane.partition] ?? -1 else { return }
        fold(counts(of: pane.counts), arm: pane.key.arm, step: pane.key.step, weight: pane.candidateWeight)
    }

    /// Notes that all panes of a partition up to `number` are folded. A pane number may cover several arms and steps.
    package mutating func markFolded(partition: Int, number: Int64) {
        cursor[partition] = max(number, cursor[partition] ?? -1)
    }

    /// Folds panes as the store gives them and moves the cursor.
    package mutating func fold(_ panes: [EvidencePane]) {
        for pane in panes { fold(pane) }
        for pane in panes { markFolded(partition: pane.partition, number: pane.number) }
    }

    /// Turns sketches into exact counts by the frozen thresholds.
    func counts(of pane: EvidenceCounts) -> ArmEvidence {
        var arm = ArmEvidence()
        arm.requests = pane.requests
        arm.failures = pane.failures
        if let slow = thresholds.slowMs {
            arm.timed = pane.latency.count
            arm.slow = pane.latency.count(above: slow)
        }
        arm.cost = pane.costMoments
        if let dear = thresholds.dearNanoUSD { arm.dear = pane.cost.count(above: dear) }
        arm.quality = pane.quality.moments
        arm.bad = pane.quality.count(below: thresholds.badBelow)
        return arm
    }

    /// Adds what one arm showed in one step to the counts and to every guardrail's test.
    package mutating func fold(_ arm: ArmEvidence, arm name: Arm, step: Int, weight: Double) {
        let isCandidate = name == .candidate || name == .shadow
        // Of all that both arms get, the candidate's part; a copy comes on top of the request that it repeats.
        let share = isMirrored == true ? weight / (1 + weight) : weight
        guard isCandidate || name == .stable, share > 0, share < 1 else { return }
        if steps.last?.step != step, !steps.contains(where: { $0.step == step }) {
            steps.append(StepEvidence(step: step, weight: weight))
            steps.sort { $0.step < $1.step }
        }
        guard let index = steps.firstIndex(where: { $0.step == step }) else { return }
        if isCandidate {
            steps[index].candidate.merge(arm)
            noteFirst(arm)
        } else {
            steps[index].control.merge(arm)
        }
        for index in guardrails.indices {
            let (events, trials) = guardrails[index].guardrail.events(in: arm)
            guardrails[index].add(events: events, trials: trials, candidate: isCandidate, weight: share)
        }
    }

    private mutating func noteFirst(_ arm: ArmEvidence) {
        guard firstRequests.requests < Self.fastLaneRequests else { return }
        firstRequests.requests += arm.requests
        firstRequests.failures += arm.failures
    }

    /// All steps together, for display and for the fast lane's look at the control.
    package var totals: (control: ArmEvidence, candidate: ArmEvidence) {
        steps.reduce(into: (ArmEvidence(), ArmEvidence())) { total, step in
            total.0.merge(step.control)
            total.1.merge(step.candidate)
        }
    }
}

extension Guardrail {
    /// Bad events and the trials they are among.
    package func events(in arm: ArmEvidence) -> (events: Int64, trials: Int64) {
        switch self {
        case .errors: (arm.failures, arm.requests)
        case .slow: (arm.slow, arm.timed)
        case .dear: (arm.dear, arm.cost.n)
        case .badAnswers: (arm.bad, arm.quality.n)
        }
    }
}

extension GuardrailEvidence {
    /// Adds trials of one arm, assigned to the candidate with probability `weight`.
    mutating func add(events: Int64, trials: Int64, candidate: Bool, weight: Double) {
        let others = trials - events
        let counts =
            candidate
            ? TwoArmCounts(candidateEvents: events, candidateNonEvents: others, controlEvents: 0)
            : TwoArmCounts(candidateEvents: 0, controlEvents: events, controlNonEvents: others)
        let test: SequentialTest = controlRate.map { .armGivenOutcome(controlRate: $0) } ?? .eventsSplit(tolerance: 1)
        let increments = test.increments(counts, candidateShare: weight)
        for (index, increment) in increments.enumerated() { logE[index] += increment }
    }
}

package import Policy

extension RolloutEvidence {
    /// Empty evidence with a test for every guardrail that the route gives a weight.
    package init(thresholds: FrozenThresholds, guardrails settings: Route.Guardrails) {
        self.init(thresholds: thresholds)
        let weights: [(Guardrail, Double)] = [
            (.errors, settings.errors), (.slow, settings.slow), (.dear, settings.dear),
            (.badAnswers, settings.badAnswers),
        ]
        let active = weights.filter { guardrail, weight in
            switch guardrail {
            case .errors, .badAnswers: weight > 0
            case .slow: weight > 0 && thresholds.slowMs != nil
            case .dear: weight > 0 && thresholds.dearNanoUSD != nil
            }
        }
        let total = active.reduce(0) { $0 + $1.1 }
        guardrails = active.map { guardrail, weight in
            GuardrailEvidence(
                guardrail: guardrail, alpha: settings.alpha * weight / total,
                controlRate: thresholds.controlRate(for: guardrail))
        }
    }
}

extension FrozenThresholds {
    /// Above this event rate a test that sees only events needs half as many requests again, so successes count too.
    package static let frequentRate = 0.05
    /// Answers from which the control's rate of bad answers is known well enough to plug in.
    package static let minimumAnswers: Int64 = 20

    /// The plug-in rate for a guardrail's test; `nil` where events are rare or the rate is not known.
    func controlRate(for guardrail: Guardrail) -> Double? {
        switch guardrail {
        case .errors: nil
        // By construction: the bounds are the control's 95th percentiles.
        case .slow, .dear: Self.frequentRate
        case .badAnswers:
            answers >= Self.minimumAnswers
                ? badAnswerRate.flatMap { $0 > Self.frequentRate ? min($0, 0.95) : nil } : nil
        }
    }
}

extension Rollout {
    /// Applies what happened; `false` for an edge that does not exist, and then nothing changes.
    @discardableResult
    package mutating func apply(_ event: RolloutEvent, now: Int64) -> Bool {
        guard let next = phase.successor(on: event, steps: plan.servedSteps) else { return false }
        if case .skip(let by) = event { note("skipped", "by \(by)", now: now) }
        phase = next
        switch next {
        case .progressing(let step):
            switch event {
            case .resume: note("resumed", "", now: now)
            default: note(plan.isWatch(step) ? "watch" : "step", "\(plan.weight(step: step))", now: now)
            }
            stepStartedAt = now
        case .paused(_, let by): note("paused", "by \(by)", now: now)
        case .promoted:
            note("promoted", "", now: now)
            endedAt = now
        case .ended(let reason):
            note(reason.name, reason.detail, now: now)
            endedAt = now
        }
        return true
    }

    package mutating func note(_ event: String, _ detail: String, now: Int64) {
        guard timeline.count < Self.timelineLimit else { return }
        timeline.append(TimelineEntry(at: now, event: event, detail: detail))
    }

    /// Applies a verdict; `false` if it holds.
    package mutating func apply(_ verdict: RolloutVerdict, now: Int64) -> Bool {
        switch verdict {
        case .hold: false
        case .stepPassed: apply(RolloutEvent.stepPassed, now: now)
        case .promote: apply(RolloutEvent.promote, now: now)
        case .end(let reason): apply(RolloutEvent.end(reason), now: now)
        }
    }
}

extension EndReason {
    /// One phrase for people.
    package var detail: String {
        switch self {
        case .guardrail(let guardrail): "guardrail \(guardrail.rawValue)"
        case .fastLane(let failures, let count): "\(failures) of the first \(count) requests failed"
        case .aborted(let by): "by \(by)"
        case .passed: "the shadow showed what it promised"
        case .superseded(let by): "by rollout \(by)"
        case .inconclusive: "the deadline passed without proof of the promised gain"
        case .noData: "the deadline passed without enough requests"
        }
    }
}

import Policy

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
        if !next.isActive { evidence.forgetUnits() }
        return true
    }

    /// Begins the step's time anew when the lease on the candidate has run out, because nobody served it meanwhile, and
    /// when the step began in the future, because the clock was set back; `true` if it did.
    ///
    /// So no step is passed by an outage or by a clock that jumps, whichever way, and evidence that waited for the
    /// database has the step's time to arrive.
    package mutating func setBack(leaseUntil: Int64?, now: Int64) -> Bool {
        let hasLapsed = leaseUntil.map { $0 < now } ?? false
        guard isActive, hasLapsed || stepStartedAt > now else { return false }
        stepStartedAt = now
        if hasLapsed { note("interrupted", "the lease on the candidate had run out", now: now) }
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
        case .overspent(let usd, let budget):
            "the candidate alone spent \(usd.short) USD in a minute, of \(budget.short) that the route may"
        case .aborted(let by): "by \(by)"
        case .passed: "it showed what it promised"
        case .superseded(let by): "by rollout \(by)"
        case .inconclusive: "the deadline passed without proof of the promised gain"
        case .noData: "the deadline passed without enough requests"
        }
    }
}

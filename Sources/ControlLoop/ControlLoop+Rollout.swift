import Analysis
import Core
import Policy
import Rollouts
import Statistics
import StreamProcessing

extension ControlLoop {
    /// Folds new panes into the rollout and acts on the verdict: the next step, promotion, or weight 0.
    func advance(
        _ rollout: Rollout, of state: RouteState, panes: [EvidencePane], now: Int64,
        using generator: inout some RandomNumberGenerator
    ) -> [ControlEffect] {
        var next = rollout
        next.evidence.fold(panes)
        let verdict = next.evaluate(now: now)
        guard next.apply(verdict, now: now) else {
            let saved: [ControlEffect] = panes.isEmpty ? [] : [.saveRollout(next)]
            return saved + renewal(state.pointer, now: now)
        }
        let audit = audit(
            "rollout.\(next.phase.isActive ? "step" : next.phase.name)", state, subject: next.id.description,
            detail: next.timeline.last?.detail ?? "", now: now, using: &generator)
        return [.saveRollout(next), .setPointer(pointer(of: state, for: next, now: now)), audit]
    }

    /// A lease is renewed when half of it is gone.
    private func renewal(_ pointer: RoutePointer, now: Int64) -> [ControlEffect] {
        guard let until = pointer.leaseUntil, until - now < settings.leaseMs / 2 else { return [] }
        return [.renewLease(until: now + settings.leaseMs)]
    }

    /// Where the route points in the rollout's phase.
    func pointer(of state: RouteState, for rollout: Rollout, now: Int64) -> RoutePointer {
        var pointer = RoutePointer(route: state.route.name, stable: state.pointer.stable)
        switch rollout.phase {
        case .progressing(let step), .paused(let step, _):
            pointer.candidate = rollout.candidate
            pointer.weight = rollout.weight
            pointer.salt = rollout.salt
            pointer.rollout = rollout.id
            pointer.step = step
            pointer.eligibility = rollout.eligibility
            pointer.mode = rollout.plan.kind == .shadow ? .mirror : .split
            pointer.leaseUntil = now + settings.leaseMs
        case .promoted: pointer.stable = rollout.candidate
        case .ended: break
        }
        return pointer
    }

    /// A new rollout of `candidate` against stable, with thresholds frozen from the control's recent traffic.
    func makeRollout(
        _ state: RouteState, candidate: Int, goal: RolloutPlan.Goal, kind: RolloutPlan.Kind = .canary,
        reason: String, by actor: String,
        decision: UUIDv7?, control: TargetStatistics?, now: Int64, using generator: inout some RandomNumberGenerator
    ) -> Rollout {
        var plan = settings.plan.of(kind)
        plan.goal = goal
        plan.margins.quality = state.route.objective.quality.tolerance ?? Objective.Quality.defaultTolerance
        var rollout = Rollout(
            id: UUIDv7(milliseconds: now, using: &generator), route: state.route.name, stable: state.pointer.stable,
            candidate: candidate, salt: generator.next(), createdAt: now, createdBy: actor, decision: decision,
            reason: reason, plan: plan,
            evidence: RolloutEvidence(
                thresholds: thresholds(control, badBelow: state.route.badBelow), guardrails: state.route.guardrails))
        if plan.kind == .shadow { rollout.evidence.isMirrored = true }
        rollout.note(plan.isWatch(0) ? "watch" : "step", "\(plan.weight(step: 0))", now: now)
        return rollout
    }

    /// The control's 95th percentiles, moved up to bucket bounds of the sketch so that counts above them are exact.
    private func thresholds(_ control: TargetStatistics?, badBelow: Double) -> FrozenThresholds {
        let slow = control?.latencyP95Ms.map { DDSketch.bucketBound(atOrAbove: $0) }
        let quality = control?.quality
        return FrozenThresholds(
            slowMs: slow, dearNanoUSD: control?.cost.logNormalQuantile95.map { DDSketch.bucketBound(atOrAbove: $0) },
            badBelow: badBelow, badAnswerRate: quality?.shareBelow(badBelow), answers: quality?.n ?? 0)
    }
}

extension Moments {
    /// The share of a normal distribution with this mean and variance that lies under `bound`: a plug-in for the rate
    /// of bad answers, whose error costs power and never validity.
    func shareBelow(_ bound: Double) -> Double? {
        guard let mean, let variance, variance > 0 else { return nil }
        return normalCDF((bound - mean) / variance.squareRoot())
    }

    /// The 95th percentile of the log-normal distribution with this mean and variance: a good enough bound for "dear",
    /// because the test compares shares above it between the arms, whatever that share is.
    var logNormalQuantile95: Double? {
        guard let mean, mean > 0, let variance else { return nil }
        let sigma2 = logarithm(1 + variance / (mean * mean))
        return exponential(logarithm(mean) - sigma2 / 2 + 1.645 * sigma2.squareRoot())
    }
}

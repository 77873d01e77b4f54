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
        let isSetBack = next.setBack(leaseUntil: state.pointer.leaseUntil, now: now)
        next.evidence.fold(panes)
        let verdict = next.evaluate(now: now)
        guard next.apply(verdict, now: now) else {
            let saved: [ControlEffect] = panes.isEmpty && !isSetBack ? [] : [.saveRollout(next)]
            return saved + renewal(state.pointer, now: now)
        }
        let audit = audit(
            "rollout.\(next.phase.isActive ? "step" : next.phase.name)", state, subject: next.id.description,
            detail: next.timeline.last?.detail ?? "", now: now, using: &generator)
        return [.saveRollout(next), .setPointer(pointer(of: state, for: next, now: now)), audit]
    }

    /// A lease is renewed when half of it is gone, and when a clock that was set back has made it longer than one is.
    private func renewal(_ pointer: RoutePointer, now: Int64) -> [ControlEffect] {
        guard let until = pointer.leaseUntil else { return [] }
        let rest = until - now
        guard rest < settings.leaseMs / 2 || rest > settings.leaseMs else { return [] }
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
                thresholds: FrozenThresholds(control, of: state.route), guardrails: state.route.guardrails,
                isMirrored: plan.kind == .shadow))
        if let serving = state.policies[candidate]?.servingTargets, let old = state.stable?.servingTargets {
            rollout.evidence.sharesQuota = serving.allSatisfy { new in old.contains { $0.sharesQuota(with: new) } }
        }
        rollout.note(plan.isWatch(0) ? "watch" : "step", "\(plan.weight(step: 0))", now: now)
        return rollout
    }
}

extension Target {
    /// Whether a provider counts both against one rate limit: limits are by account and model.
    fileprivate func sharesQuota(with other: Target) -> Bool {
        (provider, credentials, model) == (other.provider, other.credentials, other.model)
    }
}

extension FrozenThresholds {
    /// What the control showed before the start; `nil` if it showed nothing. What the route's objective calls in time is
    /// never slow: a better model that takes longer within it is no harm.
    fileprivate init(_ control: TargetStatistics?, of route: Route) {
        let quality = control?.quality
        let inTime = route.objective.latency
        self.init(
            slowMs: [control?.latencyP95Ms, inTime.p95Ms].compactMap(\.self).max(),
            dearNanoUSD: control?.cost.logNormalQuantile(z: 1.645),
            badBelow: route.badBelow, badAnswerRate: quality?.shareBelow(route.badBelow), answers: quality?.n ?? 0)
        medianMs = control?.latencyP50Ms.flatMap { $0 > inTime.p95Ms ?? 0 ? $0 : nil }
        ttftMs = [control?.ttftP95Ms, inTime.ttftP95Ms].compactMap(\.self).max()
        cost = control?.cost
        self.quality = quality
        failureRate = control.flatMap { $0.requests > 0 ? Double($0.failures) / Double($0.requests) : nil }
        budgetPerMinute = route.objective.cost.budgetDayUSD.flatMap { $0 > 0 ? $0 * 1e9 / 1_440 : nil }
    }
}

extension Moments {
    /// The share of a normal distribution with this mean and variance that lies under `bound`: a plug-in for the rate
    /// of bad answers, whose error costs power and never validity.
    fileprivate func shareBelow(_ bound: Double) -> Double? {
        guard let mean, let variance, variance > 0 else { return nil }
        return normalCDF((bound - mean) / variance.squareRoot())
    }
}

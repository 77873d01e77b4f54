import Analysis
import Core
import Decisions
import Policy
import Rollouts

extension ControlLoop {
    /// Makes a decision when one is due, and acts on it as far as the route's autonomy goes.
    func decide(
        _ state: RouteState, _ inputs: LoopInputs, now: Int64, using generator: inout some RandomNumberGenerator
    ) -> [ControlEffect] {
        guard let statistics = inputs.statistics, let stable = state.stable else { return [] }
        let input = DecisionInput(
            now: now, route: state.route, stable: stable, baseline: state.baseline, catalog: allowedTargets(of: state),
            prices: inputs.prices, statistics: statistics, history: state.history, settings: settings.decisions,
            seed: generator.next())
        let outcome = Decisions.decide(input)
        var decision = Decision(
            id: UUIDv7(milliseconds: now, using: &generator), route: state.route.name, at: now, engine: settings.engine,
            status: .noted, input: input, outcome: outcome)
        guard case .change(let candidate) = outcome.action else {
            // A "no" is written down when its reason changes, not every few seconds.
            let news = inputs.lastDecision?.outcome.code == outcome.code ? [] : [ControlEffect.saveDecision(decision)]
            return (isStale(state.proposal, in: state, now: now) ? supersede(state.proposal) : []) + news
        }
        switch state.route.autonomy {
        case .observe:
            return inputs.lastDecision?.proposes(candidate.modelKey) == true ? [] : [.saveDecision(decision)]
        case .suggest: return propose(&decision, candidate, state, inputs, now: now)
        case .auto:
            if settings.requireRehearsal, let reason = state.missingRehearsal {
                decision.waitsFor = reason
                return propose(&decision, candidate, state, inputs, now: now)
            }
            if let reason = barred(state, inputs.running, now: now) {
                guard inputs.lastDecision?.proposes(candidate.modelKey) != true else { return [] }
                let entry = audit(
                    "rollout.deferred", state, subject: decision.id.description, detail: reason, now: now,
                    using: &generator)
                return [.saveDecision(decision), entry]
            }
            return supersede(state.proposal)
                + start(decision, candidate, state: state, by: Self.actor, now: now, using: &generator)
        }
    }

    /// Puts a change before a person, once.
    private func propose(
        _ decision: inout Decision, _ candidate: Candidate, _ state: RouteState, _ inputs: LoopInputs, now: Int64
    ) -> [ControlEffect] {
        if let open = state.proposal, open.proposes(candidate.modelKey), open.fits(state),
            open.waitsFor == decision.waitsFor
        {
            return []
        }
        // What a person has turned down is not proposed again until the cooldown has passed.
        if inputs.rejections.contains(where: { turnedDown in
            turnedDown.proposes(candidate.modelKey)
                && now - (turnedDown.decidedAt ?? turnedDown.at) < settings.decisions.cooldownMs
        }) {
            return isStale(state.proposal, in: state, now: now) ? supersede(state.proposal) : []
        }
        decision.status = .proposed
        return supersede(state.proposal) + [.saveDecision(decision)]
    }

    /// Whether a waiting proposal no longer stands, now that nothing speaks for it: the route has moved on since, or a
    /// cooldown has passed, so that a proposal at the edge does not come and go with the noise.
    private func isStale(_ proposal: Decision?, in state: RouteState, now: Int64) -> Bool {
        guard let proposal else { return false }
        return !proposal.fits(state) || now - proposal.at >= settings.decisions.cooldownMs
    }

    private func supersede(_ proposal: Decision?) -> [ControlEffect] {
        guard var old = proposal else { return [] }
        old.status = .superseded
        return [.saveDecision(old)]
    }

    /// Turns an approved decision into a policy version and its rollout.
    func start(
        _ decision: Decision, _ candidate: Candidate, state: RouteState, by actor: String, now: Int64,
        using generator: inout some RandomNumberGenerator
    ) -> [ControlEffect] {
        guard let stable = state.stable else { return [] }
        var policy = stable.applying(
            candidate.edits, createdAt: now, createdBy: decision.id.description, reason: decision.outcome.rationale)
        policy.version = state.latestVersion + 1
        let control = decision.input.statistics.first { $0.modelKey == stable.targets.first?.modelKey }
        let rollout = makeRollout(
            state, candidate: policy.version, goal: goal(of: candidate, decision), reason: decision.outcome.rationale,
            by: decision.id.description, decision: decision.id, control: control, now: now, using: &generator)
        var kept = decision
        kept.status = .approved
        (kept.decidedBy, kept.decidedAt) = (actor, now)
        kept.policy = policy.version
        kept.rollout = rollout.id
        return [
            .savePolicy(policy), .saveRollout(rollout), .saveDecision(kept),
            .setPointer(pointer(of: state, for: rollout, now: now)),
            audit(
                "rollout.start", state, subject: rollout.id.description,
                detail: "policy \(policy.version) against \(stable.version)", by: actor, now: now, using: &generator),
        ]
    }

    /// What the rollout has to prove is what the decision promised.
    private func goal(of candidate: Candidate, _ decision: Decision) -> RolloutPlan.Goal {
        let chosen = decision.outcome.alternatives.first { $0.verdict == .chosen }
        let incumbent = decision.outcome.alternatives.first { $0.verdict == .incumbent }
        guard let new = chosen?.candidate.forecast.costPer1000, let old = incumbent?.candidate.forecast.costPer1000
        else {
            return .better
        }
        return new.upper < old.lower ? .cheaper : .better
    }

    private func allowedTargets(of state: RouteState) -> [Target] {
        settings.catalog.filter { target in state.route.allowed.contains { globMatches($0, target.modelKey) } }
    }
}

extension Decision {
    /// Whether it was made for the policy that is stable now.
    func fits(_ state: RouteState) -> Bool { input.stable.version == state.pointer.stable }

    /// Whether it is a change to this model.
    func proposes(_ modelKey: String) -> Bool {
        if case .change(let candidate) = outcome.action { candidate.modelKey == modelKey } else { false }
    }
}

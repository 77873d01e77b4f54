package import Analysis
import Core
import Decisions
import Policy
import Rollouts

extension ControlLoop {
    /// Does what a person asks of a route.
    ///
    /// - Parameter control: statistics of stable's model, for a rollout's thresholds.
    /// - Throws: `TrimtabError` with code `control.conflict` or `control.not_found`, and what to do instead.
    package func handle(
        _ command: Command, by actor: String, state: RouteState, control: [TargetStatistics], now: Int64,
        using generator: inout some RandomNumberGenerator
    ) throws -> (effects: [ControlEffect], result: CommandResult) {
        switch command {
        case .startRollout(let policy, let goal, let reason):
            return try startRollout(
                policy, goal: goal, reason: reason, by: actor, state: state, control: control, now: now,
                using: &generator)
        case .pause(let id):
            return try move(id, .pause(by: actor), by: actor, state: state, now: now, using: &generator)
        case .resume(let id): return try move(id, .resume, by: actor, state: state, now: now, using: &generator)
        case .promote(let id): return try move(id, .promote, by: actor, state: state, now: now, using: &generator)
        case .abort(let id, let reason):
            guard state.rollout?.id == id else {
                return (
                    [], CommandResult(changed: false, message: "Rollout \(id) is not running; nothing was changed.")
                )
            }
            let by = reason.isEmpty ? actor : "\(actor): \(reason)"
            return try move(id, .end(.aborted(by: by)), by: actor, state: state, now: now, using: &generator)
        case .approve(let id): return try approve(id, by: actor, state: state, now: now, using: &generator)
        case .reject(let id):
            var decision = try proposal(id, state)
            decision.status = .rejected
            (decision.decidedBy, decision.decidedAt) = (actor, now)
            let entry = audit(
                "decision.reject", state, subject: id.description, detail: "", by: actor, now: now, using: &generator)
            return ([.saveDecision(decision), entry], CommandResult(changed: true, message: "Rejected."))
        case .activate(let version): return try activate(version, by: actor, state: state, now: now, using: &generator)
        }
    }

    private func startRollout(
        _ version: Int, goal: RolloutPlan.Goal, reason: String, by actor: String, state: RouteState,
        control: [TargetStatistics], now: Int64, using generator: inout some RandomNumberGenerator
    ) throws -> (effects: [ControlEffect], result: CommandResult) {
        if let running = state.rollout {
            throw TrimtabError(
                "control.conflict", "Rollout \(running.id) of policy \(running.candidate) is running on this route.",
                remedy: "Wait for it, or abort it first.")
        }
        guard (1...max(1, state.latestVersion)).contains(version) else { throw unknownPolicy(version, state) }
        guard version != state.pointer.stable else {
            throw TrimtabError(
                "control.conflict", "Policy \(version) is already stable.", remedy: "Name another version.")
        }
        let model = state.stable?.targets.first?.modelKey
        let rollout = makeRollout(
            state, candidate: version, goal: goal, reason: reason, by: actor, decision: nil,
            control: control.first { $0.modelKey == model }, now: now, using: &generator)
        let entry = audit(
            "rollout.start", state, subject: rollout.id.description,
            detail: "policy \(version) against \(state.pointer.stable). \(reason)", by: actor, now: now,
            using: &generator)
        return (
            [.saveRollout(rollout), .setPointer(pointer(of: state, for: rollout, now: now)), entry],
            CommandResult(changed: true, message: "Started.", rollout: rollout.id)
        )
    }

    private func move(
        _ id: UUIDv7, _ event: RolloutEvent, by actor: String, state: RouteState, now: Int64,
        using generator: inout some RandomNumberGenerator
    ) throws -> (effects: [ControlEffect], result: CommandResult) {
        guard var rollout = state.rollout, rollout.id == id else {
            throw TrimtabError(
                "control.conflict", "Rollout \(id) is not running.",
                remedy: "See `trimtab rollouts list` for those that are.")
        }
        let before = rollout.phase.name
        guard rollout.apply(event, now: now) else {
            throw TrimtabError(
                "control.conflict", "A rollout that is \(before) cannot do that.",
                remedy: before == "paused"
                    ? "It is held already: resume, promote or abort it." : "Only a paused rollout can be resumed.")
        }
        let entry = audit(
            "rollout.\(rollout.timeline.last?.event ?? "change")", state, subject: id.description,
            detail: rollout.timeline.last?.detail ?? "", by: actor, now: now, using: &generator)
        return (
            [.saveRollout(rollout), .setPointer(pointer(of: state, for: rollout, now: now)), entry],
            CommandResult(changed: true, message: "It is \(rollout.phase.name) now.", rollout: id)
        )
    }

    private func approve(
        _ id: UUIDv7, by actor: String, state: RouteState, now: Int64, using generator: inout some RandomNumberGenerator
    ) throws -> (effects: [ControlEffect], result: CommandResult) {
        let decision = try proposal(id, state)
        if let running = state.rollout {
            throw TrimtabError(
                "control.conflict", "Rollout \(running.id) is running on this route.",
                remedy: "Wait for it, or abort it first.")
        }
        guard case .change(let candidate) = decision.outcome.action, decision.fits(state) else {
            throw TrimtabError(
                "control.conflict", "The route has moved on since this decision was proposed.",
                remedy: "Wait for the next proposal.")
        }
        let effects = start(decision, candidate, state: state, by: actor, now: now, using: &generator)
        let rollout = effects.lazy.compactMap { if case .saveRollout(let rollout) = $0 { rollout.id } else { nil } }
            .first
        return (effects, CommandResult(changed: true, message: "Approved; its rollout has started.", rollout: rollout))
    }

    private func proposal(_ id: UUIDv7, _ state: RouteState) throws -> Decision {
        guard let proposal = state.proposal, proposal.id == id else {
            throw TrimtabError(
                "control.conflict", "Decision \(id) does not wait for an answer.",
                remedy: "See `trimtab decisions list --status proposed` for those that do.")
        }
        return proposal
    }

    private func activate(
        _ version: Int, by actor: String, state: RouteState, now: Int64,
        using generator: inout some RandomNumberGenerator
    ) throws -> (effects: [ControlEffect], result: CommandResult) {
        guard (1...max(1, state.latestVersion)).contains(version) else { throw unknownPolicy(version, state) }
        var effects: [ControlEffect] = []
        if var rollout = state.rollout,
            rollout.apply(RolloutEvent.end(.aborted(by: "\(actor): policy \(version) activated")), now: now)
        {
            effects.append(.saveRollout(rollout))
        }
        effects.append(.setPointer(RoutePointer(route: state.route.name, stable: version)))
        effects.append(
            audit(
                "policy.activate", state, subject: "\(version)", detail: "was \(state.pointer.stable)", by: actor,
                now: now,
                using: &generator))
        return (
            effects,
            CommandResult(changed: version != state.pointer.stable, message: "Policy \(version) is stable now.")
        )
    }

    private func unknownPolicy(_ version: Int, _ state: RouteState) -> TrimtabError {
        TrimtabError(
            "control.not_found", "Route \(state.route.name) has no policy \(version).",
            remedy: "See `trimtab policies list \(state.route.name)`.")
    }
}

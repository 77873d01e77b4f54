package import Analysis
import Core
import Decisions
import Policy
package import Rollouts

extension ControlLoop {
    /// Does what a person asks of a route. Asking twice does nothing the second time, and says so.
    ///
    /// - Parameters:
    ///   - surroundings: what the command depends on besides the route's own state.
    /// - Throws: `TrimtabError` with code `control.conflict` or `control.not_found`, and what to do instead.
    package func handle(
        _ command: Command, by actor: String, state: RouteState, _ surroundings: Surroundings, now: Int64,
        using generator: inout some RandomNumberGenerator
    ) throws -> (effects: [ControlEffect], result: CommandResult) {
        switch command {
        case .startRollout(let request):
            return try startRollout(request, by: actor, state: state, surroundings, now: now, using: &generator)
        case .retry(let id, let reason):
            let request = try retry(id, reason, surroundings, now: now)
            return try startRollout(
                request, retryOf: id, by: actor, state: state, surroundings, now: now, using: &generator)
        case .pause(let id):
            return try move(id, .pause(by: actor), by: actor, state, surroundings, now: now, using: &generator)
        case .resume(let id): return try move(id, .resume, by: actor, state, surroundings, now: now, using: &generator)
        case .skip(let id):
            return try move(id, .skip(by: actor), by: actor, state, surroundings, now: now, using: &generator)
        case .waive(let id, let guardrail, let forMs, let reason):
            let waiver = Waiver(
                guardrail: guardrail, from: now, until: now + min(max(0, forMs), Waiver.longestMs), by: actor,
                reason: reason)
            return try waive(id, waiver, state, surroundings, now: now, using: &generator)
        case .promote(let id):
            return try move(id, .promote, by: actor, state, surroundings, now: now, using: &generator)
        case .abort(let id, let reason):
            let by = reason.isEmpty ? actor : "\(actor): \(reason)"
            return try move(id, .end(.aborted(by: by)), by: actor, state, surroundings, now: now, using: &generator)
        case .approve(let id):
            return try approve(id, by: actor, state: state, surroundings, now: now, using: &generator)
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

    /// What a command depends on besides the route's own state.
    package struct Surroundings: Sendable {
        /// Statistics of the route's models, for a rollout's thresholds.
        package var statistics: [TargetStatistics] = []
        /// The rollout that the command names, over or not.
        package var rollout: Rollout?
        /// Rollouts that run on all routes together.
        package var running = 0

        package init() {}
    }

    private func startRollout(
        _ request: RolloutRequest, retryOf: UUIDv7? = nil, by actor: String, state: RouteState,
        _ surroundings: Surroundings, now: Int64, using generator: inout some RandomNumberGenerator
    ) throws -> (effects: [ControlEffect], result: CommandResult) {
        let version = request.policy
        if let running = state.rollout, !request.supersedes {
            throw TrimtabError(
                "control.conflict", "Rollout \(running.id) of policy \(running.candidate) is running on this route.",
                remedy: "Wait for it, abort it first, or let the new one supersede it.")
        }
        guard (1...max(1, state.latestVersion)).contains(version) else { throw unknownPolicy(version, state) }
        guard (version == state.pointer.stable) == (request.kind == .aa) else {
            throw request.kind == .aa
                ? TrimtabError(
                    "control.conflict",
                    "An A/A compares the stable policy with itself, and that is version "
                        + "\(state.pointer.stable).", remedy: "Name that version.")
                : TrimtabError(
                    "control.conflict", "Policy \(version) is already stable.",
                    remedy: "Name another version, or compare it with itself by the kind 'aa'.")
        }
        if let reason = barred(state, surroundings.running, now: now) {
            throw TrimtabError(
                "control.conflict", reason, remedy: "Wait, or activate the policy, which asks no evidence.")
        }
        let model = state.stable?.targets.first?.modelKey
        var rollout = makeRollout(
            state, candidate: version, goal: request.goal, kind: request.kind, reason: request.reason, by: actor,
            decision: nil, control: surroundings.statistics.first { $0.modelKey == model }, now: now,
            using: &generator)
        (rollout.retryOf, rollout.eligibility) = (retryOf, request.eligibility)
        var effects: [ControlEffect] = []
        if var old = state.rollout, old.apply(RolloutEvent.end(.superseded(by: rollout.id)), now: now) {
            effects.append(.saveRollout(old))
        }
        let entry = audit(
            retryOf == nil ? "rollout.start" : "rollout.retry", state, subject: rollout.id.description,
            detail: "policy \(version) against \(state.pointer.stable). \(request.reason)", by: actor, now: now,
            using: &generator)
        effects += [.saveRollout(rollout), .setPointer(pointer(of: state, for: rollout, now: now)), entry]
        return (effects, CommandResult(changed: true, message: "Started.", rollout: rollout.id))
    }

    /// What an ended rollout's change is tried again as.
    private func retry(_ id: UUIDv7, _ reason: String, _ surroundings: Surroundings, now: Int64) throws
        -> RolloutRequest
    {
        guard let old = surroundings.rollout else { throw unknownRollout(id) }
        guard case .ended = old.phase else {
            throw TrimtabError(
                "control.conflict", "Rollout \(id) is \(old.phase.name); only an ended one is tried again.",
                remedy: "Start a rollout of another policy version.")
        }
        let wait = (old.endedAt ?? old.createdAt) + settings.retryCooldownMs - now
        guard wait <= 0 else {
            throw TrimtabError(
                "control.conflict", "Rollout \(id) ended less than \(settings.retryCooldownMs / 1000) s ago.",
                remedy: "Try again in \((wait + 999) / 1000) s; rollouts.retry_cooldown_s sets the rest.")
        }
        return RolloutRequest(
            policy: old.candidate, goal: old.plan.goal, kind: old.plan.kind, eligibility: old.eligibility,
            reason: reason.isEmpty ? old.reason : reason)
    }

    /// Why no rollout may start now; `nil` if one may.
    func barred(_ state: RouteState, _ running: Int, now: Int64) -> String? {
        if let window = settings.plan.freeze.first(where: { $0.contains(now) }) {
            return "Nothing starts now: rollouts.freeze has '\(window)' (UTC)."
        }
        let others = running - (state.rollout == nil ? 0 : 1)
        return others >= settings.maxActive
            ? "\(others) rollouts are running, and rollouts.max_active is \(settings.maxActive)." : nil
    }

    private func move(
        _ id: UUIDv7, _ event: RolloutEvent, by actor: String, _ state: RouteState, _ surroundings: Surroundings,
        now: Int64, using generator: inout some RandomNumberGenerator
    ) throws -> (effects: [ControlEffect], result: CommandResult) {
        guard var rollout = state.rollout, rollout.id == id else {
            return ([], try unmoved(id, event, surroundings.rollout))
        }
        if case .skip = event, rollout.plan.kind.isTrial {
            throw TrimtabError(
                "control.conflict", "A rollout of kind '\(rollout.plan.kind.rawValue)' has one step only.",
                remedy: "Let it end, or abort it.")
        }
        guard rollout.apply(event, now: now) else {
            return (
                [], CommandResult(changed: false, message: "It is \(rollout.phase.name) already.", rollout: id)
            )
        }
        let entry = audit(
            "rollout.\(rollout.timeline.last?.event ?? "change")", state, subject: id.description,
            detail: rollout.timeline.last?.detail ?? "", by: actor, now: now, using: &generator)
        return (
            [.saveRollout(rollout), .setPointer(pointer(of: state, for: rollout, now: now)), entry],
            CommandResult(changed: true, message: "It is \(rollout.phase.name) now.", rollout: id)
        )
    }

    private func waive(
        _ id: UUIDv7, _ waiver: Waiver, _ state: RouteState, _ surroundings: Surroundings, now: Int64,
        using generator: inout some RandomNumberGenerator
    ) throws -> (effects: [ControlEffect], result: CommandResult) {
        guard var rollout = state.rollout, rollout.id == id else {
            guard let known = surroundings.rollout else { throw unknownRollout(id) }
            throw over(known)
        }
        guard rollout.evidence.findings.contains(where: { $0.guardrail == waiver.guardrail }) else {
            throw TrimtabError(
                "control.conflict", "Rollout \(id) has no guardrail \(waiver.guardrail.rawValue) to waive.",
                remedy: "`trimtab rollouts show \(id)` lists those it has.")
        }
        guard rollout.waive(waiver, now: now) else {
            return ([], CommandResult(changed: false, message: "It is not waived.", rollout: id))
        }
        let isWaived = waiver.until > now
        let entry = audit(
            isWaived ? "rollout.waived" : "rollout.waiver_ended", state, subject: id.description,
            detail: waiver.detail, by: waiver.by, now: now, using: &generator)
        let message =
            isWaived
            ? "Guardrail \(waiver.guardrail.rawValue) is waived for \((waiver.until - now) / 1000) s."
            : "Guardrail \(waiver.guardrail.rawValue) acts again."
        return ([.saveRollout(rollout), entry], CommandResult(changed: true, message: message, rollout: id))
    }

    /// What a command does to a rollout that does not run: nothing, if that is what was asked for.
    private func unmoved(_ id: UUIDv7, _ event: RolloutEvent, _ rollout: Rollout?) throws -> CommandResult {
        guard let rollout else { throw unknownRollout(id) }
        switch (event, rollout.phase) {
        case (.promote, .promoted):
            return CommandResult(changed: false, message: "It is promoted already.", rollout: id)
        case (.end, .promoted):
            return CommandResult(
                changed: false,
                message: "Rollout \(id) is not running: it is promoted. "
                    + "`trimtab policies activate \(rollout.route) \(rollout.stable)` goes back in one step.",
                rollout: id)
        case (.end, _):
            return CommandResult(
                changed: false, message: "Rollout \(id) is not running: it is \(rollout.phase.name).", rollout: id)
        default: throw over(rollout)
        }
    }

    private func over(_ rollout: Rollout) -> TrimtabError {
        TrimtabError(
            "control.conflict", "Rollout \(rollout.id) is \(rollout.phase.name), for good.",
            remedy: "`trimtab rollouts retry \(rollout.id)` tries its change once more.")
    }

    private func unknownRollout(_ id: UUIDv7) -> TrimtabError {
        TrimtabError(
            "control.not_found", "There is no rollout \(id).",
            remedy: "`trimtab rollouts list` shows those there are.")
    }

    private func approve(
        _ id: UUIDv7, by actor: String, state: RouteState, _ surroundings: Surroundings, now: Int64,
        using generator: inout some RandomNumberGenerator
    ) throws -> (effects: [ControlEffect], result: CommandResult) {
        let decision = try proposal(id, state)
        if let running = state.rollout {
            throw TrimtabError(
                "control.conflict", "Rollout \(running.id) is running on this route.",
                remedy: "Wait for it, or abort it first.")
        }
        if let reason = barred(state, surroundings.running, now: now) {
            throw TrimtabError(
                "control.conflict", reason, remedy: "Wait, or activate the policy, which asks no evidence.")
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

import Core
import Policy
import Statistics

/// What the evidence says at one look. Verdicts are never collapsed: holding is not failing, no data is not good.
package enum RolloutVerdict: Sendable, Equatable {
    case hold(String)
    case stepPassed
    case promote
    case end(EndReason)
}

extension Rollout {
    /// Probability, over all looks, with which a bound that a step or a promotion needs is wrong: that harm is within its
    /// margin, and that the promised gain is there.
    package static let harmAlpha = 0.05
    package static let gainAlpha = 0.1
    /// Sessions, keys or users of which a step needs so many: fewer are no sample, and each weighs too much.
    package static let minimumUnits: Int64 = 50

    /// Judges the stored evidence. Guardrails come first and run in every active phase; a pause stops only progress.
    ///
    /// The order is: guardrails, fast lane, deadline, pause, freeze, step conditions, goal. The watch has a deadline of
    /// its own: twice its length.
    package func evaluate(now: Int64) -> RolloutVerdict {
        guard let step = phase.step else { return .hold("It is over: \(phase.name).") }
        let waived = waived(at: now)
        if let harm = evidence.shownHarm(under: plan.goal, waiving: waived) { return .end(harm) }
        let isPaused = if case .paused = phase { true } else { false }
        let isOver =
            plan.isWatch(step) && !isPaused
            ? now - stepStartedAt >= 2 * plan.watchMs : now - createdAt >= plan.deadlineMs
        if isOver { return .end(evidence.totals.candidate.requests < plan.minStepRequests ? .noData : .inconclusive) }
        if case .paused(_, let by) = phase { return .hold("Paused by \(by).") }
        if let window = plan.freeze.first(where: { $0.contains(now) }) { return .hold("Frozen: \(window) UTC.") }
        if let reason = missingForStep(step, waiving: waived, now: now) { return .hold(reason) }
        // The step before 100 % has to show what the rollout promised; one that begins there shows it in its watch.
        guard step + 2 == plan.steps.count || plan.steps.count == 1 else {
            return plan.isWatch(step) ? .promote : .stepPassed
        }
        if let reason = missingForPromotion(step, waiving: waived, now: now) { return .hold(reason) }
        if plan.kind.isTrial { return .end(.passed) }
        return step + 1 < plan.servedSteps ? .stepPassed : .promote
    }

    private func missingForStep(_ step: Int, waiving waived: Set<Guardrail>, now: Int64) -> String? {
        let waited = now - stepStartedAt
        let wanted = plan.isWatch(step) ? plan.watchMs : plan.minStepMs
        if waited < wanted { return "Step \(step + 1) has run \(waited / 1000) of \(wanted / 1000) s." }
        let seen = evidence.steps.first { $0.step == step }
        let requests = seen?.candidate.requests ?? 0
        guard let seen, requests >= plan.minStepRequests else {
            return "Step \(step + 1) has \(requests) of \(plan.minStepRequests) candidate requests."
        }
        if let reason = faultyAssignment(seen) ?? exhaustedQuota(seen) { return reason }
        if let near = findings(.guardrail, waiving: waived).first(where: \.isNear) {
            return "Guardrail \(near.guardrail.rawValue) is within a tenth of its limit."
        }
        guard plan.weight(step: step) >= 0.25 || plan.kind == .shadow, !isControlBroken(seen) else { return nil }
        return missingForNonInferiority(waiving: waived)
    }

    /// What those of a role show that do not stand back.
    private func findings(_ role: GuardrailRole, waiving waived: Set<Guardrail>) -> [GuardrailFinding] {
        evidence.findings.filter { plan.goal.role(of: $0.guardrail) == role && !waived.contains($0.guardrail) }
    }

    /// Whether the step's units are too few, or fell to the arms otherwise than by weight: then its evidence cannot be
    /// trusted either way. Never a reason to roll back.
    private func faultyAssignment(_ step: StepEvidence) -> String? {
        let units = step.control.units + step.candidate.units
        if units < Self.minimumUnits {
            return "Only \(units) sessions, keys or users so far; \(Self.minimumUnits) are needed to tell chance from "
                + "harm. If there are no more, assign by request: `sticky: request`."
        }
        guard plan.kind != .shadow, step.weight > 0, step.weight < 1 else { return nil }
        let ratio = step.sampleRatio
        guard ratio.logE >= logarithm(1_000) || ratio.chiSquareP < 0.001 else { return nil }
        let share = Double(step.candidate.units) / Double(units)
        return "The candidate got \(share.short) of the sessions, keys, users or requests where \(step.weight.short) "
            + "was meant: find out which records are missing."
    }

    /// Refusals by a rate limit that both arms share are counted against neither; where they are many, they also hide how
    /// the candidate would have answered.
    private func exhaustedQuota(_ step: StepEvidence) -> String? {
        let (candidate, control) = (step.candidate, step.control)
        let refused = candidate.contended + control.contended
        guard 20 * refused > candidate.requests + control.requests else { return nil }
        return
            "The provider's rate limit, which both arms share, refused \(refused) requests in this step: raise it, or "
            + "wait for less traffic."
    }

    /// A control that fails every other request is no measure, and what may mend it must not wait for it: the candidate
    /// goes on if it is itself sound.
    private func isControlBroken(_ step: StepEvidence) -> Bool {
        let (control, candidate) = (step.control, step.candidate)
        return control.requests >= 50 && 2 * control.failures >= control.requests
            && 20 * candidate.failures <= candidate.requests
    }

    /// From 25 % up every guardrail's interval must exclude harm beyond its margin.
    private func missingForNonInferiority(waiving waived: Set<Guardrail>) -> String? {
        if !waived.contains(.errors), let reason = missingForFailures() { return reason }
        if !waived.contains(.badAnswers), let reason = missingForQuality() { return reason }
        return nil
    }

    private func missingForFailures() -> String? {
        let margin = plan.margins.failureRate
        guard let excess = evidence.failures.upperBound(alpha: Self.harmAlpha, margin: .absolute(margin)) else {
            return "Both arms need \(MeanDifference.minimumTrials) requests."
        }
        return excess > 0
            ? "Failures are not yet shown to be at most \(margin) worse (up to \((excess + margin).short))." : nil
    }

    private func missingForQuality() -> String? {
        guard evidence.indexOfTest(.badAnswers) != nil else { return nil }
        let tolerance = plan.margins.quality
        if let pairs = evidence.pairs(.badAnswers) {
            if pairs.count == 0 {
                return "Quality feedback on requests and on their copies is needed; an unknown is not treated as good."
            }
            if pairs.logE(above: -tolerance) >= -logarithm(Self.harmAlpha) { return nil }
            return "Quality is not yet shown to be at most \(tolerance) worse (down to "
                + "\(pairs.lowerBound(alpha: Self.harmAlpha).short) in \(pairs.count) pairs)."
        }
        guard
            let spare = evidence.quality.difference?.lowerBound(
                alpha: Self.harmAlpha, margin: .absolute(-tolerance))
        else {
            return
                "Quality feedback for both arms is needed, \(MeanDifference.minimumTrials) answers each; an unknown is "
                + "not treated as good."
        }
        return spare < 0
            ? "Quality is not yet shown to be at most \(tolerance) worse (down to \((spare - tolerance).short))." : nil
    }

    private func missingForPromotion(_ step: Int, waiving waived: Set<Guardrail>, now: Int64) -> String? {
        if let seen = evidence.steps.first(where: { $0.step == step }), isControlBroken(seen) { return nil }
        let quarter =
            timeline.first { ["step", "watch"].contains($0.event) && (Double($0.detail) ?? 0) >= 0.25 }?.at
            ?? stepStartedAt
        if now - quarter < plan.objectiveCycleMs {
            return "At 25 % or more for \((now - quarter) / 1000) of \(plan.objectiveCycleMs / 1000) s."
        }
        if let signal = findings(.signal, waiving: waived).first(where: \.isShown) {
            return "A trade: \(signal.guardrail.subject) went up. A person promotes it, or waives the guardrail."
        }
        switch plan.goal {
        case .neutral: return nil
        case .cheaper:
            guard let most = evidence.cost.difference?.upperBound(alpha: Self.gainAlpha) else {
                return "No known cost for \(MeanDifference.minimumTrials) requests of both arms yet."
            }
            return most < 0 ? nil : "Not yet shown to be cheaper."
        case .better:
            if let pairs = evidence.pairs(.badAnswers) {
                return pairs.logE(above: 0) >= -logarithm(Self.gainAlpha)
                    ? nil : "Not yet shown to be better, in \(pairs.count) pairs."
            }
            guard let least = evidence.quality.difference?.lowerBound(alpha: Self.gainAlpha) else {
                return "No quality feedback for \(MeanDifference.minimumTrials) answers of both arms yet."
            }
            return least > 0 ? nil : "Not yet shown to be better."
        }
    }
}

extension Double {
    /// Three digits after the point, for people.
    var short: String {
        let scaled = (abs(self) * 1000).rounded()
        guard scaled < 1e15 else { return "\(self)" }
        let whole = Int(scaled) / 1000
        let rest = String(Int(scaled) % 1000 + 1000).dropFirst()
        return "\(self < 0 ? "-" : "")\(whole).\(rest)"
    }
}

import Core
import Statistics

/// What the evidence says at one look. Verdicts are never collapsed: holding is not failing, no data is not good.
package enum RolloutVerdict: Sendable, Equatable {
    case hold(String)
    case stepPassed
    case promote
    case end(EndReason)
}

extension Rollout {
    /// Judges the stored evidence. Guardrails come first and run in every active phase; a pause stops only progress.
    ///
    /// The order is: guardrails, fast lane, deadline, pause, freeze, step conditions, goal. The watch has a deadline of
    /// its own: twice its length.
    package func evaluate(now: Int64) -> RolloutVerdict {
        guard let step = phase.step else { return .hold("It is over: \(phase.name).") }
        if let broken = evidence.guardrails.first(where: { $0.logEValue >= $0.logLimit }) {
            return .end(.guardrail(broken.guardrail))
        }
        if let fast = fastLane() { return .end(fast) }
        let isPaused = if case .paused = phase { true } else { false }
        let isOver =
            plan.isWatch(step) && !isPaused
            ? now - stepStartedAt >= 2 * plan.watchMs : now - createdAt >= plan.deadlineMs
        if isOver { return .end(evidence.totals.candidate.requests < plan.minStepRequests ? .noData : .inconclusive) }
        if case .paused(_, let by) = phase { return .hold("Paused by \(by).") }
        if let window = plan.freeze.first(where: { $0.contains(now) }) { return .hold("Frozen: \(window) UTC.") }
        if let reason = missingForStep(step, now: now) { return .hold(reason) }
        // The step before 100 % has to show what the rollout promised; one that begins there shows it in its watch.
        guard step + 2 == plan.steps.count || plan.steps.count == 1 else {
            return plan.isWatch(step) ? .promote : .stepPassed
        }
        if let reason = missingForPromotion(now: now) { return .hold(reason) }
        if plan.kind == .shadow { return .end(.passed) }
        return step + 1 < plan.servedSteps ? .stepPassed : .promote
    }

    /// Total failure needs no statistics: 3 failures of the first 3 requests, or 6 of 20, while the control is healthy.
    private func fastLane() -> EndReason? {
        let first = evidence.firstRequests
        let control = evidence.totals.control
        // Without control traffic there is nothing that speaks for the candidate: act.
        guard control.requests == 0 || Double(control.failures) < 0.05 * Double(control.requests) else { return nil }
        let allFailed = first.failures >= 3 && first.failures == first.requests
        let manyFailed = first.failures >= 6 && 10 * first.failures >= 3 * first.requests
        return allFailed || manyFailed ? .fastLane(failures: Int(first.failures), of: Int(first.requests)) : nil
    }

    private func missingForStep(_ step: Int, now: Int64) -> String? {
        let waited = now - stepStartedAt
        let wanted = plan.isWatch(step) ? plan.watchMs : plan.minStepMs
        if waited < wanted { return "Step \(step + 1) has run \(waited / 1000) of \(wanted / 1000) s." }
        let seen = evidence.steps.first { $0.step == step }?.candidate.requests ?? 0
        if seen < plan.minStepRequests {
            return "Step \(step + 1) has \(seen) of \(plan.minStepRequests) candidate requests."
        }
        let near = evidence.guardrails.first { $0.logEValue >= $0.logLimit - logarithm(10) }
        if let near { return "Guardrail \(near.guardrail.rawValue) is within a tenth of its limit." }
        return plan.weight(step: step) >= 0.25 || plan.kind == .shadow ? missingForNonInferiority() : nil
    }

    /// From 25 % up every guardrail's interval must exclude harm beyond its margin.
    private func missingForNonInferiority() -> String? {
        let failures = evidence.failureDifference
        if failures.upper > plan.margins.failureRate {
            return
                "Failures are not yet shown to be at most \(plan.margins.failureRate) worse (up to \(failures.upper.short))."
        }
        guard evidence.guardrails.contains(where: { $0.guardrail == .badAnswers }) else { return nil }
        guard let quality = evidence.qualityDifference else {
            return "No quality feedback for both arms yet; an unknown is not treated as good."
        }
        if quality.lower < -plan.margins.quality {
            return
                "Quality is not yet shown to be at most \(plan.margins.quality) worse (down to \(quality.lower.short))."
        }
        return nil
    }

    private func missingForPromotion(now: Int64) -> String? {
        let quarter =
            timeline.first { ["step", "watch"].contains($0.event) && (Double($0.detail) ?? 0) >= 0.25 }?.at
            ?? stepStartedAt
        if now - quarter < plan.objectiveCycleMs {
            return "At 25 % or more for \((now - quarter) / 1000) of \(plan.objectiveCycleMs / 1000) s."
        }
        switch plan.goal {
        case .neutral: return nil
        case .cheaper:
            guard let cost = evidence.costDifference else { return "No known cost for both arms yet." }
            return cost.probabilityBelowZero >= 0.9 ? nil : "Not yet shown to be cheaper."
        case .better:
            guard let quality = evidence.qualityDifference else { return "No quality feedback for both arms yet." }
            return quality.probabilityBelowZero <= 0.1 ? nil : "Not yet shown to be better."
        }
    }
}

extension Double {
    /// Three digits after the point, for people.
    var short: String {
        let scaled = (abs(self) * 1000).rounded()
        let whole = Int(scaled) / 1000
        let rest = String(Int(scaled) % 1000 + 1000).dropFirst()
        return "\(self < 0 ? "-" : "")\(whole).\(rest)"
    }
}

import Core
package import Policy
import Statistics

/// What a guardrail does when its test reaches its limit.
package enum GuardrailRole: String, Codable, Sendable {
    /// Rolls back.
    case guardrail
    /// Holds the promotion until a person has decided.
    case signal
}

/// How far one guardrail's evidence is.
package struct GuardrailFinding: Sendable, Equatable {
    package var guardrail: Guardrail
    package var alpha: Double
    /// Natural logarithm of the e-value.
    package var logE: Double

    /// The log of the e-value at which it acts.
    package var logLimit: Double { -logarithm(alpha) }
    package var isShown: Bool { logE >= logLimit }
    /// Within a tenth of its limit.
    package var isNear: Bool { logE >= logLimit - logarithm(10) }
}

extension RolloutEvidence {
    /// Every guardrail's evidence, in the order of `Guardrail.allCases`.
    package var findings: [GuardrailFinding] {
        var found = guardrails.map { GuardrailFinding(guardrail: $0.guardrail, alpha: $0.alpha, logE: $0.logEValue) }
        if let costFinding {
            let place = found.firstIndex { $0.guardrail.ordinal > Guardrail.cost.ordinal } ?? found.count
            found.insert(costFinding, at: place)
        }
        return found
    }

    /// That of mean cost; `nil` where it is off.
    var costFinding: GuardrailFinding? {
        costAlpha.map {
            GuardrailFinding(guardrail: .cost, alpha: $0, logE: cost.difference?.logE(alpha: $0) ?? 0)
        }
    }
}

extension RolloutPlan.Goal {
    /// Who promised better answers may have said nothing of their price: that is a trade, and a person's to make.
    package func role(of guardrail: Guardrail) -> GuardrailRole {
        switch guardrail {
        case .cost, .dear: self == .better ? .signal : .guardrail
        default: .guardrail
        }
    }
}

extension RolloutEvidence {
    /// What is shown to be worse; `nil` if nothing is. Asked in every phase but a final one.
    ///
    /// - Parameter waived: guardrails that stand back. What needs no statistics cannot be waived.
    package func shownHarm(under goal: RolloutPlan.Goal, waiving waived: Set<Guardrail> = []) -> EndReason? {
        func acts(_ guardrail: Guardrail) -> Bool {
            goal.role(of: guardrail) == .guardrail && !waived.contains(guardrail)
        }
        // By index: an element by value would copy its tests at every look.
        for index in guardrails.indices where guardrails[index].logEValue >= guardrails[index].logLimit {
            let guardrail = guardrails[index].guardrail
            if acts(guardrail) { return .guardrail(guardrail) }
        }
        if let costFinding, costFinding.isShown, acts(.cost) { return .guardrail(.cost) }
        return fastLane()
    }

    /// What needs no statistics: 3 failures of the first 3 requests or 6 of 20 while the control is healthy, and a
    /// candidate that alone spends three times what the whole route may.
    private func fastLane() -> EndReason? {
        if let budget = thresholds.budgetPerMinute, spend.dearestMinuteNanoUSD > 3 * budget {
            return .overspent(usd: spend.dearestMinuteNanoUSD / 1e9, budgetUSD: budget / 1e9)
        }
        let first = firstRequests
        guard first.failures >= 3 else { return nil }
        let control = totals.control
        // Without control traffic there is nothing that speaks for the candidate: act.
        guard control.requests == 0 || Double(control.failures) < 0.05 * Double(control.requests) else { return nil }
        let allFailed = first.failures == first.requests
        let manyFailed = first.failures >= 6 && 10 * first.failures >= 3 * first.requests
        return allFailed || manyFailed ? .fastLane(failures: Int(first.failures), of: Int(first.requests)) : nil
    }
}

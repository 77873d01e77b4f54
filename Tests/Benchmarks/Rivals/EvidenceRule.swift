package import Policy
import Rollouts
import Statistics
import StreamProcessing
import Telemetry

/// Our own rule: what a rollout's evidence says after every single request. It never promotes here, so that only false
/// and missed rollbacks are compared.
package struct EvidenceRule: RolloutRule {
    private let guardrails: Route.Guardrails
    private let isSticky: Bool
    private var evidence: RolloutEvidence

    package init(_ guardrails: Route.Guardrails = .init(), isSticky: Bool) {
        self.guardrails = guardrails
        self.isSticky = isSticky
        evidence = RolloutEvidence(thresholds: FrozenThresholds([]), guardrails: guardrails)
    }

    package mutating func prepare(history: [RolloutTraffic.Trial]) {
        evidence = RolloutEvidence(thresholds: FrozenThresholds(history), guardrails: guardrails)
    }

    package mutating func observe(_ trial: RolloutTraffic.Trial) -> RuleVerdict {
        let arm: Arm = trial.isCandidate ? .candidate : .stable
        let unit = isSticky ? UInt32(truncatingIfNeeded: trial.unit) : nil
        func fold(_ observation: Trial.Observation) {
            evidence.fold(
                Trial(unit: unit, at: trial.atMs, observation), arm: arm, step: trial.step, weight: trial.share)
        }
        fold(.request(Trial.Answer(trial)))
        if let quality = trial.quality { fold(.quality(quality)) }
        evidence.endBlock()
        return evidence.shownHarm(under: .cheaper) == nil ? .carryOn : .rollBack
    }
}

extension Trial.Answer {
    fileprivate init(_ trial: RolloutTraffic.Trial) {
        guard let failure = trial.failure else {
            self.init(
                [.refusalChecked, .schemaChecked], latencyMs: Float(trial.latencyMs), ttftMs: Float(trial.firstTokenMs),
                cost: Int64(trial.costNanoUSD), tokens: Int64(trial.tokens))
            return
        }
        switch failure {
        case .server: self.init(.failed)
        case .timeout: self.init([.failed, .timedOut])
        case .refusal: self.init([.failed, .refusalChecked, .refused, .schemaChecked])
        case .schema: self.init([.failed, .refusalChecked, .schemaChecked, .malformed])
        }
    }
}

extension FrozenThresholds {
    fileprivate init(_ history: [RolloutTraffic.Trial]) {
        let answers = history.filter { $0.failure == nil }
        func sorted(_ value: (RolloutTraffic.Trial) -> Double) -> [Double] { answers.map(value).sorted() }
        var (costs, qualities, bad) = (Moments(), Moments(), 0.0)
        for answer in answers {
            costs.add(answer.costNanoUSD)
            guard let quality = answer.quality else { continue }
            qualities.add(quality)
            bad += quality < 0.5 ? 1 : 0
        }
        let latency = sorted(\.latencyMs)
        self.init(
            slowMs: quantile(0.95, ofSorted: latency), dearNanoUSD: quantile(0.95, ofSorted: sorted(\.costNanoUSD)),
            badBelow: 0.5, badAnswerRate: qualities.n > 0 ? bad / Double(qualities.n) : nil, answers: qualities.n)
        medianMs = quantile(0.5, ofSorted: latency)
        ttftMs = quantile(0.95, ofSorted: sorted(\.firstTokenMs))
        failureRate = Double(history.count - answers.count) / Double(max(1, history.count))
        (cost, quality) = (costs, qualities)
    }
}

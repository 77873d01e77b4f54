import Core
import Foundation
import Rollouts
import Statistics

/// A rollout's evidence as figures: for each guardrail the e-value against its limit, for each step what each arm showed.
struct EvidenceView: Encodable {
    let rollout: UUIDv7
    let guardrails: [GuardrailView]
    let steps: [StepView]
    let thresholds: FrozenThresholds
    let firstRequests: RolloutEvidence.FirstRequests

    enum CodingKeys: String, CodingKey {
        case rollout, guardrails, steps, thresholds
        case firstRequests = "first_requests"
    }

    init(_ rollout: Rollout) {
        self.rollout = rollout.id
        let evidence = rollout.evidence
        var control = ArmEvidence(), candidate = ArmEvidence()
        for step in evidence.steps {
            control.merge(step.control)
            candidate.merge(step.candidate)
        }
        guardrails = evidence.guardrails.map { GuardrailView($0, control: control, candidate: candidate) }
        steps = evidence.steps.map(StepView.init)
        thresholds = evidence.thresholds
        firstRequests = evidence.firstRequests
    }

    struct GuardrailView: Encodable {
        let guardrail: Guardrail
        let statement: String
        let alpha: Double
        /// Natural logarithms: e-values themselves soon exceed what a reader can take in.
        let logE: Double
        let logLimit: Double
        /// How far the evidence is on its way to the limit, 0...1, on the logarithmic scale.
        let progress: Double
        let control, candidate: Rate

        struct Rate: Encodable {
            let events, trials: Int64
            let rate: Double?
            init(_ events: Int64, of trials: Int64) {
                self.events = events
                self.trials = trials
                rate = trials > 0 ? Double(events) / Double(trials) : nil
            }
        }

        enum CodingKeys: String, CodingKey {
            case guardrail, statement, alpha, progress, control, candidate
            case logE = "log_e"
            case logLimit = "log_limit"
        }

        init(_ evidence: GuardrailEvidence, control: ArmEvidence, candidate: ArmEvidence) {
            guardrail = evidence.guardrail
            statement = evidence.guardrail.statement
            alpha = evidence.alpha
            logE = Self.logMean(evidence.logE)
            logLimit = -log(max(evidence.alpha, .leastNormalMagnitude))
            progress = logLimit > 0 ? min(1, max(0, logE / logLimit)) : 0
            func rate(_ arm: ArmEvidence) -> Rate {
                switch evidence.guardrail {
                case .errors: Rate(arm.failures, of: arm.requests)
                case .slow: Rate(arm.slow, of: arm.timed)
                case .dear: Rate(arm.dear, of: arm.cost.n)
                case .badAnswers: Rate(arm.bad, of: arm.quality.n)
                }
            }
            self.control = rate(control)
            self.candidate = rate(candidate)
        }

        /// The logarithm of the mean of exponentials, without overflow; 0 (an e-value of 1) before any evidence.
        private static func logMean(_ logs: [Double]) -> Double {
            guard let top = logs.max(), top.isFinite else { return 0 }
            return top + log(logs.reduce(0) { $0 + exp($1 - top) } / Double(logs.count))
        }
    }

    struct StepView: Encodable {
        let step: Int
        let weight: Double
        let control, candidate: ArmView

        init(_ step: StepEvidence) {
            self.step = step.step
            weight = step.weight
            control = ArmView(step.control)
            candidate = ArmView(step.candidate)
        }
    }

    struct ArmView: Encodable {
        let requests, failures, slow, dear, bad, answers: Int64
        let costPer1000: Double?
        let quality: Double?

        init(_ arm: ArmEvidence) {
            (requests, failures, slow, dear) = (arm.requests, arm.failures, arm.slow, arm.dear)
            (bad, answers) = (arm.bad, arm.quality.n)
            costPer1000 = arm.cost.mean.map { $0 / 1e6 }
            quality = arm.quality.mean
        }

        enum CodingKeys: String, CodingKey {
            case requests, failures, slow, dear, bad, answers, quality
            case costPer1000 = "cost_per_1000_usd"
        }
    }
}

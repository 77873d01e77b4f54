import Core
import Foundation
import Policy
import Rollouts
import Statistics

/// A rollout's evidence as figures: for each guardrail the estimate, what is not ruled out, and the e-value that decides
/// against its limit; for each step what each arm showed.
struct EvidenceView: Encodable {
    let rollout: UUIDv7
    let guardrails: [GuardrailView]
    let differences: [DifferenceView]
    let steps: [StepView]
    let thresholds: FrozenThresholds
    let firstRequests: RolloutEvidence.FirstRequests

    enum CodingKeys: String, CodingKey {
        case rollout, guardrails, differences, steps, thresholds
        case firstRequests = "first_requests"
    }

    init(_ rollout: Rollout) {
        self.rollout = rollout.id
        let evidence = rollout.evidence
        let totals = evidence.totals
        guardrails = evidence.findings.map { GuardrailView($0, of: rollout, totals) }
        differences = DifferenceView.all(of: rollout)
        steps = evidence.steps.map(StepView.init)
        thresholds = evidence.thresholds
        firstRequests = evidence.firstRequests
    }

    struct GuardrailView: Encodable {
        let guardrail: Guardrail
        /// What it looks at, and what it says when it reaches its limit.
        let subject, statement: String
        let role: GuardrailRole
        let alpha: Double
        /// Natural logarithms: e-values themselves soon exceed what a reader can take in.
        let logE, logLimit: Double
        /// How far the evidence is on its way to the limit, 0...1, on the logarithmic scale.
        let progress: Double
        /// Candidate over control: how many times as often, or as much.
        let ratio: Bounds
        let control, candidate: Arm
        /// Where it looks at pairs, in place of the ratio.
        let pairs: Pairs?

        /// `nil` where nothing bounds it.
        struct Bounds: Encodable {
            let estimate, lower, upper: Double?
            init(_ estimate: Double?, _ lower: Double?, _ upper: Double?) {
                func finite(_ value: Double?) -> Double? { value.flatMap { $0.isFinite && $0 < 1e9 ? $0 : nil } }
                (self.estimate, self.lower, self.upper) = (finite(estimate), finite(lower), finite(upper))
            }
        }

        /// Scores of the answers to the same requests: candidate minus control, in points of 0 to 1.
        struct Pairs: Encodable {
            let count: Int64
            let estimate: Double?
            /// What a step needs at its own alpha, and what rolls back at the guardrail's.
            let lower, upper: Double

            init(_ pairs: PairedDifferences, alpha: Double) {
                (count, estimate) = (pairs.count, pairs.mean)
                lower = pairs.lowerBound(alpha: Rollout.harmAlpha)
                upper = pairs.upperBound(alpha: alpha)
            }
        }

        /// Events of trials for guardrails that count, the mean in US dollars for that of cost.
        struct Arm: Encodable {
            var events: Int64?
            let trials: Int64
            var rate, mean: Double?
        }

        enum CodingKeys: String, CodingKey {
            case guardrail, subject, statement, role, alpha, progress, ratio, control, candidate, pairs
            case logE = "log_e"
            case logLimit = "log_limit"
        }

        init(
            _ finding: GuardrailFinding, of rollout: Rollout, _ totals: (control: ArmEvidence, candidate: ArmEvidence)
        ) {
            let evidence = rollout.evidence
            guardrail = finding.guardrail
            let compared = evidence.pairs(guardrail)
            pairs = compared.map { Pairs($0, alpha: finding.alpha) }
            subject = guardrail.subject + (compared == nil ? "" : ", in pairs of a request and its copy")
            statement = finding.guardrail.statement
            role = rollout.plan.goal.role(of: finding.guardrail)
            alpha = finding.alpha
            (logE, logLimit) = (finding.logE, finding.logLimit)
            progress = logLimit > 0 ? min(1, max(0, logE / logLimit)) : 0
            if let test = evidence.guardrails.first(where: { $0.guardrail == finding.guardrail }) {
                let risk = compared == nil ? test.riskRatio : nil
                ratio = Bounds(risk?.estimate, risk?.lowerBound, risk?.upperBound)
                (control, candidate) = (Arm(totals.control, guardrail), Arm(totals.candidate, guardrail))
            } else {
                ratio = Self.costRatio(evidence, alpha: finding.alpha)
                (control, candidate) = (Arm(cost: totals.control.cost), Arm(cost: totals.candidate.cost))
            }
        }

        private static func costRatio(_ evidence: RolloutEvidence, alpha: Double) -> Bounds {
            guard let difference = evidence.cost.difference, let base = difference.control.mean, base > 0 else {
                return Bounds(nil, nil, nil)
            }
            func ratio(_ excess: Double?) -> Double? { excess.map { max(0, 1 + $0 / base) } }
            return Bounds(
                ratio(difference.estimate), ratio(difference.lowerBound(alpha: alpha)),
                ratio(difference.upperBound(alpha: Rollout.harmAlpha)))
        }
    }

    /// Candidate minus control, with what a step and a promotion need to know of it.
    struct DifferenceView: Encodable {
        let name, unit: String
        let estimate, lower, upper: Double?

        static func all(of rollout: Rollout) -> [DifferenceView] {
            let evidence = rollout.evidence
            return [
                DifferenceView("failures", "share of requests", evidence.failures, scale: 1),
                evidence.pairs(.badAnswers).map { DifferenceView("quality", "points of 0 to 1", $0) }
                    ?? DifferenceView("quality", "points of 0 to 1", evidence.quality.difference, scale: 1),
                DifferenceView("cost", "US dollars per 1,000 requests", evidence.cost.difference, scale: 1e-6),
                DifferenceView("tokens", "output tokens a request", evidence.tokens.difference, scale: 1),
            ]
        }

        private init(_ name: String, _ unit: String, _ pairs: PairedDifferences) {
            (self.name, self.unit) = (name, unit)
            estimate = pairs.mean
            lower = pairs.mean.map { _ in pairs.lowerBound(alpha: Rollout.harmAlpha) }
            upper = pairs.mean.map { _ in pairs.upperBound(alpha: Rollout.harmAlpha) }
        }

        private init(_ name: String, _ unit: String, _ difference: MeanDifference?, scale: Double) {
            (self.name, self.unit) = (name, unit)
            estimate = difference?.estimate.map { $0 * scale }
            lower = difference?.lowerBound(alpha: Rollout.harmAlpha).map { $0 * scale }
            upper = difference?.upperBound(alpha: Rollout.harmAlpha).map { $0 * scale }
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
        let requests, failures, contended, units, answers: Int64
        let counts: GuardrailCounts
        let costPer1000: Double?
        let quality: Double?

        init(_ arm: ArmEvidence) {
            (requests, failures, contended, units) = (arm.requests, arm.failures, arm.contended, arm.units)
            (counts, answers) = (arm.counts, arm.quality.n)
            costPer1000 = arm.cost.mean.map { $0 / 1e6 }
            quality = arm.quality.mean
        }

        enum CodingKeys: String, CodingKey {
            case requests, failures, contended, units, answers, counts, quality
            case costPer1000 = "cost_per_1000_usd"
        }
    }
}

extension EvidenceView.GuardrailView.Arm {
    fileprivate init(_ arm: ArmEvidence, _ guardrail: Guardrail) {
        let (events, trials) = arm.counts[guardrail]
        self.init(events: events, trials: trials, rate: trials > 0 ? Double(events) / Double(trials) : nil)
    }

    fileprivate init(cost: Moments) { self.init(trials: cost.n, mean: cost.mean.map { $0 / 1e9 }) }
}

import Analysis
import Policy

extension Judge {
    /// The last test: cheaper, or better at no higher price, or in place of an incumbent that cannot stay; each with
    /// `betterProbability`, and by more than it costs to change.
    func gain(_ cost: Estimate, _ quality: Estimate, _ result: inout Judgement) -> Judgement {
        let candidate = result.evidence
        var reasons: [String] = []
        var against: [String] = []
        if let old = incumbent.cost {
            let chance = cost.probability(atMost: old)
            let gain = costGain(cost, old)
            result.probabilities["cheaper"] = chance
            if objective.cost.minimize, chance >= settings.betterProbability, gain.lower >= settings.minCostGain {
                reasons.append("it is \(gain.estimate.percent) cheaper (at least \(gain.lower.percent))")
            } else if objective.cost.minimize {
                against.append("it is cheaper with \(chance.percent), by \(gain.lower.percent) at least")
            }
        } else {
            against.append("what the incumbent costs is not known")
        }
        if let old = incumbent.quality, incumbent.answers >= settings.minAnswers {
            let gain = Estimate(mean: quality.mean - old.mean, standardError: quality.combinedError(old))
            let chance = gain.probability(atLeast: settings.minQualityGain)
            let lower = gain.interval(z: gainZ).lower
            result.probabilities["better_quality"] = chance
            let affordable = notDearer(cost)
            if chance >= settings.betterProbability, lower >= settings.minQualityGain, affordable {
                reasons.append("its quality is \(gain.mean.fixed(3)) higher (at least \(lower.fixed(3)))")
            } else if lower >= settings.minQualityGain {
                against.append("its quality is \(gain.mean.fixed(3)) higher, but it is dearer")
            } else {
                against.append("its quality is better by \(settings.minQualityGain.fixed(3)) with \(chance.percent)")
            }
        }
        if reasons.isEmpty, let fault = incumbentFault, betterThanFault(candidate) {
            reasons.append("the incumbent cannot stay. \(fault)")
        }
        result.verdict = reasons.isEmpty ? .notBetter : .chosen
        let sentences = (reasons.isEmpty ? against : reasons).joined(separator: "; ")
        result.reason = sentences.prefix(1).uppercased() + sentences.dropFirst() + (sentences.hasSuffix(".") ? "" : ".")
        return result
    }

    /// The share saved, with its bounds; 0 where the incumbent costs nothing.
    func costGain(_ new: Estimate, _ old: Estimate) -> Interval {
        guard old.mean > 0 else { return Interval(estimate: 0, lower: 0, upper: 0) }
        let saved = Estimate(mean: old.mean - new.mean, standardError: new.combinedError(old))
        let bounds = saved.interval(z: gainZ)
        return Interval(
            estimate: saved.mean / old.mean, lower: bounds.lower / old.mean, upper: bounds.upper / old.mean)
    }

    private func notDearer(_ cost: Estimate) -> Bool {
        guard objective.cost.minimize else { return true }
        guard let old = incumbent.cost else { return false }
        return cost.probability(atMost: old, margin: settings.minCostGain * old.mean) >= settings.betterProbability
    }

    /// Whether a candidate that passed all limits is what the incumbent lacks.
    private func betterThanFault(_ candidate: ModelEvidence) -> Bool {
        if violatedLimit(incumbent, strictly: true) != nil {
            let limits = [
                (candidate.statistics.latencyBounds, objective.latency.p95Ms),
                (candidate.statistics.ttftBounds, objective.latency.ttftP95Ms),
            ]
            return limits.allSatisfy { bounds, limit in
                guard let limit else { return true }
                return bounds.map { $0.upper <= limit } ?? false
            }
        }
        guard let old = incumbent.quality, let new = candidate.quality else { return false }
        return old.probability(atMost: new) >= settings.betterProbability
    }
}

import Analysis
import Policy
import Statistics

/// How one candidate compares: its verdict before the survivors are ranked.
struct Judgement {
    var evidence: ModelEvidence
    /// `chosen` stands for "could be chosen" until the ranking is made.
    var verdict: Alternative.Verdict
    var reason: String
    var probabilities: [String: Double] = [:]
}

/// The tests that a candidate has to pass, in order: price, evidence, hard constraints, quality, gain.
struct Judge {
    let input: DecisionInput
    let incumbent: ModelEvidence
    /// The pinned baseline's model, that quality is measured against.
    let baseline: ModelEvidence
    /// How many candidates have evidence enough to be compared, at least 1.
    let comparisons: Int
    var objective: Objective { input.route.objective }
    var settings: DecisionSettings { input.settings }

    /// Standard errors from a gain to its lower bound: 95 % for all candidates together, since the best of many that are
    /// all the same looks better than it is (Bonferroni).
    var gainZ: Double { normalQuantile(1 - 0.05 / Double(comparisons)) }

    /// How far quality may lie below the baseline's; `nil` where the route has a floor instead.
    var tolerance: Double? {
        objective.quality.tolerance
            ?? (objective.quality.floor == nil ? Objective.Quality.defaultTolerance : nil)
    }

    func judge(_ candidate: ModelEvidence) -> Judgement {
        guard let cost = candidate.cost, let quality = candidate.quality, candidate.answers >= settings.minAnswers
        else { return missing(candidate) }
        var result = Judgement(evidence: candidate, verdict: .chosen, reason: "")
        func verdict(_ verdict: Alternative.Verdict, _ reason: String) -> Judgement {
            result.verdict = verdict
            result.reason = reason
            return result
        }
        if let violated = violatedLimit(candidate, strictly: false) { return verdict(.infeasible, violated) }
        if let floor = objective.quality.floor {
            let chance = quality.probability(atLeast: floor)
            result.probabilities["quality_above_floor"] = chance
            guard chance >= settings.nonInferiorProbability else {
                return verdict(
                    .infeasible,
                    "Quality \(quality.text) reaches the floor of \(floor.fixed(3)) with only \(chance.percent).")
            }
        }
        if let tolerance {
            guard let reference = baseline.quality, baseline.answers >= settings.minAnswers else {
                return verdict(
                    .noEvidence,
                    "The pinned baseline \(baseline.modelKey) has \(baseline.answers) answers with quality feedback, of "
                        + "\(settings.minAnswers) needed, so nothing can be compared with it.")
            }
            let chance = nonInferior(candidate, reference, tolerance)
            result.probabilities["non_inferior_quality"] = chance
            guard chance >= settings.nonInferiorProbability else {
                return verdict(
                    .inferior,
                    "Quality \(quality.text) against \(reference.text) of the baseline: within the tolerance of "
                        + "\(tolerance.fixed(3)) with only \(chance.percent), and "
                        + "\(settings.nonInferiorProbability.percent) is needed.")
            }
        }
        return gain(cost, quality, &result)
    }

    /// P(quality not more than `tolerance` below the baseline's).
    func nonInferior(_ candidate: ModelEvidence, _ reference: Estimate, _ tolerance: Double) -> Double {
        guard let quality = candidate.quality else { return 0 }
        return candidate.modelKey == baseline.modelKey
            ? 1 : reference.probability(atMost: quality, margin: tolerance)
    }

    private func missing(_ candidate: ModelEvidence) -> Judgement {
        let priced = input.prices[candidate.modelKey] != nil
        // A single known cost has no standard error yet, which is a matter of evidence.
        if candidate.cost == nil, !priced || candidate.statistics.unknownCost > 0 {
            let remedy = priced ? "Let its provider report usage." : "Add its price."
            return Judgement(
                evidence: candidate, verdict: .unknownPrice, reason: "What it costs is not known. \(remedy)")
        }
        return Judgement(
            evidence: candidate, verdict: .noEvidence,
            reason: "It has \(candidate.answers) answers with quality feedback, of \(settings.minAnswers) needed.")
    }

    /// The hard limit that a model breaks, as a sentence. `strictly`: beyond its interval, as asked of the incumbent.
    func violatedLimit(_ model: ModelEvidence, strictly: Bool) -> String? {
        let limits = [
            ("latency", model.statistics.latencyBounds, objective.latency.p95Ms),
            ("time to first token", model.statistics.ttftBounds, objective.latency.ttftP95Ms),
        ]
        for case (let name, let bounds?, let limit?) in limits
        where (strictly ? bounds.lower : bounds.estimate) > limit {
            return "Its p95 \(name) of \(bounds.estimate.milliseconds) breaks the limit of \(limit.milliseconds)."
        }
        guard model.modelKey != incumbent.modelKey else { return nil }
        let both = TwoProportions(candidate: model.failures, control: incumbent.failures)
        guard let difference = both.newcombe(), difference.lowerBound > 0 else { return nil }
        return "\((model.failures.rate ?? 0).percent) of its requests fail, against "
            + "\((incumbent.failures.rate ?? 0).percent) of the incumbent's."
    }

    /// Why the incumbent cannot stay, if it is known with `betterProbability`.
    var incumbentFault: String? {
        if let violated = violatedLimit(incumbent, strictly: true) { return violated }
        guard let quality = incumbent.quality, incumbent.answers >= settings.minAnswers else { return nil }
        if let floor = objective.quality.floor {
            let chance = 1 - quality.probability(atLeast: floor)
            if chance >= settings.betterProbability {
                return "Its quality \(quality.text) is under the floor of \(floor.fixed(3)) with \(chance.percent)."
            }
        }
        if let tolerance, let reference = baseline.quality, baseline.answers >= settings.minAnswers {
            let chance = 1 - nonInferior(incumbent, reference, tolerance)
            if chance >= settings.betterProbability {
                return "Its quality \(quality.text) is more than \(tolerance.fixed(3)) below the baseline's "
                    + "\(reference.text) with \(chance.percent)."
            }
        }
        return nil
    }
}

extension Estimate {
    /// With three decimals and the 95 % interval, for quality.
    var text: String {
        let bounds = interval(z: Self.z975)
        return "\(mean.fixed(3)) (\(max(0, bounds.lower).fixed(3)) to \(min(1, bounds.upper).fixed(3)))"
    }
    /// US dollars with the 95 % interval, for cost per 1,000 requests.
    var costText: String {
        let bounds = interval(z: Self.z975)
        return "\(mean.dollars) (\(bounds.lower.dollars) to \(bounds.upper.dollars))"
    }
}

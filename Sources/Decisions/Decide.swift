import Analysis
import Core
import Policy

/// Decides what to do about one route: nothing, or one change with its forecast.
///
/// Pure and deterministic: the same input gives the same outcome, rationale included. Candidates come from the model
/// selection strategy; hard constraints, then quality within its tolerance of the pinned baseline, then cost, then
/// latency pick one of them; cooldowns and the oscillation guard may hold it back.
package func decide(_ input: DecisionInput) -> DecisionOutcome {
    guard let incumbent = input.stable.targets.first else {
        return DecisionOutcome(
            action: .none, code: "no_better", rationale: "The policy in force has no target to change.",
            alternatives: [])
    }
    return Coordinator(input, incumbent: incumbent).decide()
}

struct Coordinator {
    let input: DecisionInput
    let judge: Judge
    let judgements: [Judgement]

    init(_ input: DecisionInput, incumbent: Target) {
        self.input = input
        let statistics = Dictionary(input.statistics.map { ($0.modelKey, $0) }, uniquingKeysWith: { first, _ in first })
        func evidence(_ target: Target) -> ModelEvidence {
            ModelEvidence(
                target: target,
                statistics: statistics[target.modelKey]
                    ?? TargetStatistics(route: input.route.name.description, modelKey: target.modelKey))
        }
        let candidates = ModelSelection.targets(input, incumbent: incumbent).map(evidence)
        let judge = Judge(
            input: input, incumbent: evidence(incumbent),
            baseline: evidence(input.baseline?.targets.first ?? incumbent),
            comparisons: max(1, candidates.count { $0.answers >= input.settings.minAnswers }))
        self.judge = judge
        judgements = candidates.map(judge.judge)
    }

    func decide() -> DecisionOutcome {
        var judgements = judgements
        var held: Cooldown?
        for index in judgements.indices where judgements[index].verdict == .chosen {
            let wait = input.cooldown(ofModel: judgements[index].evidence.modelKey)
            guard let wait else { continue }
            judgements[index].verdict = .cooldown
            judgements[index].reason += " But \(wait.reason)."
            held = held ?? wait
        }
        var chosen = best(judgements)
        let route = input.routeCooldown
        if let best = chosen, let route {
            for index in judgements.indices where judgements[index].verdict == .chosen {
                judgements[index].verdict = .cooldown
            }
            judgements[best].reason += " But \(route.reason)."
            held = route
            chosen = nil
        }
        for index in judgements.indices where judgements[index].verdict == .chosen && index != chosen {
            judgements[index].verdict = .worseRank
        }
        let alternatives = alternatives(judgements)
        guard let chosen else {
            let code = code(judgements, held: held)
            return DecisionOutcome(
                action: .none, code: code, rationale: rationale(stayingFor: code, judgements),
                alternatives: alternatives)
        }
        return DecisionOutcome(
            action: .change(candidate(judgements[chosen].evidence)), code: "better",
            rationale: rationale(choosing: judgements[chosen], judgements), alternatives: alternatives)
    }

    /// The index of the best that may be chosen: cost first and latency second, each within its slack, then quality;
    /// where cost is not sought, quality first. Ranked by the worse bound of each estimate.
    private func best(_ judgements: [Judgement]) -> Int? {
        let open = judgements.indices.filter { judgements[$0].verdict == .chosen }
        let points = open.map { index in
            let model = judgements[index].evidence
            let cost = model.cost?.interval(z: Estimate.z95).upper ?? .infinity
            let loss = 1 - (model.quality?.interval(z: Estimate.z95).lower ?? 0)
            let latency = model.statistics.latencyP95Ms ?? .infinity
            return judge.objective.cost.minimize ? [cost, latency, loss] : [loss, cost, latency]
        }
        let settings = judge.settings
        let slack =
            judge.objective.cost.minimize
            ? [settings.minCostGain, settings.latencySlack, 0] : [0, settings.minCostGain, settings.latencySlack]
        return Pareto.lexicographic(points, slack: slack).first.map { open[$0] }
    }

    private func code(_ judgements: [Judgement], held: Cooldown?) -> String {
        if let held { return held.cause.rawValue }
        let verdicts = Set(judgements.map(\.verdict))
        if judge.incumbent.cost == nil, judge.incumbent.statistics.requests > 0, verdicts.contains(.notBetter) {
            return "unknown_price"
        }
        if !verdicts.isEmpty, verdicts.isSubset(of: [.noEvidence, .unknownPrice]) {
            return verdicts.contains(.noEvidence) ? "no_evidence" : "unknown_price"
        }
        return "no_better"
    }

    private func candidate(_ model: ModelEvidence) -> Candidate {
        Candidate(
            strategy: ModelSelection.name, modelKey: model.modelKey,
            edits: ModelSelection.edits(input.stable, incumbent: judge.incumbent.target, to: model.target),
            forecast: model.forecast)
    }

    /// The incumbent first, then every candidate by model key.
    private func alternatives(_ judgements: [Judgement]) -> [Alternative] {
        let models = [judge.incumbent] + judgements.map(\.evidence)
        let onFront = models.map { model in
            model.quality != nil && model.cost != nil && !models.contains { $0.confidentlyDominates(model) }
        }
        let incumbent = Alternative(
            candidate: Candidate(
                strategy: "incumbent", modelKey: judge.incumbent.modelKey, edits: [],
                forecast: judge.incumbent.forecast),
            onFront: onFront[0], verdict: .incumbent, reason: judge.incumbentFault ?? "It serves now.",
            probabilities: [:])
        return [incumbent]
            + zip(judgements, onFront.dropFirst()).map { judged, onFront in
                let dominated = judged.verdict == .notBetter && !onFront
                return Alternative(
                    candidate: candidate(judged.evidence), onFront: onFront,
                    verdict: dominated ? .dominated : judged.verdict, reason: judged.reason,
                    probabilities: judged.probabilities)
            }
    }
}

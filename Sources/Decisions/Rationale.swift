import Analysis
import Policy

/// What a person reads of a decision: two to five sentences with the numbers behind it.
extension Coordinator {
    func rationale(choosing chosen: Judgement, _ all: [Judgement]) -> String {
        let model = chosen.evidence, incumbent = judge.incumbent
        var sentences = ["Move from \(incumbent.modelKey) to \(model.modelKey): \(chosen.reason.lowercasedFirst)"]
        if let new = model.cost, let old = incumbent.cost {
            sentences.append("1,000 requests are expected to cost \(new.costText) instead of \(old.costText).")
        }
        sentences.append(qualitySentence(chosen))
        if let rejected = rejected(all, except: model.modelKey) { sentences.append(rejected) }
        sentences.append(
            "The rollout starts with a small share and goes back by itself if a guardrail shows harm.")
        return sentences.joined(separator: " ")
    }

    func rationale(stayingFor code: String, _ all: [Judgement]) -> String {
        let incumbent = judge.incumbent
        var sentences = ["Stay on \(incumbent.modelKey)" + known(incumbent) + "."]
        switch code {
        case "no_evidence":
            sentences.append(evidenceRemedy(all))
        case "unknown_price":
            sentences.append("What models cost is not known well enough to compare them.")
            sentences.append("Add the missing prices, or let the providers report token usage.")
        case "cooldown", "oscillation":
            if let waiting = all.first(where: { $0.verdict == .cooldown && $0.reason.contains(" But ") }) {
                sentences.append("\(waiting.evidence.modelKey) looks better: \(waiting.reason.lowercasedFirst)")
            }
        default:
            sentences.append(
                all.isEmpty
                    ? "The route may use no other model: add targets to its 'allowed' list to have a choice."
                    : "No other allowed model is known to be better.")
            if let fault = judge.incumbentFault {
                sentences.append("The incumbent has a fault: \(fault.lowercasedFirst)")
            }
        }
        if let rejected = rejected(all, except: nil), code != "no_evidence" { sentences.append(rejected) }
        return sentences.joined(separator: " ")
    }

    private func qualitySentence(_ chosen: Judgement) -> String {
        let quality = chosen.evidence.quality?.text ?? "unknown", answers = chosen.evidence.answers
        if let chance = chosen.probabilities["non_inferior_quality"], let tolerance = judge.tolerance,
            let reference = judge.baseline.quality
        {
            return
                "Its quality over \(answers) answers is \(quality), against \(reference.text) of the pinned baseline "
                + "\(judge.baseline.modelKey): within the tolerance of \(tolerance.fixed(3)) with \(chance.percent)."
        }
        let chance = chosen.probabilities["quality_above_floor"] ?? 0, floor = judge.objective.quality.floor ?? 0
        return "Its quality over \(answers) answers is \(quality): above the floor of \(floor.fixed(3)) with "
            + "\(chance.percent)."
    }

    private func known(_ model: ModelEvidence) -> String {
        let parts = [
            model.cost.map { "\($0.costText) per 1,000 requests" }, model.quality.map { "quality \($0.text)" },
        ].compactMap { $0 }
        return parts.isEmpty ? "" : ", at " + parts.joined(separator: " and ")
    }

    /// The three that came nearest, with why not, and how many more there are.
    private func rejected(_ all: [Judgement], except chosen: String?) -> String? {
        let order: [Alternative.Verdict] = [
            .worseRank, .notBetter, .inferior, .infeasible, .cooldown, .noEvidence, .unknownPrice,
        ]
        let others = all.filter { $0.evidence.modelKey != chosen && $0.verdict != .cooldown }.sorted {
            let (a, b) = (order.firstIndex(of: $0.verdict) ?? 0, order.firstIndex(of: $1.verdict) ?? 0)
            return (a, $0.evidence.modelKey) < (b, $1.evidence.modelKey)
        }
        guard !others.isEmpty else { return nil }
        let named = others.prefix(3).map { "\($0.evidence.modelKey) (\($0.short))" }.joined(separator: "; ")
        return "Not chosen: \(named)" + (others.count > 3 ? "; and \(others.count - 3) more." : ".")
    }

    private func evidenceRemedy(_ all: [Judgement]) -> String {
        let needed = judge.settings.minAnswers
        let most = all.filter { $0.verdict == .noEvidence }.map(\.evidence.answers).max() ?? 0
        var remedies: [String] = []
        if input.route.exploration.share == 0 {
            remedies.append("turn on the route's exploration.share, so that other models get some of the traffic")
        }
        if most == 0 || judge.incumbent.answers < needed {
            remedies.append("send feedback named 'quality' for its answers to /v1/feedback")
        }
        if judge.tolerance != nil, judge.baseline.answers < needed, input.route.holdout == 0 {
            remedies.append("keep a holdout, so that the pinned baseline stays measured")
        }
        if remedies.isEmpty { remedies.append("wait for more feedback") }
        return
            "No other model can be compared yet: \(needed) answers with quality feedback are needed of each, and the "
            + "incumbent has \(judge.incumbent.answers), the baseline \(judge.baseline.answers), the best known other "
            + "\(most). To change that, " + remedies.joined(separator: ", and ") + "."
    }
}

extension Judgement {
    /// A few words for a list.
    fileprivate var short: String {
        func percent(_ name: String) -> String { (probabilities[name] ?? 0).percent }
        switch verdict {
        case .worseRank: return "better than the incumbent too, but ranked lower"
        case .inferior:
            return "quality \(evidence.quality?.mean.fixed(3) ?? "unknown"), good enough with only "
                + percent("non_inferior_quality")
        case .noEvidence: return "\(evidence.answers) answers with feedback"
        case .unknownPrice: return "price or cost unknown"
        case .infeasible: return "breaks a limit"
        default: return "cheaper with \(percent("cheaper")), better with \(percent("better_quality"))"
        }
    }
}

extension String {
    fileprivate var lowercasedFirst: String { prefix(1).lowercased() + dropFirst() }
}

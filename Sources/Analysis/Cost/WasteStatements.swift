import Foundation
import Statistics

extension CostMoment {
    /// A sure saving above this share of the spend is worth a warning.
    private static let grave = 0.2
    /// Share of a key's requests that are without stream, session and user when it is a job's.
    private static let unattended = 0.98

    /// What is told of a saving: from its certain part on. All amounts are dollars a day.
    func waste(
        _ code: String, _ subject: Subject, _ saving: Interval, of spend: Double, _ statement: String,
        _ evidence: [String: Double], confidence: Double = 0.99, action: String
    ) -> Observation? {
        guard saving.lower >= threshold(.wasteDay), saving.lower >= threshold(.wasteShare) * spend, spend > 0 else {
            return nil
        }
        let all = ["usd_per_day": spend, "saving_usd_per_day": saving.estimate]
        return observation(
            code, subject, statement, saving.lower > Self.grave * spend ? .warning : .info, confidence, saving,
            over: SpendHistory.dayMs, all.merging(evidence) { $1 }, action: action)
    }

    /// What one model's answers cost without being of use.
    func waste(_ name: String, _ model: ModelCost) -> [Observation] {
        guard let (sums, days) = model.lastDay(now: now), let mean = sums.mean, sums.requests >= 200 else { return [] }
        let spend = sums.cost / days / 1e6, requests = sums.requests
        /// Dollars a day for so many requests at so many micro-dollars each: the share's interval times the cost's bounds.
        func saving(_ events: Double, low: Double, estimate: Double, high: Double) -> Interval {
            let proportion = Proportion(events: Int64(events), trials: Int64(requests))
            let share = proportion.wilson(), scale = requests / days / 1e6
            return Interval(
                estimate: (proportion.rate ?? 0) * scale * estimate, lower: share.lowerBound * scale * low,
                upper: share.upperBound * scale * high)
        }
        let input = min(mean, inputCost(name, model, sums) ?? mean / 2)
        // An answer that was cut is as long as answers get, so its cost is the mean at least.
        let cut = saving(sums.truncated, low: mean, estimate: mean, high: 3 * mean)
        let left = saving(sums.abandoned, low: input, estimate: (input + mean) / 2, high: mean)
        let again = saving(sums.retried, low: 0, estimate: input, high: mean)
        return [
            waste(
                "cost.waste_truncated", .model(name), cut, of: spend,
                "\((sums.truncated / requests).percent) of the answers of \(name) were cut at their limit of length: "
                    + "they cost \(cut.estimate.dollars) a day.",
                ["truncated": sums.truncated, "requests": requests],
                action: "Raise max_tokens where answers must be whole, or ask for shorter ones."),
            waste(
                "cost.waste_abandoned", .model(name), left, of: spend,
                "Clients left \((sums.abandoned / requests).percent) of the requests to \(name) before the answer: they "
                    + "cost about \(left.estimate.dollars) a day.",
                ["abandoned": sums.abandoned, "requests": requests],
                action: "Answer sooner, stream, or stop the provider when the client leaves."),
            retries(name, again, sums, spend), longOutputs(name, model, sums, days, spend),
        ].compactMap { $0 }
    }

    /// Keys whose requests of the last whole day nobody seems to have waited for. That a program waits, no record says: the
    /// saving is between nothing and all of the discount.
    func batchable(_ keys: SpenderBook) -> [Observation] {
        keys.days.sorted { $0.key < $1.key }.compactMap { name, days in
            let day = days.sum(1, skipping: 1), saved = threshold(.batchDiscount) * day.dollars
            let unattended = Proportion(events: Int64(day.unattended), trials: Int64(day.requests))
            guard day.requests >= 200, unattended.wilson().lowerBound >= Self.unattended, saved > 0,
                saved >= threshold(.wasteDay)
            else { return nil }
            return observation(
                "cost.waste_batchable", Subject(.key, name),
                "Nobody seems to wait for the answers to \(name): hardly any is streamed, or of a session or a user. A "
                    + "batch interface would have saved up to \(saved.dollars) yesterday.",
                .info, 0.5, Interval(estimate: saved, lower: 0, upper: saved), over: 2 * SpendHistory.dayMs,
                [
                    "requests": day.requests, "unattended": day.unattended, "usd_per_day": day.dollars,
                    "saving_usd_per_day": saved,
                ], action: "Ask whose key it is whether the answers may come within a day.")
        }
    }

    /// Micro-dollars of a request's prompt; `nil` without a listed price.
    private func inputCost(_ name: String, _ model: ModelCost, _ sums: OutcomeSums) -> Double? {
        model.price.listed.map { $0.input * sums.input / max(1, sums.requests) }
    }

    /// Whether a failed attempt was charged nobody says: its saving is between nothing and a whole answer.
    private func retries(_ name: String, _ saving: Interval, _ sums: OutcomeSums, _ spend: Double) -> Observation? {
        guard spend > 0, saving.estimate >= threshold(.wasteDay), saving.estimate >= threshold(.wasteShare) * spend
        else { return nil }
        return observation(
            "cost.waste_retries", .model(name),
            "\((sums.retried / sums.requests).percent) of the requests that \(name) answered had been tried elsewhere "
                + "before: where prompts of failed attempts are charged, that is \(saving.estimate.dollars) a day.",
            .info, 0.5, saving, over: SpendHistory.dayMs,
            [
                "retried": sums.retried, "requests": sums.requests, "usd_per_day": spend,
                "saving_usd_per_day": saving.estimate,
            ], action: "Move a target that fails often behind one that does not.")
    }

    private func longOutputs(_ name: String, _ model: ModelCost, _ sums: OutcomeSums, _ days: Double, _ spend: Double)
        -> Observation?
    {
        guard let rates = model.price.listed, sums.overlong >= 10, sums.output > 0 else { return nil }
        let dollars = sums.excess * rates.output / days / 1e6
        // Their number is random, and with it the sum.
        let half = normalQuantile(0.975) * dollars / sums.overlong.squareRoot() * 1.4
        let saving = Interval(estimate: dollars, lower: max(0, dollars - half), upper: dollars + half)
        return waste(
            "cost.waste_long_outputs", .model(name), saving, of: spend,
            "Answers of \(name) beyond \(threshold(.longOutput).fixed(0)) times the median for prompts of their size "
                + "cost \(dollars.dollars) a day in what exceeds it.",
            ["overlong": sums.overlong, "excess_tokens": sums.excess, "output_tokens": sums.output],
            action: "Set max_tokens, or ask for shorter answers.")
    }
}

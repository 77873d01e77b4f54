import Foundation
import Statistics

extension CostMoment {
    /// A request of the model costs more than before, at the same prices.
    func rise(_ name: String, _ model: ModelCost) -> Observation? {
        guard model.rise.stands, let reference = model.reference else { return nil }
        let usage = model.usage(since: model.rise.onset, now: now)
        guard let found = Ratio(usage, reference) else { return nil }
        let rates = model.price.rates, count = max(1, usage.requests)
        let input = usage.input / count, output = usage.output / count
        let fromInput = (input - reference.input) * rates.input, fromOutput = (output - reference.output) * rates.output
        let cause = Self.cause(input: fromInput, output: fromOutput, of: found.mean - reference.mean)
        return observation(
            "cost.rise", .model(name),
            "1,000 requests to \(name) cost \((found.mean / 1e3).dollars), \((found.ratio - 1).percent) more than the "
                + "\((reference.mean / 1e3).dollars) before\(reference.isSeasonal ? " at this time of day" : "")\(cause).",
            found.ratio > 1.5 ? .critical : .warning, found.confidence, found.excess, over: ModelCost.hourMs,
            [
                "requests": usage.requests, "usd_per_1000": found.mean / 1e3,
                "usd_per_1000_before": reference.mean / 1e3, "requests_before": reference.requests,
                "input_tokens": input, "input_tokens_before": reference.input, "output_tokens": output,
                "output_tokens_before": reference.output, "from_input_usd_per_1000": fromInput / 1e3,
                "from_output_usd_per_1000": fromOutput / 1e3, "price_ratio": 1,
            ],
            action: "Look at what made the prompts or answers longer, or send these requests to a cheaper model.")
    }

    private static func cause(input: Double, output: Double, of difference: Double) -> String {
        if output > 0.6 * difference { return ", by longer answers" }
        if input > 0.6 * difference { return ", by longer prompts" }
        return ""
    }

    /// A request of the route costs more than before because dearer models answer more of them.
    func mixRise(_ rise: RiseDetector, _ reference: CostReference, _ models: [String: ModelCost]) -> Observation? {
        var total = UsageSums()
        let usages = models.mapValues { $0.usage(since: rise.onset, now: now) }
        for usage in usages.values { total.merge(usage) }
        guard total.priced > 0, let found = Ratio(total, reference) else { return nil }
        let before = models.values.reduce(0) { $0 + ($1.reference?.requests ?? 0) }
        guard before > 0 else { return nil }
        var mix = 0.0
        for (name, model) in models {
            guard let usage = usages[name] else { continue }
            let share = usage.priced / total.priced, shareBefore = (model.reference?.requests ?? 0) / before
            mix += (share - shareBefore) * (model.reference?.mean ?? usage.mean ?? 0)
        }
        let difference = found.mean - reference.mean
        guard difference > 0, mix > 0.5 * difference else { return nil }
        return observation(
            "cost.rise", .route,
            "1,000 requests of the route cost \((found.mean / 1e3).dollars), \((found.ratio - 1).percent) more than the "
                + "\((reference.mean / 1e3).dollars) before, because dearer models answer more of them.",
            found.ratio > 1.5 ? .critical : .warning, found.confidence, found.excess, over: ModelCost.hourMs,
            [
                "requests": total.requests, "usd_per_1000": found.mean / 1e3,
                "usd_per_1000_before": reference.mean / 1e3, "from_mix_usd_per_1000": mix / 1e3,
                "from_models_usd_per_1000": (difference - mix) / 1e3,
            ],
            action: "Check the routing policy and the fallbacks of the route.")
    }

    /// Too many answers whose cost nobody knows.
    func unknownCost(_ name: String, _ model: ModelCost) -> Observation? {
        let usage = model.usage(since: now - ModelCost.hourMs, now: now)
        let unknown = usage.unknown, answers = usage.priced + unknown
        guard answers >= 100 else { return nil }
        let proportion = Proportion(events: Int64(unknown), trials: Int64(answers)), interval = proportion.wilson()
        guard let share = proportion.rate,
            proportion.wilson(confidence: 0.9998).lowerBound > threshold(.unknownCost)
        else { return nil }
        let isListed = context.prices[name] != nil
        return observation(
            "cost.unknown_price", .model(name),
            "The cost of \(share.percent) of the answers of \(name) is not known, so that spend and savings are "
                + "understated.",
            .warning, 0.9999, Interval(estimate: share, lower: interval.lowerBound, upper: interval.upperBound),
            over: ModelCost.hourMs, ["answers": answers, "unknown_cost": unknown],
            action: isListed
                ? "Let the provider report usage: its price is listed." : "Add the price of \(name) to the list.")
    }

    /// An accepted answer costs more than before, which a request may not.
    ///
    /// Accepted is what is complete and, as far as feedback was given, as good as its mean quality, 0...1.
    func perAccepted(_ name: String, _ model: ModelCost) -> Observation? {
        let quarters = model.quarters.newest(model.quarters.capacity)
        // Whole days: the last four complete quarters, and those before.
        let complete = quarters.dropLast()
        var last = OutcomeSums(), before = OutcomeSums()
        for quarter in complete.suffix(4) { last.merge(quarter) }
        for quarter in complete.dropLast(4) { before.merge(quarter) }
        guard let new = Accepted(last), let old = Accepted(before), new.isScored == old.isScored else { return nil }
        let difference = log(new.cost / old.cost), error = (new.error * new.error + old.error * old.error).squareRoot()
        // A look at every quarter of a day: far enough out that years of them are quiet.
        guard difference - 4 * error > log1p(threshold(.acceptedCostRise)) else { return nil }
        let half = normalQuantile(0.975) * error
        let what = new.isScored ? "complete and, where scored, good" : "complete; none was scored"
        return observation(
            "cost.per_accepted", .model(name),
            "1,000 accepted answers of \(name) (\(what)) cost \((new.cost / 1e3).dollars), "
                + "\((exp(difference) - 1).percent) more than the \((old.cost / 1e3).dollars) before.",
            .warning, normalCDF((difference - log1p(threshold(.acceptedCostRise))) / error),
            Interval(
                estimate: exp(difference) - 1, lower: exp(difference - half) - 1, upper: exp(difference + half) - 1),
            over: SpendHistory.dayMs,
            [
                "usd_per_1000_accepted": new.cost / 1e3, "usd_per_1000_accepted_before": old.cost / 1e3,
                "accepted_share": new.share, "accepted_share_before": old.share, "requests": last.requests,
                "scored": Double(last.quality.n),
            ],
            action: "Find out why fewer answers are accepted, or why they cost more.")
    }
}

/// What a request costs now against the reference.
private struct Ratio {
    /// Micro-dollars a request.
    let mean: Double
    let ratio: Double
    let excess: Interval
    let confidence: Double

    init?(_ usage: UsageSums, _ reference: CostReference) {
        guard let mean = usage.mean, mean > reference.mean, reference.mean > 0 else { return nil }
        let own = (usage.moments.variance ?? reference.variance).squareRoot() / mean
        let error =
            (own * own / usage.priced + reference.variation * reference.variation / reference.requests
            + reference.between * reference.between).squareRoot()
        let half = normalQuantile(0.975) * error
        self.mean = mean
        ratio = mean / reference.mean
        excess = Interval(estimate: ratio - 1, lower: ratio * exp(-half) - 1, upper: ratio * exp(half) - 1)
        // The detector has its own proof; this is how sure the newest minutes alone are.
        confidence = max(0.99, normalCDF(log(ratio) / error))
    }
}

/// What an accepted answer costs.
private struct Accepted {
    /// Scored answers below which the share of good ones is not known.
    private static let fewestScored: Int64 = 50
    private static let fewestRequests = 500.0

    /// Micro-dollars.
    let cost: Double
    let share: Double
    /// Of the logarithm of `cost`.
    let error: Double
    let isScored: Bool

    init?(_ sums: OutcomeSums) {
        guard sums.priced >= Self.fewestRequests, let mean = sums.mean, mean > 0, sums.answers > 0,
            let costError = sums.costMoments.standardError
        else { return nil }
        let complete = sums.answers / sums.requests, quality = sums.quality
        isScored = quality.n >= Self.fewestScored
        let good = isScored ? quality.mean ?? 0 : 1
        guard good > 0 else { return nil }
        let goodError = isScored ? (quality.standardError ?? 0) / good : 0
        let completeError = ((1 - complete) / complete / sums.requests).squareRoot()
        share = complete * good
        cost = mean / share
        error =
            (costError * costError / (mean * mean) + goodError * goodError + completeError * completeError)
            .squareRoot()
    }
}

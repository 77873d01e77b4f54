import Foundation
import Statistics
import StreamProcessing

/// Cost that rose, cost that nobody knows, and a day's spend beyond its budget.
func cost(_ input: AnalysisInput, _ settings: AnalysisSettings) -> [Observation] {
    input.pairs.compactMap { rise($0.now, $0.before, settings) }
        + input.current.compactMap { unknownPrice($0, settings) }
        + [budget(input, settings)].compactMap { $0 }
}

private func rise(_ now: TargetStatistics, _ before: TargetStatistics, _ settings: AnalysisSettings) -> Observation? {
    guard now.cost.n >= settings.minRequests, before.cost.n >= settings.minRequests,
        let new = now.cost.mean, let old = before.cost.mean, new > 0, old > 0,
        let newError = now.cost.standardError, let oldError = before.cost.standardError
    else { return nil }
    // The logarithm of the ratio, by the delta method.
    let ratio = new / old
    let error = max(1e-9, ((newError / new) * (newError / new) + (oldError / old) * (oldError / old)).squareRoot())
    let confidence = normalCDF(log(ratio / (1 + settings.costRise)) / error)
    guard confidence >= settings.confidence else { return nil }
    let half = normalQuantile(0.975) * error
    let (dollars, dollarsBefore) = (new / 1e6, old / 1e6)
    return Observation(
        analyzer: .cost, code: "cost.rise", modelKey: now.modelKey,
        statement:
            "1,000 requests to \(now.modelKey) now cost \(dollars.dollars), \((ratio - 1).percent) more than the "
            + "\(dollarsBefore.dollars) before.",
        severity: ratio > 1.5 ? .critical : .warning, confidence: confidence,
        magnitude: Interval(estimate: ratio - 1, lower: ratio * exp(-half) - 1, upper: ratio * exp(half) - 1),
        evidence: [
            "requests": Double(now.cost.n), "usd_per_1000": dollars, "usd_per_1000_before": dollarsBefore,
        ],
        objective: .cost)
}

private func unknownPrice(_ now: TargetStatistics, _ settings: AnalysisSettings) -> Observation? {
    // A request that failed may have used nothing that could be priced.
    let answered = now.requests - now.failures, unknown = min(answered, now.unknownCost - now.failures)
    guard answered >= settings.minRequests else { return nil }
    let proportion = Proportion(events: unknown, trials: answered), interval = proportion.wilson()
    guard let share = proportion.rate, interval.lowerBound > settings.unknownCostShare else { return nil }
    return Observation(
        analyzer: .cost, code: "cost.unknown_price", modelKey: now.modelKey,
        statement:
            "The cost of \(share.percent) of the answers of \(now.modelKey) is not known, so it cannot be chosen: "
            + "add its price, or let the provider report usage.",
        severity: .warning, confidence: 0.975,
        magnitude: Interval(estimate: share, lower: interval.lowerBound, upper: interval.upperBound),
        evidence: ["answers": Double(answered), "unknown_cost": Double(unknown)], objective: .cost)
}

private func budget(_ input: AnalysisInput, _ settings: AnalysisSettings) -> Observation? {
    let span = input.window.end - input.window.start
    guard let budget = input.objective.budgetDayUSD, span >= settings.budgetSpanMs else { return nil }
    let day = 86_400_000 / Double(span) / 1e9
    let spend = input.current.reduce(0) { $0 + $1.cost.sum } * day
    // Requests arrive at random, so the variance of their summed cost is the sum of squares.
    let half = normalQuantile(0.975) * input.current.reduce(0) { $0 + $1.cost.sumOfSquares }.squareRoot() * day
    guard spend - half > budget else { return nil }
    return Observation(
        analyzer: .cost, code: "cost.budget", modelKey: nil,
        statement:
            "At the present rate the route spends \(spend.dollars) a day, above its budget of \(budget.dollars).",
        severity: spend - half > 1.5 * budget ? .critical : .warning, confidence: 0.975,
        magnitude: Interval(estimate: spend, lower: spend - half, upper: spend + half),
        evidence: ["usd_per_day": spend, "budget_usd_per_day": budget], objective: .cost)
}

import Foundation
import Statistics

extension CostMoment {
    /// Deviations that both the cost and the quality of a cheaper model must show: looked at for ever.
    private static let sure = 4.0
    private static let fewestScored: Int64 = 300
    private static let fewestOfSize = 200.0

    /// Models whose requests another one of the route would answer for less and no worse.
    func dearerModels(_ models: [String: ModelCost]) -> [Observation] {
        let known = models.filter { !$0.value.sizes.isEmpty }.sorted { $0.key < $1.key }
        return known.compactMap { dear in
            let better = known.compactMap { cheap in
                cheap.key == dear.key ? nil : comparison(dear.key, dear.value, cheap.key, cheap.value)
            }
            return better.max { $0.magnitude.lower < $1.magnitude.lower }
        }
    }

    private func comparison(_ dearName: String, _ dear: ModelCost, _ cheapName: String, _ cheap: ModelCost)
        -> Observation?
    {
        guard let quality = worse(dear, cheap), quality.upper <= threshold(.qualityMargin),
            let (sums, days) = dear.lastDay(now: now), let each = difference(dear, cheap), each.lower > 0
        else { return nil }
        let scale = sums.requests / days / 1e6, spend = sums.cost / days / 1e6
        let saving = Interval(
            estimate: each.estimate * scale, lower: each.lower * scale, upper: each.upper * scale)
        guard saving.lower >= threshold(.wasteDay), saving.lower >= threshold(.wasteShare) * spend else { return nil }
        return observation(
            "cost.dearer_model", .model(dearName),
            "On prompts of the same size \(cheapName) would answer the requests of \(dearName) for "
                + "\(saving.estimate.dollars) a day less, and its answers score no more than "
                + "\(threshold(.qualityMargin).fixed(2)) lower.",
            .info, 0.999, saving, over: 7 * SpendHistory.dayMs,
            [
                "usd_per_day": spend, "saving_usd_per_day": saving.estimate,
                "saving_usd_per_1000": each.estimate / 1e3, "quality_loss": quality.estimate,
                "quality_loss_upper": quality.upper,
            ], action: "Try \(cheapName) in a rollout: prompts may differ in more than their size.")
    }

    /// By how much the cheaper one's answers score lower, over the week.
    private func worse(_ dear: ModelCost, _ cheap: ModelCost) -> Interval? {
        let one = dear.quarters.sum(dear.quarters.capacity).quality
        let other = cheap.quarters.sum(cheap.quarters.capacity).quality
        guard one.n >= Self.fewestScored, other.n >= Self.fewestScored, let mean = one.mean, let otherMean = other.mean,
            let error = one.standardError, let otherError = other.standardError
        else { return nil }
        let half = Self.sure * (error * error + otherError * otherError).squareRoot()
        return Interval(estimate: mean - otherMean, lower: mean - otherMean - half, upper: mean - otherMean + half)
    }

    /// Micro-dollars that a request of the dearer one costs more, with its mix of sizes; `nil` unless the sizes that both
    /// have are most of it.
    private func difference(_ dear: ModelCost, _ cheap: ModelCost) -> Interval? {
        var total = 0.0, common = 0.0, sum = 0.0, variance = 0.0
        for (size, one) in dear.sizes {
            total += one.priced
            guard let other = cheap.sizes[size], min(one.priced, other.priced) >= Self.fewestOfSize,
                let mean = one.mean, let otherMean = other.mean, let error = one.costMoments.standardError,
                let otherError = other.costMoments.standardError
            else { continue }
            common += one.priced
            sum += one.priced * (mean - otherMean)
            variance += one.priced * one.priced * (error * error + otherError * otherError)
        }
        guard total > 0, common >= 0.8 * total else { return nil }
        let estimate = sum / common, half = Self.sure * variance.squareRoot() / common
        return Interval(estimate: estimate, lower: estimate - half, upper: estimate + half)
    }
}

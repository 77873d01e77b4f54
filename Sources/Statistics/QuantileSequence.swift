import Foundation

/// A confidence sequence for the quantile of any distribution, by ranks.
///
/// How many of t values lie at or below the true `p` quantile is binomial (for a continuous distribution); mixed over
/// Beta(p c, (1 − p) c) with c the concentration, its likelihood ratio is a martingale with mean 1 (Robbins, "Statistical
/// methods related to the law of the iterated logarithm", 1970; for quantiles Howard and Ramdas, 2022).
package struct QuantileSequence: Sendable, Equatable {
    /// The quantile, strictly between 0 and 1.
    package let p: Double
    /// Probability of ever missing, 0...1.
    package let alpha: Double
    /// Weight of the mixture in values: higher is tighter for many, wider for few.
    package let concentration: Double

    package init(p: Double, alpha: Double, concentration: Double = 10) {
        self.p = p
        self.alpha = alpha
        self.concentration = concentration
    }

    /// The numbers k of values at or below the quantile that `count` values do not rule out, 0...count.
    ///
    /// Sorted ascending and counted from 1, the quantile lies between value k_min (or −∞ if 0) and value k_max + 1 (or
    /// +∞ if k_max is `count`).
    package func ranks(count: Int64) -> ClosedRange<Int64> {
        guard count > 0 else { return 0...0 }
        // Convex in k and below its limit at the most likely k: each side has one crossing.
        let likely = min(count, Int64((Double(count) * p).rounded()))
        var low = (outside: Int64(-1), inside: likely)
        while low.inside - low.outside > 1 {
            let middle = (low.outside + low.inside) / 2
            if allows(middle, of: count) { low.inside = middle } else { low.outside = middle }
        }
        var high = (inside: likely, outside: count + 1)
        while high.outside - high.inside > 1 {
            let middle = (high.outside + high.inside) / 2
            if allows(middle, of: count) { high.inside = middle } else { high.outside = middle }
        }
        return low.inside...high.inside
    }

    private func allows(_ k: Int64, of count: Int64) -> Bool {
        let a = p * concentration, b = (1 - p) * concentration, k = Double(k), rest = Double(count) - k
        return logBeta(a + k, b + rest) - logBeta(a, b) - k * log(p) - rest * log1p(-p) < -log(alpha)
    }

    /// Where the quantile lies among values sorted ascending; a side that they leave open is infinite.
    package func interval(ofSorted values: [Double]) -> ClosedRange<Double> {
        let ranks = ranks(count: Int64(values.count))
        let low = ranks.lowerBound == 0 ? -.infinity : values[Int(ranks.lowerBound) - 1]
        return low...(ranks.upperBound == values.count ? .infinity : values[Int(ranks.upperBound)])
    }
}

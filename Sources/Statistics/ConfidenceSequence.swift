import Foundation

/// An asymptotic confidence sequence for a mean: an interval that holds at every look, tightest near `tunedFor`.
///
/// Source: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit theory", arXiv 2103.06476.
package struct AsymptoticConfidenceSequence: Sendable, Equatable {
    /// Probability of ever missing, 0...1.
    package let alpha: Double
    /// The number of observations at which it is tightest.
    package let tunedFor: Double

    package init(alpha: Double, tunedFor: Double = 5_000) {
        self.alpha = alpha
        self.tunedFor = tunedFor
    }

    private func rhoSquared(_ level: Double) -> Double {
        let x = -2 * log(level)
        return (x + log(x + 1)) / tunedFor
    }

    /// The half width on both sides of the mean of `n` observations with sample variance `variance`.
    package func halfWidth(n: Int64, variance: Double) -> Double {
        let n = Double(n), rho2 = rhoSquared(alpha)
        return (variance * 2 * (n * rho2 + 1) / (n * n * rho2) * log((n * rho2 + 1).squareRoot() / alpha)).squareRoot()
    }

    /// The distance from the mean to a bound on one side only.
    package func oneSidedHalfWidth(n: Int64, variance: Double) -> Double {
        let n = Double(n), rho2 = rhoSquared(2 * alpha)
        let odds = log1p((n * rho2 + 1).squareRoot() / (2 * alpha))
        return (variance * 2 * (n * rho2 + 1) / (n * n * rho2) * odds).squareRoot()
    }

    /// ln of the evidence that the mean is above zero; it reaches ln(1 / alpha) where `oneSidedHalfWidth` is the mean.
    ///
    /// Never below `leastLogE`: that a mean is lower is no evidence that it is higher, and nothing more.
    package func oneSidedLogE(n: Int64, mean: Double, variance: Double) -> Double {
        guard mean > 0, variance > 0 else { return mean > 0 ? -Self.leastLogE : Self.leastLogE }
        let n = Double(n), rho2 = rhoSquared(2 * alpha)
        let odds = n * n * rho2 * mean * mean / (2 * variance * (n * rho2 + 1))
        // ln(e^odds − 1), which does not overflow.
        let excess = odds > 30 ? odds : log(expm1(odds))
        return max(log(2) + excess - log(n * rho2 + 1) / 2, Self.leastLogE)
    }

    package static let leastLogE = -20.0

    /// ln of the e-value against "the mean is zero".
    package func logE(n: Int64, mean: Double, variance: Double) -> Double {
        let n = Double(n), rho2 = rhoSquared(alpha)
        return n * n * rho2 * mean * mean / (2 * variance * (n * rho2 + 1)) - log(n * rho2 + 1) / 2
    }
}

/// The difference of two arms' means, candidate minus control, by inverse propensity weighting around the running mean
/// of both, which keeps a drift that hits both arms out of the variance.
package struct CentredIPW: Sendable, Equatable {
    /// The pseudo-outcomes so far: their mean estimates the difference.
    package private(set) var differences = Moments()
    private var all = Moments()

    package init() {}

    /// Adds one observation and returns its pseudo-outcome.
    ///
    /// - Parameter candidateShare: probability with which this trial went to the candidate, strictly between 0 and 1.
    @discardableResult
    package mutating func add(_ value: Double, isCandidate: Bool, candidateShare r: Double) -> Double {
        let z = (value - (all.mean ?? 0)) * (isCandidate ? 1 / r : -1 / (1 - r))
        all.add(value)
        differences.add(z)
        return z
    }
}

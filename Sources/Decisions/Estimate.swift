package import Analysis
package import Statistics

/// A mean known with a normal error.
package struct Estimate: Sendable, Equatable {
    package var mean: Double
    package var standardError: Double

    package init(mean: Double, standardError: Double) {
        self.mean = mean
        self.standardError = standardError
    }

    /// `nil` below two values.
    package init?(_ moments: Moments) {
        guard let mean = moments.mean, let error = moments.standardError else { return nil }
        self.init(mean: mean, standardError: error)
    }

    /// The mean of scores in 0...1. Its error counts one more score at each end, so that fifty scores of 1 are not
    /// taken for certainty (the rule of succession).
    package init?(scores: Moments) {
        guard let mean = scores.mean, scores.n > 1 else { return nil }
        var drawn = scores
        drawn.add(0)
        drawn.add(1)
        self.init(mean: mean, standardError: drawn.standardError ?? 0)
    }

    /// P(self ≤ other + margin), errors independent.
    package func probability(atMost other: Estimate, margin: Double = 0) -> Double {
        Estimate(mean: other.mean + margin - mean, standardError: combinedError(other)).probabilityAboveZero
    }

    /// P(self ≥ bound).
    package func probability(atLeast bound: Double) -> Double {
        Estimate(mean: mean - bound, standardError: standardError).probabilityAboveZero
    }

    private var probabilityAboveZero: Double {
        if standardError > 0 { return normalCDF(mean / standardError) }
        return mean > 0 ? 1 : mean < 0 ? 0 : 0.5
    }

    package func combinedError(_ other: Estimate) -> Double {
        (standardError * standardError + other.standardError * other.standardError).squareRoot()
    }

    /// The bounds `z` standard errors around the mean.
    package func interval(z: Double) -> Interval {
        Interval(estimate: mean, lower: mean - z * standardError, upper: mean + z * standardError)
    }

    /// One-sided 95 %: bounds of gains, and of confident dominance.
    package static let z95 = 1.6448536269514722
    /// Two-sided 95 %: intervals shown to people.
    package static let z975 = 1.959963984540054
}

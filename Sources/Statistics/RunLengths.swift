import Foundation

/// Bayesian online change points in the mean of normal values of known variance: the probability of each number of
/// values since the last change. For a report's "when", not for alarms.
///
/// Source: Adams and MacKay, "Bayesian online changepoint detection", 2007, with a constant hazard and a normal prior
/// of the mean. A value takes time in proportion to `longest`.
package struct RunLengths: Codable, Sendable, Equatable {
    /// Probability of a change before each value, 0...1.
    package let hazard: Double
    package let variance: Double
    /// Run lengths kept; the weight of longer ones is left out.
    package let longest: Int
    /// Of run length r, the prior's at 0: expected mean, in how many values' worth of knowledge, and probability.
    private var means: [Double]
    private var weights: [Double]
    package private(set) var probabilities: [Double]

    /// - Parameters:
    ///   - mean: of a new run, before its first value.
    ///   - weight: what that is worth, in values; > 0.
    package init(hazard: Double, mean: Double, weight: Double, variance: Double, longest: Int = 512) {
        self.hazard = hazard
        self.variance = variance
        self.longest = max(1, longest)
        means = [mean]
        weights = [weight]
        probabilities = [1]
    }

    package mutating func add(_ x: Double) {
        var grown: [Double] = []
        grown.reserveCapacity(probabilities.count + 1)
        for index in probabilities.indices {
            let spread = variance * (1 + 1 / weights[index])
            let density = exp(-(x - means[index]) * (x - means[index]) / (2 * spread)) / spread.squareRoot()
            grown.append(probabilities[index] * density)
        }
        let total = grown.reduce(0, +)
        // So unlikely under every run that it can be told from none: a change.
        guard total > 0, total.isFinite else { return startAnew() }
        probabilities = [hazard] + grown.map { $0 / total * (1 - hazard) }
        let prior = (means[0], weights[0])
        means = [prior.0] + zip(means, weights).map { ($0 * $1 + x) / ($1 + 1) }
        weights = [prior.1] + weights.map { $0 + 1 }
        if probabilities.count > longest {
            probabilities.removeLast()
            means.removeLast()
            weights.removeLast()
            let rest = probabilities.reduce(0, +)
            for index in probabilities.indices { probabilities[index] /= rest }
        }
    }

    private mutating func startAnew() {
        (means, weights, probabilities) = ([means[0]], [weights[0]], [1])
    }

    /// The most probable number of values since the last change.
    package var mostProbable: Int { probabilities.indices.max { probabilities[$0] < probabilities[$1] } ?? 0 }
}

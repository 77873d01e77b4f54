import Foundation

/// Count, sum and sum of squares: enough for a mean and its standard error, and mergeable exactly for integer values.
package struct Moments: Codable, Sendable, Equatable {
    package var n: Int64
    package var sum: Double
    package var sumOfSquares: Double

    package init(n: Int64 = 0, sum: Double = 0, sumOfSquares: Double = 0) {
        self.n = n
        self.sum = sum
        self.sumOfSquares = sumOfSquares
    }

    enum CodingKeys: String, CodingKey {
        case n, sum
        case sumOfSquares = "sum_of_squares"
    }

    package mutating func add(_ value: Double) {
        n += 1
        sum += value
        sumOfSquares += value * value
    }

    package mutating func merge(_ other: Moments) {
        n += other.n
        sum += other.sum
        sumOfSquares += other.sumOfSquares
    }

    /// `nil` without a value.
    package var mean: Double? { n > 0 ? sum / Double(n) : nil }

    /// Unbiased sample variance; `nil` below two values.
    package var variance: Double? {
        guard n > 1 else { return nil }
        let count = Double(n)
        return max(0, (sumOfSquares - sum * sum / count) / (count - 1))
    }

    /// Standard error of the mean; `nil` below two values.
    package var standardError: Double? { variance.map { ($0 / Double(n)).squareRoot() } }
}

extension Moments {
    /// The log-normal distribution with this mean and variance: mean and standard deviation of the logarithm; `nil`
    /// without a mean above 0 and two values.
    package var logNormal: (mean: Double, sigma: Double)? {
        guard let mean, mean > 0, let variance else { return nil }
        let sigma2 = log(1 + variance / (mean * mean))
        return (log(mean) - sigma2 / 2, sigma2.squareRoot())
    }

    /// Its quantile that lies `z` standard deviations of the logarithm above the median.
    package func logNormalQuantile(z: Double) -> Double? { logNormal.map { exp($0.mean + z * $0.sigma) } }
}

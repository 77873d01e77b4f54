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

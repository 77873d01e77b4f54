/// Cumulative sums of standardised values above and below what is expected: finds a small lasting shift soonest.
///
/// Source: Page, "Continuous inspection schemes", Biometrika 1954, in its two-sided tabular form.
package struct CUSUM: Codable, Sendable, Equatable {
    /// Standard deviations that may be exceeded for ever: half of the shift worth finding.
    package let allowance: Double
    /// Of either sum, in standard deviations.
    package let limit: Double
    package private(set) var above = 0.0
    package private(set) var below = 0.0

    package init(allowance: Double = 0.5, limit: Double = 5) {
        self.allowance = allowance
        self.limit = limit
    }

    /// - Parameter z: the value less its mean, in standard deviations.
    package mutating func add(_ z: Double) {
        above = max(0, above + z - allowance)
        below = max(0, below - z - allowance)
    }

    package var isAlarm: Bool { max(above, below) > limit }
}

/// Page's test of an increase without a known mean: the running mean takes its place.
///
/// Source: Hinkley, "Inference about the change-point from cumulative sum tests", Biometrika 1971.
package struct PageHinkley: Codable, Sendable, Equatable {
    /// In the unit of the values, both: what a value may exceed the mean by for ever, and the sum that alarms.
    package let allowance: Double
    package let limit: Double
    private var count = 0.0
    private var mean = 0.0
    private var sum = 0.0
    private var lowest = 0.0

    package init(allowance: Double, limit: Double) {
        self.allowance = allowance
        self.limit = limit
    }

    package mutating func add(_ value: Double) {
        count += 1
        mean += (value - mean) / count
        sum += value - mean - allowance
        lowest = min(lowest, sum)
    }

    /// What the sum has risen since it was lowest.
    package var statistic: Double { sum - lowest }
    package var isAlarm: Bool { statistic > limit }
}

/// The exponentially weighted mean with its limits, which widen from the first value on to their final width.
///
/// Source: Roberts, "Control chart tests based on geometric moving averages", Technometrics 1959.
package struct EWMAChart: Codable, Sendable, Equatable {
    package let mean: Double
    package let deviation: Double
    /// Of the newest value, 0...1.
    package let weight: Double
    /// Standard deviations of the weighted mean.
    package let width: Double
    package private(set) var value: Double
    /// (1 - weight)^(2 n) after n values.
    private var remainder = 1.0

    package init(mean: Double, deviation: Double, weight: Double = 0.2, width: Double = 3) {
        self.mean = mean
        self.deviation = deviation
        self.weight = weight
        self.width = width
        value = mean
    }

    package mutating func add(_ x: Double) {
        value += weight * (x - value)
        remainder *= (1 - weight) * (1 - weight)
    }

    /// Half the width between the limits now, in the unit of the values; 0 before the first.
    package var limit: Double { width * deviation * (weight / (2 - weight) * (1 - remainder)).squareRoot() }
    package var isAlarm: Bool { abs(value - mean) > limit }
}

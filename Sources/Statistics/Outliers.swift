/// The generalised extreme Studentised deviate test: how many outliers, up to a largest number, are among the values.
///
/// Offline, for reports: it takes all values at once, and time in proportion to their number for each outlier looked
/// for. Source: Rosner, "Percentage points for a generalized ESD many-outlier procedure", Technometrics 1983.
package struct GeneralizedESD: Sendable, Equatable {
    package struct Step: Sendable, Equatable {
        /// Of the value farthest from the mean of those left.
        package var index: Int
        /// Its distance in standard deviations.
        package var deviate: Double
        /// What the deviate has to exceed.
        package var critical: Double
    }
    package let steps: [Step]

    /// - Parameters:
    ///   - most: outliers looked for; fewer where less than three values would be left.
    ///   - alpha: probability of any outlier among normal values, 0...1.
    package init(_ values: [Double], most: Int, alpha: Double = 0.05) {
        var left = Array(values.indices), steps: [Step] = []
        while steps.count < most, left.count > 2 {
            let n = Double(left.count)
            let mean = left.reduce(0) { $0 + values[$1] } / n
            let squares = left.reduce(0) { $0 + (values[$1] - mean) * (values[$1] - mean) }
            let farthest = left.indices.max { abs(values[left[$0]] - mean) < abs(values[left[$1]] - mean) }
            guard let farthest, squares > 0 else { break }
            let t = studentQuantile(1 - alpha / (2 * n), degrees: n - 2)
            steps.append(
                Step(
                    index: left[farthest],
                    deviate: abs(values[left[farthest]] - mean) / (squares / (n - 1)).squareRoot(),
                    critical: (n - 1) * t / ((n - 2 + t * t) * n).squareRoot()))
            left.remove(at: farthest)
        }
        self.steps = steps
    }

    /// Indices of the outliers, the farthest first: all up to the last step whose deviate exceeds its limit, so that two
    /// that hide each other are found.
    package var outliers: [Int] {
        steps.prefix((steps.lastIndex { $0.deviate > $0.critical } ?? -1) + 1).map(\.index)
    }
}

/// The median of the distances from the median, not scaled; `nil` of no values.
package func medianAbsoluteDeviation(_ values: [Double]) -> Double? {
    guard let median = quantile(0.5, ofSorted: values.sorted()) else { return nil }
    return quantile(0.5, ofSorted: values.map { abs($0 - median) }.sorted())
}

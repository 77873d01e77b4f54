import Foundation
import Statistics

/// What a month will have cost at its end.
///
/// Days are smoothed exponentially after their weekday's factor is taken out. With the smoothing weight `a` the sum of
/// the next n days has the variance s² Σ (1 + (n − j) a)², j = 1...n: the level moves on while it is forecast (Hyndman,
/// Koehler, Ord, Snyder, "Forecasting with Exponential Smoothing", 2008, chapter 6, lead-time demand). The weight is
/// chosen by the smallest error of one day ahead; a weekday's factor counts for as much as it stands out of the noise.
package struct MonthForecast: Sendable, Equatable {
    /// Complete days that are needed.
    package static let fewestDays = 4
    /// And those from which on weekdays are told apart.
    private static let weekdaysFrom = 14
    private static let weights = [0.05, 0.1, 0.2, 0.3]
    /// A heavier weight must be better by so much.
    private static let better = 0.98

    /// The month's total in the unit of the days.
    package let estimate: Double
    /// Standard deviation of the total, of which `degrees` are known.
    package let deviation: Double
    package let degrees: Double
    /// What is spent already: the total is no less.
    package let spent: Double
    /// What today will have cost at its end, with its standard deviation.
    package let today: Double
    package let todayDeviation: Double

    /// - Parameters:
    ///   - days: spend of complete days, the oldest first, the last one yesterday; `nil` for one that is not known.
    ///   - spent: in this month so far, today included.
    ///   - spentToday: so far.
    ///   - passed: share of today's spend that comes before now on other days, 0...1.
    ///   - daysLeft: of the month, after today.
    package init?(days: [Double?], spent: Double, spentToday: Double, passed: Double, daysLeft: Int) {
        let known = days.compactMap { $0 }
        guard known.count >= Self.fewestDays, daysLeft >= 0 else { return nil }
        let factors = Self.weekdayFactors(days)
        let smooth = days.indices.map { place in days[place].map { $0 / factors[place % 7] } }
        let fit = Self.fit(smooth)
        func expected(_ ahead: Int) -> Double { fit.level * factors[(days.count + ahead) % 7] }
        let left = 1 - min(max(passed, 0), 1)
        // The earlier in the day, the less it says of itself.
        today = spentToday + left * (spentToday + left * expected(0))
        todayDeviation = left * fit.deviation
        estimate = spent - spentToday + today + (1..<daysLeft + 1).reduce(0) { $0 + expected($1) }
        var squares = left * (1 + Double(daysLeft) * fit.weight) * left * (1 + Double(daysLeft) * fit.weight)
        for day in 0..<daysLeft {
            let factor = 1 + Double(day) * fit.weight
            squares += factor * factor
        }
        deviation = fit.deviation * squares.squareRoot()
        degrees = fit.degrees
        self.spent = spent
    }

    /// The central interval that holds the total with this probability.
    package func interval(_ probability: Double) -> Interval {
        let half = studentQuantile((1 + probability) / 2, degrees: degrees) * deviation
        return Interval(estimate: estimate, lower: max(spent, estimate - half), upper: estimate + half)
    }

    /// The probability that the month costs more than `amount`.
    package func probability(above amount: Double) -> Double {
        spent > amount ? 1 : Self.tail((amount - estimate) / max(deviation, .leastNormalMagnitude), degrees)
    }

    /// The probability that today costs more than `amount`, of which `spentToday` is spent.
    package func probabilityToday(above amount: Double, spentToday: Double) -> Double {
        spentToday > amount ? 1 : Self.tail((amount - today) / max(todayDeviation, .leastNormalMagnitude), degrees)
    }

    /// Of Student's t above `t`.
    private static func tail(_ t: Double, _ degrees: Double) -> Double {
        let half = regularizedBeta(degrees / (degrees + t * t), degrees / 2, 0.5) / 2
        return t > 0 ? half : 1 - half
    }

    /// The level with its weight and the deviation of one day ahead.
    private static func fit(_ days: [Double?]) -> (level: Double, weight: Double, deviation: Double, degrees: Double) {
        let known = days.compactMap { $0 }, skipped = known.count > 10 ? 7 : 0
        let start = known.prefix(7).reduce(0, +) / Double(min(7, known.count))
        var best = (level: start, weight: weights[0], squares: Double.infinity)
        for weight in weights {
            var level = start, squares = 0.0
            for (place, value) in known.enumerated() {
                let error = value - level
                if place >= skipped { squares += error * error }
                level += weight * error
            }
            if squares < best.squares * better { best = (level, weight, squares) }
        }
        let degrees = Double(max(1, known.count - skipped - 1))
        return (best.level, best.weight, (best.squares / degrees).squareRoot(), degrees)
    }

    /// By place modulo 7, with a mean of 1: each shrunk towards 1 by the share of its scatter that is noise.
    private static func weekdayFactors(_ days: [Double?]) -> [Double] {
        let known = days.enumerated().compactMap { place, value in value.map { (place % 7, $0) } }
        let mean = known.reduce(0) { $0 + $1.1 } / Double(max(1, known.count))
        var sums = [Double](repeating: 0, count: 7), counts = sums
        for (weekday, value) in known {
            sums[weekday] += value / mean
            counts[weekday] += 1
        }
        guard known.count >= weekdaysFrom, mean > 0, !counts.contains(0) else {
            return [Double](repeating: 1, count: 7)
        }
        let raw = zip(sums, counts).map { $0 / $1 }
        let within =
            known.reduce(0) { $0 + ($1.1 / mean - raw[$1.0]) * ($1.1 / mean - raw[$1.0]) }
            / Double(max(1, known.count - 7))
        let centre = raw.reduce(0, +) / 7
        let scatter = raw.reduce(0) { $0 + ($1 - centre) * ($1 - centre) } / 6
        let between = max(0, scatter - within * 7 / Double(known.count))
        guard between > 0 else { return [Double](repeating: 1, count: 7) }
        let shrunk = zip(raw, counts).map { 1 + ($0 - 1) * between / (between + within / $1) }
        let level = shrunk.reduce(0, +) / 7
        return shrunk.map { max(0.01, $0 / level) }
    }
}

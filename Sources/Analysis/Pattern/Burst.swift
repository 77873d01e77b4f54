import Core
import Statistics

/// How unsteady the requests of the last hour were by minute, beside other hours.
///
/// The index of dispersion is that of successive differences (von Neumann, "Distribution of the ratio of the mean square
/// successive difference to the variance", 1941) over the mean: 1 for a Poisson process, whatever its rate, and little
/// moved by a rate that rises or falls over the hour.
struct Burst: Codable, Sendable, Equatable {
    private static let minutes = 60
    /// Hours of past without which nothing is unusual.
    private static let fewestHours = 24.0
    /// Weight of an hour in the past, once that is long.
    private static let weight = 1.0 / 168
    /// Standard deviations of the logarithm of past hours.
    private static let unusual = 5.0
    private static let fewestRequests = 60.0

    private var counts: [Double] = []
    private var place = 0
    /// Mean and variance of the logarithm of the dispersion of past hours.
    private var hours = 0.0
    private var mean = 0.0
    private var variance = 0.0

    struct Found: Equatable {
        var dispersion: Interval
        var usual: Double
        /// Requests of the busiest minute, and of a minute on average.
        var peak: Double
        var average: Double
    }

    mutating func add(_ requests: Int64) {
        if counts.count < Self.minutes {
            counts.append(Double(requests))
        } else {
            counts[place] = Double(requests)
        }
        place = (place + 1) % Self.minutes
    }

    /// What is not known cannot be unsteady.
    mutating func forget() { (counts, place) = ([], 0) }

    /// Adds the last hour to the past.
    mutating func close() {
        guard let dispersion else { return }
        let value = logarithm(max(dispersion, 0.1))
        hours += 1
        let share = max(1 / hours, Self.weight), off = value - mean
        mean += share * off
        variance = (1 - share) * (variance + share * off * off)
    }

    private var dispersion: Double? {
        guard counts.count == Self.minutes else { return nil }
        let sum = counts.reduce(0, +)
        guard sum >= Self.fewestRequests else { return nil }
        var squares = 0.0
        for step in 1..<Self.minutes {
            let off = counts[(place + step) % Self.minutes] - counts[(place + step - 1) % Self.minutes]
            squares += off * off
        }
        return squares / Double(2 * (Self.minutes - 1)) * Double(Self.minutes) / sum
    }

    /// What the last hour was, where it was unusual by `factor`.
    func found(factor: Double) -> Found? {
        guard hours >= Self.fewestHours, let dispersion, let peak = counts.max() else { return nil }
        let usual = max(1, exponential(mean)), average = counts.reduce(0, +) / Double(Self.minutes)
        // Where the past is all alike, an hour still varies by chance: 40 degrees of freedom, about.
        let deviation = max(variance.squareRoot(), 0.25)
        guard dispersion >= factor * usual, logarithm(dispersion) - mean >= Self.unusual * deviation,
            peak >= 2 * average
        else { return nil }
        let half = exponential(normalQuantile(0.975) * 0.25)
        return Found(
            dispersion: Interval(estimate: dispersion, lower: dispersion / half, upper: dispersion * half),
            usual: usual, peak: peak, average: average)
    }
}

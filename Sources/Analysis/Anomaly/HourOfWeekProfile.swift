import Foundation

/// What a series is used to in each hour of the week (UTC), and how far outside of that it is.
struct HourOfWeekProfile: Codable, Sendable, Equatable {
    private static let hours = 168
    private static let hourMs: Int64 = 3_600_000
    /// Weeks that an hour's mean looks back on, about.
    private static let memory: UInt8 = 4

    private var means = PackedFloats([Float](repeating: 0, count: hours))
    /// Weeks in each mean, at most `memory`.
    private var weeks = Data(repeating: 0, count: hours)
    private var hour = 0
    private var sum = 0.0
    private var count = 0.0
    /// Hours compared so far, up to a day: before that the record is one of a quiet hour.
    private var compared = 0
    private var record = DecayedRecord()

    /// - Parameters:
    ///   - value: goes into the mean of its hour.
    ///   - smoothed: what is compared, so that single points do not count.
    ///   - learns: whether the value is one to get used to.
    /// - Returns: the distance of `smoothed` from the means of this hour and its neighbours as a share of the greatest so
    ///   far; 0 between them, before they have been seen once, and on the first day of comparing.
    mutating func add(_ value: Double, smoothed: Double, at ms: Int64, learns: Bool = true) -> Double {
        let now = Self.hour(of: ms)
        if now != hour {
            close()
            hour = now
        }
        if learns {
            sum += value
            count += 1
        }
        guard let usual = range(around: now) else { return 0 }
        let outside = max(smoothed - usual.upperBound, usual.lowerBound - smoothed)
        // Less than a millionth, or than the least number of the profile, is rounding.
        let ratio = record.ratio(outside > max(1e-6 * abs(smoothed), 1e-37) ? outside : 0)
        return compared < 24 ? 0 : ratio
    }

    /// Between which values the means of this hour and its neighbours lie; of the day before, while there is no week.
    func usual(at ms: Int64) -> ClosedRange<Double>? {
        let now = Self.hour(of: ms)
        for days in 0..<7 {
            if let range = range(around: (now + Self.hours - 24 * days) % Self.hours) { return range }
        }
        return nil
    }

    /// Of the hour of `ms` alone, in the weeks before.
    func mean(at ms: Int64) -> Double? {
        let now = Self.hour(of: ms)
        return weeks[now] > 0 ? Double(means.values[now]) : nil
    }

    static func hour(of ms: Int64) -> Int { Int((ms / hourMs) % Int64(hours) + Int64(hours)) % hours }

    private func range(around hour: Int) -> ClosedRange<Double>? {
        var low = Float.infinity, high = -Float.infinity
        for neighbour in hour + Self.hours - 1...hour + Self.hours + 1 {
            let index = neighbour % Self.hours
            guard weeks[index] > 0 else { return nil }
            low = min(low, means.values[index])
            high = max(high, means.values[index])
        }
        return Double(low)...Double(high)
    }

    private mutating func close() {
        if count > 0 {
            if weeks[hour] > 0 { compared = min(compared + 1, 24) }
            weeks[hour] = min(weeks[hour] + 1, Self.memory)
            let mean = Double(means.values[hour])
            means.values[hour] = Float(bounded: mean + (sum / count - mean) / Double(weeks[hour]))
        }
        (sum, count) = (0, 0)
    }
}

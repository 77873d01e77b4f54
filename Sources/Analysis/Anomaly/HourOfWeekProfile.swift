/// What a series is used to in each hour of the week (UTC), and how far outside of that it is.
struct HourOfWeekProfile: Codable, Sendable, Equatable {
    private static let hours = 168
    private static let hourMs: Int64 = 3_600_000
    /// Weeks that an hour's mean looks back on, about.
    private static let memory: Int32 = 4

    private var means = [Double](repeating: 0, count: hours)
    private var weeks = [Int32](repeating: 0, count: hours)
    private var hour = 0
    private var sum = 0.0
    private var count = 0.0
    /// Hours compared so far, up to a day: before that the record is one of a quiet hour.
    private var compared = 0
    private var record = DecayedRecord()

    /// - Parameters:
    ///   - value: goes into the mean of its hour.
    ///   - smoothed: what is compared, so that single points do not count.
    /// - Returns: the distance of `smoothed` from the means of this hour and its neighbours as a share of the greatest so
    ///   far; 0 between them, before they have been seen once, and on the first day of comparing.
    mutating func add(_ value: Double, smoothed: Double, at ms: Int64) -> Double {
        let now = Int((ms / Self.hourMs) % Int64(Self.hours) + Int64(Self.hours)) % Self.hours
        if now != hour {
            close()
            hour = now
        }
        sum += value
        count += 1
        var low = Double.infinity, high = -Double.infinity
        for neighbour in [now + Self.hours - 1, now, now + 1] {
            let index = neighbour % Self.hours
            guard weeks[index] > 0 else { return 0 }
            low = min(low, means[index])
            high = max(high, means[index])
        }
        let outside = max(smoothed - high, low - smoothed)
        // Less than a millionth is rounding.
        let ratio = record.ratio(outside > 1e-6 * abs(smoothed) ? outside : 0)
        return compared < 24 ? 0 : ratio
    }

    private mutating func close() {
        if count > 0 {
            if weeks[hour] > 0 { compared = min(compared + 1, 24) }
            weeks[hour] = min(weeks[hour] + 1, Self.memory)
            means[hour] += (sum / count - means[hour]) / Double(weeks[hour])
        }
        (sum, count) = (0, 0)
    }
}

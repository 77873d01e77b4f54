import Statistics

/// The level and spread of a series as robust means, and the cumulative sums of what deviates from them.
struct RobustLevel: Codable, Sendable, Equatable {
    /// Points the level and the spread look back on.
    private static let memory = 500.0
    /// Standard deviations from which on a point moves them no further (Huber, 1964).
    private static let limit = 4.0
    /// Mean absolute deviation to standard deviation of normal values.
    private static let normal = 1.2533
    /// Of the sums, in standard deviations.
    private static let most = 400.0

    private var mean = 0.0
    private var spread = 0.0
    private var count = 0.0
    private var sums = CUSUM()
    private var record = DecayedRecord()

    /// The higher of the sums above and below as a share of the highest so far.
    mutating func add(_ value: Double) -> Double {
        if count == 0 { mean = value }
        let deviation = Self.normal * spread
        let apart = value - mean
        let z = deviation > 1e-9 * abs(mean) ? max(-Self.limit, min(Self.limit, apart / deviation)) : 0
        sums.add(z)
        let step =
            count > 30 && deviation > 0 ? max(-Self.limit * deviation, min(Self.limit * deviation, apart)) : apart
        count = min(count + 1, Self.memory)
        spread += (abs(step) - spread) / count
        mean += step / count
        return record.ratio(min(max(sums.above, sums.below), Self.most))
    }
}

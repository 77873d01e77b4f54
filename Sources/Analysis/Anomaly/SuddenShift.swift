/// How many standard deviations the newest points lie from where the series just was: the last one, or the last three
/// together.
///
/// For what has to be known within minutes: an outage, a latency five times as high. The place is a robust mean over
/// about thirty points, so that a daily course is followed; the spread one over a thousand.
struct SuddenShift: Codable, Sendable, Equatable {
    private static let memory = (mean: 30.0, spread: 1_000.0)
    /// Standard deviations from which on a point moves neither any further (Huber, 1964).
    private static let limit = 3.0
    /// Mean absolute deviation to standard deviation of normal values.
    private static let normal = 1.2533
    /// Of one point, in standard deviations; so that three together need more than one of them.
    private static let most = 30.0
    /// Points until the spread is known.
    static let warmUp = 60.0

    private var mean = 0.0
    private var spread = 0.0
    private var count = 0.0
    /// The two points before, in standard deviations.
    private var before = SIMD2<Double>(0, 0)

    /// Signed; `nil` during the warm-up, 0 for the first point after a gap, which only says where the series is now.
    mutating func add(_ value: Double, missing: Int = 0) -> Double? {
        if missing > 0 || count == 0 {
            mean = value
            before = SIMD2(0, 0)
        }
        let apart = value - mean
        let deviation = max(Self.normal * spread, 1e-6 * abs(mean))
        let z = deviation > 0 ? max(-Self.most, min(Self.most, apart / deviation)) : 0
        let bound = count > Self.warmUp / 2 ? Self.limit * deviation : .infinity
        let step = max(-bound, min(bound, apart))
        count += 1
        spread += (abs(step) - spread) / min(count, Self.memory.spread)
        mean += step / min(count, Self.memory.mean)
        guard count > Self.warmUp else { return nil }
        let together = (z + before[0] + before[1]) / 3.0.squareRoot()
        before = SIMD2(z, before[0])
        return abs(together) > abs(z) ? together : z
    }
}

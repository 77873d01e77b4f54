import Core
import Foundation

/// A series of minutes of a route with five requests a second, healthy and in one kind of trouble.
///
/// Drawn from the distributions of the aggregates: latencies are log-normal with a sigma of 0.8, costs with 1.2, 1 % of
/// the requests fail, arrivals are Poisson.
struct MinuteSeries: Sendable {
    var name: String
    /// The minute's value, healthy or not.
    var value: @Sendable (_ minute: Int, _ isFaulty: Bool, _ random: inout SplitMix64) -> Double

    private static let requests = 300.0
    /// Of the logarithm of a sample median: pi / 2 times the variance of a mean.
    private static let medianDeviation = 0.8 * (Double.pi / 2 / requests).squareRoot()
    /// Of the logarithm of a sample 95th percentile: from the density there, 0.1031 of a standard normal's.
    private static let tailDeviation = 0.8 * (0.95 * 0.05 / requests).squareRoot() / 0.1031
    /// Of the logarithm of a mean of log-normal costs, by the delta method.
    private static let costDeviation = ((exp(1.2 * 1.2) - 1) / requests).squareRoot()

    static let all = [
        MinuteSeries(name: "latency_p50_times_5") { _, isFaulty, random in
            log(isFaulty ? 5_000 : 1_000) + medianDeviation * random.normal()
        },
        MinuteSeries(name: "latency_p95_times_5") { _, isFaulty, random in
            log(isFaulty ? 20_000 : 4_000) + tailDeviation * random.normal()
        },
        MinuteSeries(name: "cost_times_2") { _, isFaulty, random in
            log(isFaulty ? 2 : 1) + costDeviation * random.normal()
        },
        MinuteSeries(name: "errors_1_to_5_percent") { _, isFaulty, random in
            poisson(requests * (isFaulty ? 0.05 : 0.01), &random) / requests
        },
        MinuteSeries(name: "outage") { _, isFaulty, random in
            isFaulty ? 1 : poisson(requests * 0.01, &random) / requests
        },
        MinuteSeries(name: "traffic_gone") { _, isFaulty, random in isFaulty ? 0 : poisson(requests, &random) },
        MinuteSeries(name: "daily_traffic_gone") { minute, isFaulty, random in
            let course = 1 + 0.5 * sin(2 * .pi * Double(minute % 1_440) / 1_440)
            return isFaulty ? 0 : poisson(requests * course, &random)
        },
    ]

    /// Knuth's way for a small mean, the normal approximation for a large one.
    private static func poisson(_ mean: Double, _ random: inout SplitMix64) -> Double {
        if mean > 60 { return max(0, (mean + mean.squareRoot() * random.normal()).rounded()) }
        let least = exp(-mean)
        var count = 0.0, product = random.unit()
        while product > least {
            count += 1
            product *= random.unit()
        }
        return count
    }
}

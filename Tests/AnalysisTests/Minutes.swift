import Analysis
import Core
import Foundation
import StreamProcessing
import Telemetry

/// Traffic of one model on one route, drawn minute by minute from a seed: Poisson counts with a daily rhythm, log-normal
/// times.
struct SimulatedTraffic {
    var model = "sim/a"
    var requestsPerSecond = 5.0
    /// By how much the rate swings over the day, 0..<1.
    var dailySwing = 0.6
    var failureShare = 0.01
    var error = ErrorClass.server
    var medianMs = 800.0
    var sigma = 0.8
    /// By how much the median swings over the day, highest where the rate is.
    var latencySwing = 0.0
    /// First tokens come after this share of the latency.
    var ttftShare = 0.2
    var outputTokens = 200.0
    var costNanoUSD = 1_000_000.0
    /// Mean of the service's own part, milliseconds.
    var overheadMs = 0.4
    var selection = AggregateSelection(
        measures: Measured.allCases, quantiles: [.latency, .ttft], errors: true, feedback: true)

    /// The minute number `number` since the epoch.
    func minute(_ number: Int64, using random: inout SplitMix64) -> RouteMinute {
        var minute = RouteMinute(Window(start: number * 60_000, end: (number + 1) * 60_000))
        if let model = modelMinute(number, using: &random) { minute.models = [model] }
        return minute
    }

    /// `nil` without a request.
    func modelMinute(_ number: Int64, using random: inout SplitMix64) -> ModelMinute? {
        let phase = 2 * Double.pi * Double(number % 1_440) / 1_440
        let requests = random.poisson(60 * requestsPerSecond * (1 - dailySwing * cos(phase)))
        guard requests > 0 else { return nil }
        var minute = ModelMinute(model), users = WindowAggregate(selection)
        let medianMs = medianMs * (1 - latencySwing * cos(phase))
        users.requests = requests
        for _ in 0..<requests {
            if failureShare > 0, random.unit() < failureShare {
                users.failures += 1
                users.errors[error, default: 0] += 1
                users.unknownCost += 1
                continue
            }
            let latency = medianMs * exp(sigma * random.normal()), ttft = latency * ttftShare
            users[.latency].add(latency, sketched: true)
            users[.ttft].add(ttft, sketched: true)
            users[.overhead].add(overheadMs * (0.5 + random.unit()), sketched: false)
            let length = 0.5 + random.unit()
            users[.outputTokens].add((outputTokens * length).rounded(), sketched: false)
            users[.cost].add((costNanoUSD * length).rounded(), sketched: false)
            users[.tokenTime].add((latency - ttft) / outputTokens, sketched: false)
        }
        minute.users = users
        return minute
    }
}

extension SplitMix64 {
    /// A Poisson variate: by counting for a small mean, from a normal one otherwise.
    mutating func poisson(_ mean: Double) -> Int64 {
        if mean > 30 { return max(0, Int64((mean + mean.squareRoot() * normal()).rounded())) }
        let limit = exp(-mean)
        var product = unit(), count: Int64 = 0
        while product > limit {
            product *= unit()
            count += 1
        }
        return count
    }
}

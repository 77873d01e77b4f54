import Foundation
import Statistics
import StreamProcessing

/// What is watched of each model, besides its failures: logarithms of one number a minute.
enum WatchedSeries: Int, Codable, CaseIterable, CodingKeyRepresentable {
    case latency, slowLatency, ttft, cost, tokens, speed

    /// Of the findings.
    var code: String {
        switch self {
        case .latency, .slowLatency: "anomaly.latency"
        case .ttft: "anomaly.ttft"
        case .cost: "anomaly.cost"
        case .tokens: "anomaly.tokens"
        case .speed: "anomaly.speed"
        }
    }

    /// As a sentence begins with it.
    var name: String {
        switch self {
        case .latency: "Median latency"
        case .slowLatency: "The 95th percentile of the latency"
        case .ttft: "Median time to first token"
        case .cost: "Cost per request"
        case .tokens: "Output tokens per request"
        case .speed: "Time per output token"
        }
    }

    /// Of the numbers in the evidence, as the end of their names.
    var unit: String {
        switch self {
        case .latency, .slowLatency, .ttft: "ms"
        case .cost: "usd"
        case .tokens: "tokens"
        case .speed: "ms_per_token"
        }
    }

    var objective: Finding.ObjectiveName { self == .cost || self == .tokens ? .cost : .latency }

    /// Whether a rise, or a fall, is a change for the worse; more or fewer tokens are neither.
    func isWorse(_ isRise: Bool) -> Bool {
        switch self {
        case .latency, .slowLatency, .ttft, .cost, .speed: isRise
        case .tokens: false
        }
    }

    /// Whether its course and hours of the week are watched too; the 95th percentile shares those of the median.
    var hasCourse: Bool { self != .slowLatency }

    /// A number as a person reads it.
    func text(_ value: Double) -> String {
        switch self {
        case .latency, .slowLatency, .ttft: value.milliseconds
        case .cost: value.dollars
        case .tokens: value.fixed(value < 10 ? 1 : 0) + " tokens"
        case .speed: value.fixed(1) + " ms"
        }
    }

    /// The logarithm of the number in the unit above, and the requests it is made from; `nil` without one.
    func value(of aggregate: borrowing WindowAggregate) -> (log: Double, requests: Double)? {
        switch self {
        case .latency: Self.logarithm(aggregate.latency.quantile(0.5), aggregate.latency.count)
        case .slowLatency: Self.logarithm(aggregate.latency.quantile(0.95), aggregate.latency.count)
        case .ttft: Self.logarithm(aggregate.ttft.quantile(0.5), aggregate.ttft.count)
        case .cost: Self.logarithm(aggregate.cost.mean.map { $0 / 1e9 }, aggregate.cost.n)
        case .tokens: Self.logarithm(aggregate.outputTokens)
        case .speed: Self.logarithm(aggregate[.tokenTime].moments)
        }
    }

    private static func logarithm(_ moments: Moments) -> (log: Double, requests: Double)? {
        logarithm(moments.mean, moments.n)
    }

    private static func logarithm(_ value: Double?, _ requests: Int64) -> (log: Double, requests: Double)? {
        guard let value, value > 0, value.isFinite, requests > 0 else { return nil }
        return (Foundation.log(value), Double(requests))
    }
}

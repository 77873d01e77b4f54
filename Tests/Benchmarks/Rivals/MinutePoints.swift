import Statistics

/// What one arm served within a minute.
struct ArmMinute: Sendable {
    private(set) var requests = 0
    private(set) var failures = 0
    private var latencies: [Double] = []
    private var cost = 0.0

    mutating func add(_ trial: RolloutTraffic.Trial) {
        requests += 1
        guard trial.failure == nil else {
            failures += 1
            return
        }
        latencies.append(trial.latencyMs)
        cost += trial.costNanoUSD
    }

    /// Empties it for the next minute and keeps its memory.
    mutating func clear() {
        (requests, failures, cost) = (0, 0, 0)
        latencies.removeAll(keepingCapacity: true)
    }

    /// The metric's value of this minute; `nil` where there is nothing to take it from.
    func value(of metric: MinuteMetric) -> Double? {
        switch metric {
        case .errorRate: requests > 0 ? Double(failures) / Double(requests) : nil
        case .latency(let q): quantile(q, ofSorted: latencies.sorted())
        case .meanCost: latencies.isEmpty ? nil : cost / Double(latencies.count)
        }
    }
}

/// A figure of one arm in one minute, as a monitoring system would hold it. Lower is better.
package enum MinuteMetric: Sendable, Equatable {
    /// Failures by requests, 0...1.
    case errorRate
    /// The quantile (0...1) of successful answers' latency, in milliseconds.
    case latency(Double)
    /// Of successful answers, in nano-USD.
    case meanCost
}

/// The minute that trials fall into, since the start.
func minute(of trial: RolloutTraffic.Trial) -> Int64 { trial.atMs / 60_000 }

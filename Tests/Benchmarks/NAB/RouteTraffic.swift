import Analysis
import Core
import Foundation
import Statistics
import StreamProcessing
import Telemetry

/// Minutes of a route with one model, five requests a second, healthy or in one kind of trouble.
struct RouteTraffic: Sendable {
    enum Fault: String, CaseIterable {
        case outage
        case latencyTimes5 = "latency_times_5"
        case costTimes2 = "cost_times_2"
        case errors1To5 = "errors_1_to_5_percent"
        case trafficGone = "traffic_gone"
        case telemetryGone = "telemetry_gone"

        /// Whether a finding is about it.
        func isShown(by code: String) -> Bool {
            switch self {
            case .outage, .errors1To5: code.contains("error")
            case .latencyTimes5: code.contains("latency") || code.contains("ttft")
            case .costTimes2: code.contains("cost")
            case .trafficGone: code == "anomaly.traffic_gone"
            case .telemetryGone: code == "anomaly.telemetry_gap"
            }
        }
    }

    static let model = "simulated/model"
    static let perMinute = 300.0
    private static let failures = 0.01

    /// Equally likely pairs of latency and time to first token, milliseconds.
    var times: [(latency: Double, ttft: Double)]
    /// Requests a minute that are to be expected, for each minute, over and over; `nil` where telemetry is missing.
    var course: [Double?]
    /// Variance of the requests of a minute as a multiple of a Poisson count's.
    var dispersion = 1.0

    /// Log-normal latencies with a sigma of 0.8 and a daily rhythm that swings by `swing`.
    static func simulated(swing: Double) -> RouteTraffic {
        RouteTraffic(
            times: table(sigma: 0.8).map { (1_000 * $0, 300 * $0) },
            course: (0..<1_440).map { perMinute * (1 + swing * sin(2 * .pi * Double($0) / 1_440)) })
    }

    /// Equally likely values of a log-normal distribution with the median 1.
    private static func table(sigma: Double) -> [Double] {
        (0..<4_096).map { exp(sigma * normalQuantile((Double($0) + 0.5) / 4_096)) }
    }

    private static let costs = table(sigma: 1.2).map { ($0 * 1e6).rounded() }
    private static let lengths = table(sigma: 0.7).map { ($0 * 200).rounded() }

    /// A twentieth of its minutes are empty.
    var isOnAndOff: Bool { course.count { ($0 ?? .infinity) < 1 } * 20 >= course.count }

    /// Requests that are to be expected in these minutes; `nil` where telemetry is missing in one.
    func expected(_ minutes: Range<Int>) -> Double? {
        var sum = 0.0
        for minute in minutes {
            guard let one = course[minute % course.count] else { return nil }
            sum += one
        }
        return sum
    }

    func minute(_ index: Int, _ fault: Fault?, _ random: inout SplitMix64) -> RouteMinute {
        let start = Int64(index) * 60_000
        var minute = RouteMinute(Window(start: start, end: start + 60_000))
        guard fault != .telemetryGone, let expected = course[index % course.count] else {
            minute.isGap = true
            return minute
        }
        let requests = fault == .trafficGone ? 0 : Int64(Variate.count(expected, dispersion, &random))
        guard requests > 0 else { return minute }
        var model = ModelMinute(Self.model)
        model.users = aggregate(requests, fault, &random)
        minute.models = [model]
        return minute
    }

    func aggregate(_ requests: Int64, _ fault: Fault?, _ random: inout SplitMix64) -> WindowAggregate {
        let share = fault == .outage ? 1 : fault == .errors1To5 ? 0.05 : Self.failures
        var all = WindowAggregate()
        all.requests = requests
        all.failures = (0..<requests).reduce(0) { sum, _ in sum + (random.unit() < share ? 1 : 0) }
        if all.failures > 0 { all.errors = [.server: all.failures] }
        let slower = fault == .latencyTimes5 ? 5.0 : 1, dearer = fault == .costTimes2 ? 2.0 : 1
        var latency = Measure(), ttft = Measure(), cost = Measure(), tokens = Measure(), tokenTime = Measure()
        for _ in 0..<requests - all.failures {
            let bits = random.next()
            let time = times[Int(((bits & 0xFFFF) * UInt64(times.count)) >> 16)]
            latency.add(slower * time.latency, sketched: true)
            ttft.add(slower * time.ttft, sketched: true)
            cost.add(dearer * Self.costs[Int(bits >> 16 & 4_095)], sketched: false)
            let length = Self.lengths[Int(bits >> 28 & 4_095)]
            tokens.add(length, sketched: false)
            if time.latency > time.ttft, length >= 2 {
                tokenTime.add(slower * (time.latency - time.ttft) / (length - 1), sketched: false)
            }
        }
        all[.latency] = latency
        all[.ttft] = ttft
        all[.cost] = cost
        all[.outputTokens] = tokens
        all[.tokenTime] = tokenTime
        return all
    }
}

enum Variate {
    /// A count with this mean and so many times the variance of a Poisson count, at least 1.
    static func count(_ mean: Double, _ dispersion: Double, _ random: inout SplitMix64) -> Double {
        max(0, (mean + (dispersion * mean).squareRoot() * random.normal()).rounded())
    }
}

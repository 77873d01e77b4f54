import Foundation
import Statistics
import StreamProcessing

/// The time of answers, and how long they were.
struct TimeSums: Summable {
    /// Milliseconds.
    var times = DDSketch()
    var outputTokens = Moments()

    mutating func merge(_ other: TimeSums) {
        times.merge(other.times)
        outputTokens.merge(other.outputTokens)
    }
}

/// Whether the latency, or the time to first token, of one model has risen above its own past.
///
/// If the quantile q is at most b, a share of at most 1 − q is slower than b, whatever the distribution: counting the
/// slower ones tests the quantile. The bound is the past's quantile and the rise that is allowed.
struct TimeWatch: Codable, Sendable, Equatable {
    private static let quantiles = [0.5, 0.95]

    /// Logarithms of the median, the p95, and the mean of output tokens.
    private var past = PastLevels(width: 3)
    private var hour = TimeSums()
    private var evidence = [RunningEvidence(), RunningEvidence()]
    private var recent = Recent<TimeSums>()
    private var patience = Patience()

    mutating func observe(_ sums: TimeSums, _ minute: Window, rise: Double, _ context: PerformanceContext) {
        guard sums.times.count > 0 else { return }
        hour.merge(sums)
        if let known = past.count {
            for (place, q) in Self.quantiles.enumerated() {
                let bound = exp(past.highest(place, hour: context.hour) + past.caution + log1p(rise))
                // The past's own quantile is known to within this share only.
                let doubt = 2 * (q * (1 - q) / known).squareRoot()
                let slower = sums.times.count(above: DDSketch.bucketBound(atOrAbove: bound))
                evidence[place].add(
                    Increment.share(slower, of: sums.times.count, null: min(1 - q + doubt, 0.95)), at: minute,
                    needed: context.needed)
                patience.note(evidence[place])
            }
        }
        recent.add(sums, at: minute, since: evidence.since)
    }

    mutating func endHour(_ number: Int64) {
        switch patience.endHour() {
        case .learn:
            if let median = hour.times.quantile(0.5), let p95 = hour.times.quantile(0.95), median > 0 {
                let tokens = hour.outputTokens.mean ?? 1
                past.add([log(median), log(p95), log(max(tokens, 1))], count: hour.times.count, hour: number)
            }
        case .skip: break
        case .startAnew: (past, evidence) = (PastLevels(width: 3), [RunningEvidence(), RunningEvidence()])
        }
        hour = TimeSums()
    }

    /// What is said of it in words and codes.
    struct Name {
        var words: String
        var code: String
        var rise: Threshold

        static let latency = Name(words: "latency", code: "performance.latency_rise", rise: .latencyRise)
        static let ttft = Name(words: "time to first token", code: "performance.ttft_rise", rise: .ttftRise)
    }

    func statement(_ name: Name, _ model: String, _ minute: Window, _ context: PerformanceContext) -> Observation? {
        guard let known = past.count, let place = evidence.indices.last(where: { evidence[$0].isStanding }) else {
            return nil
        }
        let seen = recent.sum, q = Self.quantiles[place], label = place == 0 ? "median" : "p95"
        let before = exp(past.highest(place, hour: context.hour))
        guard let now = seen.times.interval(ofQuantile: q), now.lower > 0 else { return nil }
        let ratio = now.ratio(to: before, widenedBy: (1 + Double(seen.times.count) / known).squareRoot())
        guard ratio.estimate >= 1 + context[name.rise] else { return nil }
        var numbers = context.throughput(seen.times.count, recent.window(minute))
        numbers["\(label)_ms"] = now.estimate
        numbers["\(label)_ms_before"] = before
        numbers["answers_before"] = known.rounded()
        var longer = ""
        if let tokens = seen.outputTokens.mean, tokens >= 1 {
            let usual = exp(past.highest(2, hour: context.hour))
            numbers["output_tokens_mean"] = tokens
            numbers["output_tokens_mean_before"] = usual
            if tokens > usual * (1 + context[name.rise]) {
                longer = "; its answers are \((tokens / usual).fixed(1)) times as long"
            }
        }
        return Observation(
            .performance, name.code, .model(model),
            "The \(label) \(name.words) of \(model) rose from \(before.milliseconds) to "
                + "\(now.estimate.milliseconds), \(ratio.estimate.fixed(1)) times as much\(longer).",
            severity: ratio.lower >= context[.criticalRise] ? .critical : .warning,
            confidence: context.alertness.confidence(evidence[place]), magnitude: ratio,
            window: recent.window(minute), evidence: numbers, objective: .latency,
            action: longer.isEmpty
                ? "Send requests to a faster model of the route, or ask the provider what has changed."
                : "See why the answers became longer: a limit on output tokens brings the time back.")
    }
}

extension Interval {
    /// As a multiple of `past`, with the logarithm's interval `factor` times as wide for what is not known of that.
    fileprivate func ratio(to past: Double, widenedBy factor: Double) -> Interval {
        let ratio = estimate / past
        return Interval(
            estimate: ratio, lower: ratio * exp(factor * log(lower / estimate)),
            upper: ratio * exp(factor * log(upper / estimate)))
    }
}

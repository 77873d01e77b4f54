import Foundation
import Statistics
import StreamProcessing

/// Whether the answers of one model come slower than they used to, by the mean time of an output token.
struct SpeedWatch: Codable, Sendable, Equatable {
    /// Answers that are looked at together, at least: the mean of fewer is not near enough to normal.
    private static let fewest: Int64 = 10

    private var past = PastLevels(width: 1)
    private var hour = Moments()
    /// Not yet looked at.
    private var waiting = Moments()
    private var evidence = RunningEvidence()
    private var recent = Recent<Moments>()
    private var patience = Patience()

    mutating func observe(_ times: Moments, _ minute: Window, _ context: PerformanceContext) {
        guard times.n > 0 else { return }
        hour.merge(times)
        waiting.merge(times)
        guard waiting.n >= Self.fewest else { return }
        if let known = past.count, let mean = waiting.mean, let error = waiting.standardError, mean > 0 {
            let null = usual(context) * exp(past.caution) / (1 - context[.speedDrop])
            // The past's mean is known as well as so many values know it.
            let spread = max(error * (1 + Double(waiting.n) / known).squareRoot(), 1e-9 * mean)
            evidence.add(Increment.mean(z: (mean - null) / spread), at: minute, needed: context.needed)
            patience.note(evidence)
        }
        recent.add(waiting, at: minute, since: evidence.since)
        waiting = Moments()
    }

    private func usual(_ context: PerformanceContext) -> Double { exp(past.highest(0, hour: context.hour)) }

    mutating func endHour(_ number: Int64) {
        switch patience.endHour() {
        case .learn: if let mean = hour.mean, mean > 0 { past.add([log(mean)], count: hour.n, hour: number) }
        case .skip: break
        case .startAnew: (past, evidence) = (PastLevels(width: 1), RunningEvidence())
        }
        hour = Moments()
    }

    func statement(_ model: String, _ minute: Window, _ context: PerformanceContext) -> Observation? {
        let seen = recent.sum
        guard evidence.isStanding, let known = past.count, let now = seen.meanInterval else { return nil }
        let before = usual(context), widening = (1 + Double(seen.n) / known).squareRoot() / before
        let ratio = now.estimate / before
        guard 1 / ratio <= 1 - context[.speedDrop] else { return nil }
        var numbers = context.throughput(seen.n, recent.window(minute))
        numbers["ms_per_output_token"] = now.estimate
        numbers["ms_per_output_token_before"] = before
        numbers["answers_before"] = known.rounded()
        return Observation(
            .performance, "performance.speed_drop", .model(model),
            "\(model) takes \(now.estimate.fixed(1)) ms for an output token where it took \(before.fixed(1)) ms: "
                + "\(ratio.fixed(1)) times as long.",
            severity: .warning, confidence: context.alertness.confidence(evidence),
            magnitude: Interval(
                estimate: ratio, lower: max(0, ratio - (now.estimate - now.lower) * widening),
                upper: ratio + (now.upper - now.estimate) * widening),
            window: recent.window(minute), evidence: numbers, objective: .latency,
            action: "Ask the provider what has changed, or send long answers to a faster model.")
    }
}

import Statistics
import StreamProcessing

/// Whether our own work takes too much of an answer's time.
struct OverheadWatch: Codable, Sendable, Equatable {
    private static let fewest: Int64 = 10

    private var evidence = RunningEvidence()
    private var waiting = Times()
    private var recent = Recent<Times>()

    private struct Times: Summable {
        /// Milliseconds, both.
        var overhead = Moments()
        var latency = Moments()

        mutating func merge(_ other: Times) {
            overhead.merge(other.overhead)
            latency.merge(other.latency)
        }
    }

    mutating func observe(_ models: [ModelMinute], _ minute: Window, _ context: PerformanceContext) {
        for model in models {
            waiting.overhead.merge(model.users[.overhead].moments)
            waiting.latency.merge(model.users[.latency].moments)
        }
        guard waiting.overhead.n >= Self.fewest, let mean = waiting.overhead.mean,
            let error = waiting.overhead.standardError
        else { return }
        let z = (mean - context[.overheadMs]) / max(error, 1e-9 * context[.overheadMs])
        evidence.add(Increment.mean(z: z), at: minute, needed: context.needed)
        recent.add(waiting, at: minute, since: evidence.since)
        waiting = Times()
    }

    func statement(_ minute: Window, _ context: PerformanceContext) -> Observation? {
        let seen = recent.sum
        guard evidence.isStanding, let interval = seen.overhead.meanInterval,
            interval.estimate > context[.overheadMs]
        else { return nil }
        var numbers = context.throughput(seen.overhead.n, recent.window(minute))
        numbers["overhead_mean_ms"] = interval.estimate
        numbers["overhead_limit_ms"] = context[.overheadMs]
        var ofAll = ""
        if let latency = seen.latency.mean, latency > 0 {
            numbers["latency_mean_ms"] = latency
            numbers["overhead_share"] = interval.estimate / latency
            ofAll = ", \((interval.estimate / latency).percent) of their latency"
        }
        return Observation(
            .performance, "performance.overhead", .route,
            "The service itself adds \(interval.estimate.fixed(1)) ms to answers on average\(ofAll), "
                + "above \(context[.overheadMs].fixed(1)) ms.",
            severity: .warning, confidence: context.alertness.confidence(evidence), magnitude: interval,
            window: recent.window(minute), evidence: numbers, objective: .latency,
            action: "Look at the gateway's own load: processor time, guard rules, and the store it waits for.")
    }
}

import Statistics
import StreamProcessing
import Telemetry

/// Whether too many requests are turned away for want of capacity: a model's by its provider, a route's by ourselves.
struct SaturationWatch: Codable, Sendable, Equatable {
    private static let ofProvider: [ErrorClass] = [.rateLimited, .overloaded, .quota]
    private static let ofOurs: [ErrorClass] = [.localLimit]

    private var evidence = RunningEvidence()
    private var recent = Recent<Counts>()
    private var classes: [ErrorClass: Int64] = [:]

    /// Takes in the errors of `requests`, those of the route's own limits for the route itself.
    mutating func observe(
        _ errors: [ErrorClass: Int64], of requests: Int64, isRoute: Bool, _ minute: Window,
        _ context: PerformanceContext
    ) {
        let turnedAway = isRoute ? Self.ofOurs : Self.ofProvider
        let counts = Counts(turnedAway.reduce(0) { $0 + (errors[$1] ?? 0) }, of: requests)
        evidence.add(
            Increment.share(counts.events, of: counts.trials, null: context[.saturation]), at: minute,
            needed: context.needed)
        let since = evidence.since
        recent.add(counts, at: minute, since: since)
        if (since ?? minute.start) == minute.start { classes = [:] }
        for error in turnedAway { if let count = errors[error] { classes[error, default: 0] += count } }
    }

    func statement(_ subject: Subject, _ minute: Window, _ context: PerformanceContext) -> Observation? {
        let seen = recent.sum
        guard evidence.isStanding, let share = seen.proportion.rate, share > context[.saturation] else { return nil }
        let isRoute = subject == .route, interval = seen.proportion.wilson()
        var numbers = context.throughput(seen.trials, recent.window(minute))
        numbers["turned_away_share"] = share
        for (error, count) in classes { numbers["errors_\(error.rawValue)"] = Double(count) }
        return Observation(
            .performance, "performance.saturation", subject,
            isRoute
                ? "The service's own limits turn away \(share.percent) of the route's requests."
                : "\(subject.name) turns away \(share.percent) of its requests for want of capacity.",
            severity: .warning, confidence: context.alertness.confidence(evidence),
            magnitude: Interval(estimate: share, lower: interval.lowerBound, upper: interval.upperBound),
            window: recent.window(minute), evidence: numbers, objective: .availability,
            action: isRoute
                ? "Raise the limits of concurrency or rate, or spread the requests over time."
                : "Spread the requests over more keys, models or time, or ask the provider for a higher limit.")
    }
}

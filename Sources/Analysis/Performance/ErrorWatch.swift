import Statistics
import StreamProcessing
import Telemetry

/// Whether the failures of one model have risen above their own past, or are above a limit.
struct ErrorWatch: Codable, Sendable, Equatable {
    private var past = PastShare()
    private var hour = Counts()
    private var rise = RunningEvidence()
    private var excess = RunningEvidence()
    private var recent = Recent<Counts>()
    /// Failures by class since something began.
    private var classes: [ErrorClass: Int64] = [:]
    private var patience = Patience()

    mutating func observe(_ aggregate: WindowAggregate, _ minute: Window, _ context: PerformanceContext) {
        let counts = Counts(aggregate.failures, of: aggregate.requests)
        hour.merge(counts)
        if let null = null {
            rise.add(
                Increment.share(counts.events, of: counts.trials, null: null), at: minute, needed: context.needed)
        }
        excess.add(
            Increment.share(counts.events, of: counts.trials, null: context[.errorLimit]), at: minute,
            needed: context.needed)
        patience.note(rise)
        let since = since
        recent.add(counts, at: minute, since: since)
        if (since ?? minute.start) == minute.start { classes = [:] }
        for (error, count) in aggregate.errors { classes[error, default: 0] += count }
    }

    /// What is no news: the highest that the past may have been, and what nobody minds.
    private var null: Double? { past.upper.map { max($0, 0.002) } }

    private var since: Int64? { [rise, excess].since }

    mutating func endHour() {
        switch patience.endHour() {
        case .learn: past.add(hour)
        case .skip: break
        case .startAnew: (past, rise) = (PastShare(), RunningEvidence())
        }
        hour = Counts()
    }

    func statement(_ model: String, _ minute: Window, _ context: PerformanceContext) -> Observation? {
        let seen = recent.sum
        guard rise.isStanding || excess.isStanding, let rate = seen.proportion.rate else { return nil }
        let interval = seen.proportion.wilson()
        var evidence = context.throughput(seen.trials, recent.window(minute))
        evidence["failures"] = Double(seen.events)
        evidence["failure_share"] = rate
        let largest = classes.filter { $0.value > 0 }.sorted {
            ($0.value, $1.key.rawValue) > ($1.value, $0.key.rawValue)
        }
        for (error, count) in largest.prefix(5) { evidence["errors_\(error.rawValue)"] = Double(count) }
        let mostly = largest.first.map { ", most often \($0.key.rawValue)" } ?? ""
        let confidence: Double, statement: String
        if let was = past.known, rise.isStanding, rate - was.rate >= context[.errorRise] {
            confidence = context.alertness.confidence(rise)
            evidence["failure_share_before"] = was.rate
            evidence["requests_before"] = was.trials.rounded()
            statement =
                "Failures of \(model) rose from \(was.rate.percent) to \(rate.percent) of its requests\(mostly)."
        } else if excess.isStanding, rate > context[.errorLimit] {
            confidence = context.alertness.confidence(excess)
            statement =
                "\(rate.percent) of the requests to \(model) fail, above \(context[.errorLimit].percent)\(mostly)."
        } else {
            return nil
        }
        evidence["critical_share"] = context[.criticalFailures]
        return Observation(
            .performance, "performance.errors", .model(model), statement,
            severity: interval.lowerBound > context[.criticalFailures] ? .critical : .warning, confidence: confidence,
            magnitude: Interval(estimate: rate, lower: interval.lowerBound, upper: interval.upperBound),
            window: recent.window(minute), evidence: evidence, objective: .availability,
            action: "Send the route's requests to another model until \(model) answers again.")
    }
}

/// When an hour may become part of the past: not while something is wrong, but what has been wrong for a day is how
/// things are now.
struct Patience: Codable, Sendable, Equatable {
    private static let mostHours = 24

    private var isDoubtful = false
    private var isStanding = false
    private var hours = 0

    enum Verdict { case learn, skip, startAnew }

    mutating func note(_ evidence: RunningEvidence) {
        if evidence.isSuspicious { isDoubtful = true }
        if evidence.isStanding { isStanding = true }
    }

    mutating func endHour() -> Verdict {
        defer { (isDoubtful, isStanding) = (false, false) }
        hours = isStanding ? hours + 1 : 0
        if hours >= Self.mostHours {
            hours = 0
            return .startAnew
        }
        return isDoubtful ? .skip : .learn
    }
}

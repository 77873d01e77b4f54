import EventLog
import Gateway
import Observability
import Synchronization
import Telemetry

/// Passes the gateway's events to the local log and counts them on the way.
///
/// It is called on the event loops for every request, so it counts into plain series under one short lock; labels are
/// put together when the metrics are scraped.
final class MeteredSink: RecordSink {
    private struct Key: Hashable {
        var route: String
        var arm: Arm
        var outcome: Outcome
    }

    private struct Failure: Hashable {
        var provider: String
        var error: ErrorClass
    }

    private struct Series {
        var count = 0.0
        var fallbacks = 0.0
        var duration = MetricHistogram(bounds: Metric.gatewayDuration.definition.bounds)
        var firstToken = MetricHistogram(bounds: Metric.gatewayFirstToken.definition.bounds)

        mutating func count(_ record: RequestRecord) {
            count += 1
            // No user waits for a copy.
            guard record.arm != .shadow else { return }
            duration.observe(record.totalMs / 1000)
            if let ttft = record.ttftMs { firstToken.observe(ttft / 1000) }
            if !record.attempts.isEmpty, record.outcome == .complete { fallbacks += 1 }
        }
    }

    private struct State {
        var series: [Key: Series] = [:]
        var failures: [Failure: Double] = [:]
        var overhead = MetricHistogram(bounds: Metric.gatewayOverhead.definition.bounds)
        var feedback = 0.0
    }

    /// Past so many, further routes are counted as one.
    private static let seriesLimit = 2_000

    private let log: LocalLog
    private let state = Mutex(State())

    init(log: LocalLog) { self.log = log }

    func append(_ event: LogEvent) {
        log.append(event)
        switch event {
        case .feedback: state.withLock { $0.feedback += 1 }
        case .request(let record): state.withLock { Self.count(record, in: &$0) }
        }
    }

    private static func count(_ record: RequestRecord, in state: inout State) {
        var key = Key(route: record.route, arm: record.arm, outcome: record.outcome)
        if state.series.count >= seriesLimit, state.series[key] == nil { key.route = "other" }
        state.series[key, default: Series()].count(record)
        if let overhead = record.overheadMs { state.overhead.observe(overhead / 1000) }
        if let error = record.error {
            state.failures[Failure(provider: record.provider ?? "none", error: error), default: 0] += 1
        }
    }

    /// For the registry, at each scrape.
    func samples() -> [MetricSample] {
        let now = state.withLock { $0 }
        let requests = now.series.values.reduce(0) { $0 + $1.count }
        var samples = [
            MetricSample(.logAppended, requests, [.kind: "request"]),
            MetricSample(.logAppended, now.feedback, [.kind: "feedback"]), MetricSample(.gatewayOverhead, now.overhead),
        ]
        for (key, series) in now.series {
            let route: MetricRegistry.Labels = [.route: key.route]
            samples += [
                MetricSample(
                    .gatewayRequests, series.count,
                    [.route: key.route, .arm: key.arm.rawValue, .outcome: key.outcome.rawValue]),
                MetricSample(.gatewayDuration, series.duration, route),
                MetricSample(.gatewayFirstToken, series.firstToken, route),
                MetricSample(.gatewayFallbacks, series.fallbacks, route),
            ]
        }
        for (failure, count) in now.failures {
            samples.append(
                MetricSample(
                    .gatewayUpstreamErrors, count, [.provider: failure.provider, .code: failure.error.rawValue]))
        }
        return samples
    }
}

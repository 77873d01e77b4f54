import EventLog
import Gateway
import Observability
import Telemetry

/// Passes the gateway's events to the local log and counts them on the way.
struct MeteredSink: RecordSink {
    let log: LocalLog
    let metrics: MetricRegistry

    func append(_ event: LogEvent) {
        log.append(event)
        metrics.add(.logAppended, 1, [.kind: event.kind.rawValue])
        guard case .request(let record) = event else { return }
        metrics.add(
            .gatewayRequests, 1, [.route: record.route, .arm: record.arm.rawValue, .outcome: record.outcome.rawValue])
        metrics.observe(.gatewayDuration, record.totalMs / 1000, [.route: record.route])
        if let ttft = record.ttftMs { metrics.observe(.gatewayFirstToken, ttft / 1000, [.route: record.route]) }
        if let overhead = record.overheadMs { metrics.observe(.gatewayOverhead, overhead / 1000) }
        if let error = record.error {
            metrics.add(.gatewayUpstreamErrors, 1, [.provider: record.provider ?? "none", .code: error.rawValue])
        }
        if !record.attempts.isEmpty, record.outcome == .complete {
            metrics.add(.gatewayFallbacks, 1, [.route: record.route])
        }
    }
}

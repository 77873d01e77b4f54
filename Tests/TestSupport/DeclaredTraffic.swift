import Core
package import StreamProcessing
import Telemetry

/// Nine requests in two partitions, failures and judgements among them, and the window that adds them up.
package enum DeclaredTraffic {
    package static let window = WindowDefinition(
        name: "answers", key: [.model, .key], assigner: .tumbling(size: 60_000), latenessMs: 1_000,
        aggregates: AggregateSelection(
            measures: [.cost, .latency], quantiles: [.latency], errors: true, signals: true, feedback: true,
            distinct: [.user, .session], top: [.init(item: .user, counters: 2)]))

    /// What the worker of each partition stores once the window has closed.
    package static func checkpoints() -> [Checkpoint] {
        let first: [LogEvent] = [
            request(1, user: "a", session: "x", ms: 110, cost: NanoUSD(1_000)),
            request(2, user: "a", session: "x", ms: 170, cost: NanoUSD(3_000)),
            request(3, user: "a", session: "x", outcome: .timeout, error: .timeoutTotal),
            request(4, user: "b", session: "x", ms: 230, cost: NanoUSD(1_000)),
            request(9, model: "large", user: "c", session: "x", cost: NanoUSD(1_000)),
            Make.feedback(1, on: 1, value: 1), Make.feedback(2, on: 2, value: 1, name: "helpful"),
            Make.feedback(3, on: 9, value: 0.5),
        ]
        let second: [LogEvent] = [
            request(5, user: "a", session: "x", ms: 290, cost: NanoUSD(5_000)),
            request(6, user: "c", session: "y", cost: NanoUSD(0), outcome: .upstreamError, error: .overloaded),
            request(7, outcome: .timeout, error: .timeoutTotal), request(8, outcome: .clientGone),
            Make.feedback(4, on: 5, value: 0.5),
        ]
        return [first, second].enumerated().map { partition, events in
            let processor = PartitionProcessor(partition: partition, settings: Make.settings { $0.windows = [window] })
            // The last one is of a later window.
            processor.feed(events + [request(UInt64(10 + partition), at: 70_000)], ms: 70_000)
            return processor.checkpoint()
        }
    }

    /// One a second, unless a time is given.
    private static func request(
        _ number: UInt64, at time: Int64? = nil, model: String = "small", user: String? = nil, session: String? = nil,
        ms: Double = 900, cost: NanoUSD? = nil, outcome: Outcome = .complete, error: ErrorClass? = nil
    ) -> LogEvent {
        Make.request(number, at: time ?? Int64(number) * 1_000, outcome: outcome) {
            ($0.model, $0.user, $0.session) = (model, user, session)
            ($0.totalMs, $0.cost, $0.error) = (ms, cost, error)
        }
    }
}

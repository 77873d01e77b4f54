package import Core
package import StreamProcessing
package import Telemetry

/// Short ways to say events and settings.
package enum Make {
    /// 2025-11-20, a whole minute.
    package static let start: Int64 = 1_763_650_020_000

    package static func id(_ number: UInt64) -> UUIDv7 {
        UUIDv7(high: 0x0193_0000_0000_7000, low: 0x8000_0000_0000_0000 | number)
    }

    /// A request that ended `ms` after `start`.
    package static func request(
        _ number: UInt64, at ms: Int64, producer: String = "", seq: Int64 = 0, outcome: Outcome = .complete,
        _ change: (inout RequestRecord) -> Void = { _ in }
    ) -> LogEvent {
        var record = RequestRecord(
            id: id(number), at: start + ms, startedAt: start + ms - 100, route: "chat", outcome: outcome,
            status: outcome == .complete ? 200 : 502, totalMs: 100)
        record.producer = producer
        record.seq = seq
        record.key = "web"
        record.provider = "openai"
        record.model = "small"
        record.policy = 1
        record.cost = NanoUSD(1_000)
        change(&record)
        return .request(record)
    }

    package static func feedback(
        _ number: UInt64, on request: UInt64, value: Double = 1, key: String? = "web", name: String = "quality"
    ) -> LogEvent {
        var feedback = Feedback(
            id: id(1_000_000 + number), request: id(request), at: start, name: name, value: value, source: .user)
        feedback.key = key
        return .feedback(feedback)
    }

    package static func settings(_ change: (inout StreamSettings) -> Void = { _ in }) -> StreamSettings {
        var settings = StreamSettings()
        settings.windowMs = 1_000
        settings.boundMs = 0
        settings.latenessMs = 0
        change(&settings)
        return settings
    }
}

extension PartitionProcessor {
    /// Processes events at offsets from the present position on, at a clock `ms` after the start.
    package func feed(_ events: [LogEvent], ms: Int64 = 0) {
        for event in events { process(event, offset: position, now: Make.start + ms) }
    }
}

extension PartitionState {
    /// What the store gives back: through its stored form.
    package func stored() throws -> PartitionState {
        guard var state = PartitionState(encoded: encoded()) else { throw Unreadable() }
        state.openWindows = try openWindows.map {
            guard let aggregate = WindowAggregate(encoded: $0.aggregate.encoded()) else { throw Unreadable() }
            var window = $0
            window.aggregate = aggregate
            return window
        }
        return state
    }

    package struct Unreadable: Error {}
}

import Core
import StreamProcessing
import Telemetry

/// Short ways to say events and settings.
enum Make {
    /// 2025-11-20, a whole minute.
    static let start: Int64 = 1_763_650_020_000

    static func id(_ number: UInt64) -> UUIDv7 {
        UUIDv7(high: 0x0193_0000_0000_7000, low: 0x8000_0000_0000_0000 | number)
    }

    /// A request that ended `ms` after `start`.
    static func request(
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

    static func feedback(
        _ number: UInt64, on request: UInt64, value: Double = 1, key: String? = "web", name: String = "quality"
    ) -> LogEvent {
        var feedback = Feedback(
            id: id(1_000_000 + number), request: id(request), at: start, name: name, value: value, source: .user)
        feedback.key = key
        return .feedback(feedback)
    }

    static func settings(_ change: (inout StreamSettings) -> Void = { _ in }) -> StreamSettings {
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
    func feed(_ events: [LogEvent], ms: Int64 = 0) {
        for event in events { process(event, offset: position, now: Make.start + ms) }
    }
}

extension PartitionState {
    /// What the store gives back: through its stored form.
    func stored() throws -> PartitionState {
        guard var state = PartitionState(encoded: encoded()) else { throw Unreadable() }
        state.openWindows = try openWindows.map {
            guard let aggregate = WindowAggregate(encoded: $0.aggregate.encoded()) else { throw Unreadable() }
            var window = $0
            window.aggregate = aggregate
            return window
        }
        return state
    }

    struct Unreadable: Error {}
}

/// The store's part in memory: what one partition has committed, and the epoch that fences its former owners.
struct MemoryPartition {
    var epoch = 0
    var state: PartitionState
    var open: [WindowID: OpenWindow] = [:]
    var results: [WindowID: WindowResult] = [:]
    var requests: [UUIDv7: RequestRow] = [:]
    var feedback: [UUIDv7: AttributedFeedback] = [:]
    var deadLetters: [Int64: DeadLetter] = [:]
    var panes: [EvidencePane] = []

    init(partition: Int) { state = PartitionState(partition: partition) }

    mutating func claim() throws -> (epoch: Int, state: PartitionState) {
        epoch += 1
        var claimed = state
        claimed.openWindows = open.values.sorted { $0.id < $1.id }
        return (epoch, try claimed.stored())
    }

    /// False, and nothing changed, for an owner that another has replaced.
    mutating func commit(_ checkpoint: Checkpoint, epoch: Int) -> Bool {
        guard epoch == self.epoch else { return false }
        state = checkpoint.state
        for window in checkpoint.changedWindows { open[window.id] = window }
        for id in checkpoint.purgedWindows { open[id] = nil }
        for result in checkpoint.results { results[WindowID(window: result.window, key: result.key)] = result }
        let refused = Set(checkpoint.feedback.map(\.id).filter { feedback[$0] != nil })
        panes += checkpoint.evidence(refusing: refused)
        for entry in checkpoint.feedback where feedback[entry.id] == nil { feedback[entry.id] = entry }
        for row in checkpoint.requests { requests[row.id] = row }
        for dead in checkpoint.deadLetters { deadLetters[dead.offset] = dead }
        return true
    }
}

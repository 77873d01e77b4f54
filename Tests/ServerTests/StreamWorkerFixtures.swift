import Core
import EventLog
import Server
import StreamProcessing
import Synchronization
import Telemetry
import TestSupport

/// A log in memory that hands out batches of any size, and gives and takes partitions as a test says.
actor MemoryReader: EventLogReader {
    nonisolated let topic = "memory"
    private let log: [[LogEvent]]
    private var positions: [Int: Int64] = [:]
    private var paused: Set<Int> = []
    private var signals: [EventLogSignal]
    private var random: SplitMix64
    private(set) var closed = false
    private(set) var released: [Int] = []

    init(_ log: [[LogEvent]], assigned: [Int], seed: UInt64) {
        self.log = log
        signals = [.assigned(assigned)]
        random = SplitMix64(seed: seed)
    }

    func send(_ signal: EventLogSignal) { signals.append(signal) }

    func partitionCount() -> Int { log.count }

    func next(timeout: Duration) async throws -> EventLogSignal {
        if !signals.isEmpty { return signals.removeFirst() }
        let ready = positions.filter { !paused.contains($0.key) && $0.value < log[$0.key].count }.keys.sorted()
        guard !ready.isEmpty else {
            try await Task.sleep(for: min(timeout, .milliseconds(2)))
            return .idle
        }
        let partition = ready[Int(random.next() % UInt64(ready.count))]
        let from = Int(positions[partition] ?? 0)
        let to = min(log[partition].count, from + 1 + Int(random.next() % 40))
        positions[partition] = Int64(to)
        var bytes: [UInt8] = []
        var entries: [EventBatch.Entry] = []
        for offset in from..<to {
            let start = bytes.count
            EventEncoder.encode(log[partition][offset], into: &bytes)
            entries.append(
                .init(offset: Int64(offset), kind: log[partition][offset].kind, range: start..<bytes.count))
        }
        return .batch(EventBatch(partition: partition, bytes: bytes, entries: entries))
    }

    func start(partition: Int, at offset: Int64) { positions[partition] = max(0, offset) }
    func release(_ partitions: [Int]) {
        for partition in partitions { positions[partition] = nil }
        released += partitions
    }
    func pause(_ partitions: [Int]) { paused.formUnion(partitions) }
    func resume(_ partitions: [Int]) { paused.subtract(partitions) }
    func endOffsets() -> [Int: Int64] { positions.reduce(into: [:]) { $0[$1.key] = Int64(log[$1.key].count) } }
    func offset(partition: Int, atOrAfter time: Int64) -> Int64? {
        log[partition].firstIndex { $0.at >= time }.map(Int64.init)
    }
    func close() { closed = true }
}

/// A store in memory whose calls fail at random: before they do anything, or after they have done it. However few commits
/// a fast worker needs, the first one fails before and the second one after.
actor MemoryStreamStore: StreamStore {
    struct Away: Error {}

    private(set) var partitions: [Int: MemoryPartition] = [:]
    private var random: SplitMix64
    /// The share of calls that fail, 0...1.
    private var faults: Double
    private var commits = 0
    private(set) var declared = 0

    init(seed: UInt64, faults: Double = 0) {
        random = SplitMix64(seed: seed)
        self.faults = faults
    }

    func setFaults(_ share: Double) { faults = share }

    func claim(partition: Int) throws -> (epoch: Int64, state: PartitionState?) {
        try fault()
        let claimed = try partitions[partition, default: MemoryPartition(partition: partition)].claim()
        try fault()
        return (claimed.epoch, claimed.state)
    }

    func declare(partitions count: Int) throws {
        try fault()
        declared = count
        try fault()
    }

    func commit(_ checkpoints: [(epoch: Int64, checkpoint: Checkpoint)]) throws -> Set<Int> {
        commits += 1
        try fault(surely: commits == 1)
        var fenced: Set<Int> = []
        for entry in checkpoints {
            let partition = entry.checkpoint.state.partition
            if partitions[partition]?.commit(entry.checkpoint, epoch: entry.epoch) != true { fenced.insert(partition) }
        }
        try fault(surely: commits == 2)
        return fenced
    }

    func requests(_ ids: [UUIDv7]) throws -> [UUIDv7: RequestRow] {
        try fault()
        return ids.reduce(into: [:]) { found, id in
            found[id] = partitions.values.lazy.compactMap { $0.requests[id] }.first
        }
    }

    /// What all results count, by window and key.
    var counts: [WindowID: Int64] {
        partitions.values.reduce(into: [:]) { sums, partition in
            for (id, result) in partition.results { sums[id, default: 0] += result.aggregate.requests }
        }
    }
    var feedback: Int { partitions.values.reduce(0) { $0 + $1.feedback.count } }

    private func fault(surely: Bool = false) throws {
        if faults > 0, surely || random.unit() < faults { throw Away() }
    }
}

import Core
import EventLog
import StreamProcessing
import Telemetry

/// Reads a log from a time to where it ends at first sight, requests only, and leaves out what live traffic refused as
/// ahead of its clock.
struct BackfillReader: EventLogReader {
    let base: any EventLogReader
    let progress: BackfillProgress
    /// Milliseconds since the epoch.
    let from: Int64
    let refused: [Int: Set<Int64>]

    var topic: String { base.topic }

    func partitionCount() async throws -> Int { try await base.partitionCount() }

    func next(timeout: Duration) async throws -> EventLogSignal {
        let unread = progress.takeUnread()
        if !unread.isEmpty { try await base.pause(unread) }
        switch try await base.next(timeout: timeout) {
        case .batch(let batch): return .batch(within(batch))
        case .gap(let partition, _, let to) where to >= progress.end(of: partition):
            // The rest was lost: on to the end, with nothing.
            return .batch(
                within(EventBatch(partition: partition, entries: [.init(offset: to, kind: nil, range: 0..<0)])))
        case let signal: return signal
        }
    }

    /// What is passed over is left in place without its content, so that the offsets go on.
    private func within(_ batch: EventBatch) -> EventBatch {
        let end = progress.end(of: batch.partition)
        let refused = refused[batch.partition] ?? []
        var batch = batch
        let goesPast = batch.entries.last.map { $0.offset >= end } ?? false
        batch.entries = batch.entries.prefix { $0.offset < end }.map { entry in
            let isCounted = entry.kind != .feedback && !refused.contains(entry.offset)
            return isCounted ? entry : .init(offset: entry.offset, kind: nil, range: 0..<0)
        }
        if goesPast, batch.entries.last?.offset ?? -1 < end - 1 {
            batch.entries.append(.init(offset: end - 1, kind: nil, range: 0..<0))
        }
        return batch
    }

    func start(partition: Int, at offset: Int64) async throws {
        guard offset == EventLogOffset.beginning else {
            progress.started(partition, at: offset)
            return try await base.start(partition: partition, at: offset)
        }
        do {
            guard let first = try await base.offset(partition: partition, atOrAfter: from) else {
                // Nothing as late: there is nothing to read.
                progress.started(partition, at: 0)
                _ = progress.ends([partition: 0])
                return
            }
            let oldest = try await base.offset(partition: partition, atOrAfter: 0)
            progress.started(partition, at: first, cut: first > 0 && oldest == first)
            try await base.start(partition: partition, at: first)
        } catch let error as TrimtabError where error.code == "event_log.kafka.times" {
            // Slower, and right all the same: what is before the range counts in no window of it.
            progress.started(partition, at: 0)
            try await base.start(partition: partition, at: EventLogOffset.beginning)
        }
    }

    func endOffsets() async throws -> [Int: Int64] { progress.ends(try await base.endOffsets()) }

    func release(_ partitions: [Int]) async throws { try await base.release(partitions) }
    func pause(_ partitions: [Int]) async throws { try await base.pause(partitions) }
    func resume(_ partitions: [Int]) async throws { try await base.resume(partitions) }

    func offset(partition: Int, atOrAfter time: Int64) async throws -> Int64? {
        try await base.offset(partition: partition, atOrAfter: time)
    }

    func close() async { await base.close() }
}

/// Stores a backfill's windows and nothing else: requests, feedback, evidence and dead letters are live traffic's.
struct BackfillCheckpoints: StreamStore {
    let base: any StreamStore
    let progress: BackfillProgress
    let backfill: Range<Int64>

    func claim(partition: Int) async throws -> (epoch: Int64, state: PartitionState?) {
        let claimed = try await base.claim(partition: partition)
        progress.claimed(partition, claimed.state)
        return claimed
    }

    func declare(partitions count: Int) async throws { try await base.declare(partitions: count) }

    func commit(_ checkpoints: [(epoch: Int64, checkpoint: Checkpoint)]) async throws -> Set<Int> {
        let fenced = try await base.commit(checkpoints.map { ($0.epoch, own($0.checkpoint)) })
        guard fenced.isEmpty else {
            progress.fail(
                TrimtabError(
                    "stream.backfill.in_use", "Another process runs this backfill, or it was deleted.",
                    remedy: "Let the other one finish, or start it again under another --name."))
            return fenced
        }
        for entry in checkpoints { progress.stored(entry.checkpoint.state) }
        return fenced
    }

    /// There is no feedback to look requests up for.
    func requests(_ ids: [UUIDv7]) async throws -> [UUIDv7: RequestRow] { [:] }

    private func own(_ checkpoint: Checkpoint) -> Checkpoint {
        var own = checkpoint
        (own.requests, own.feedback, own.panes, own.deadLetters) = ([], [], [], [])
        own.results = own.results.filter {
            $0.window.start >= backfill.lowerBound && $0.window.end <= backfill.upperBound
        }
        return own
    }
}

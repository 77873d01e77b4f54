package import EventLog
package import Logging
package import StreamProcessing
import Core
import Observability
import Synchronization
import Telemetry

/// Reads partitions, processes their events and stores checkpoints, each event with exactly one effect.
///
/// What is to be done when is decided by `PartitionOwnership`; this carries it out.
package actor StreamWorker {
    package typealias Settings = PartitionOwnership.Settings

    /// Events processed in one go, a few milliseconds' work, before other tasks get their turn.
    private static let slice = 1_000
    /// How soon a stop is noticed.
    private static let longestWait = Duration.milliseconds(100)

    /// What a stop waits for the store.
    private static let stopPatience = Duration.milliseconds(1_500)

    private struct Stopping {
        var asked = false
        var work: Task<Void, any Error>?
    }

    private let reader: any EventLogReader
    private let store: any StreamStore
    private let now: @Sendable () -> Int64
    private let onStored: @Sendable ([Int: Int64]) -> Void
    private let logger: Logger
    private let decoder = EventDecoder()
    private let began = ContinuousClock.now

    private var ownership: PartitionOwnership
    private var sinceYield = 0
    /// Whether the store knows how many partitions there are.
    private var hasDeclared = false
    private let stopping = Mutex(Stopping())
    private let shared = Mutex(StreamStatistics())

    /// - Parameters:
    ///   - now: The wall clock, milliseconds since the epoch.
    ///   - onStored: Told the offsets before which a partition's records are in the store.
    package init(
        reader: any EventLogReader, store: any StreamStore, stream: StreamSettings, settings: Settings = Settings(),
        logger: Logger = Logger(label: "trimtab.stream"), now: @escaping @Sendable () -> Int64,
        onStored: @escaping @Sendable ([Int: Int64]) -> Void = { _ in }
    ) {
        self.reader = reader
        self.store = store
        self.logger = logger
        self.now = now
        self.onStored = onStored
        ownership = PartitionOwnership(stream, settings: settings)
    }

    package nonisolated var statistics: StreamStatistics { shared.withLock { $0 } }

    /// Works until cancelled or stopped, then stores what is left and leaves the log.
    ///
    /// - Throws: `TrimtabError` when the log cannot be read any more without a person's help.
    package func run() async throws {
        // The work is a task of its own, so that cancelling lets it finish a checkpoint instead of breaking one off.
        let work = Task { try await self.work() }
        let stopped = stopping.withLock { state in
            state.work = work
            return state.asked
        }
        if stopped { stop() }
        do {
            try await withTaskCancellationHandler {
                try await work.value
            } onCancel: {
                stop()
            }
        } catch is CancellationError {
            // Broken off by `stop`: what was not stored is read again at the next start.
        }
    }

    /// Ends `run` after the present turn and its checkpoint, or without them when the store takes too long.
    package nonisolated func stop() {
        let work = stopping.withLock { state in
            state.asked = true
            return state.work
        }
        guard let work else { return }
        Task {
            try await Task.sleep(for: Self.stopPatience)
            work.cancel()
        }
    }

    private func work() async throws {
        do {
            while !stopping.withLock({ $0.asked }) { try await turn() }
            ownership.stop()
            try await carryOut()
        } catch {
            await reader.close()
            throw error
        }
        await reader.close()
    }

    private var time: StreamTime {
        StreamTime(wall: now(), steady: Int64((ContinuousClock.now - began) / .milliseconds(1)))
    }

    private func turn() async throws {
        let wait = Duration.milliseconds(max(0, ownership.checkpointAt - time.steady))
        switch try await reader.next(timeout: min(wait, Self.longestWait)) {
        case .assigned(let partitions): ownership.assigned(partitions)
        case .revoked(let partitions): ownership.revoked(partitions)
        case .lost(let partitions): ownership.lost(partitions)
        case .batch(let batch): await process(batch)
        case .gap(let partition, let from, let to):
            shared.withLock { $0.lost += to - from }
            logger.error(
                "records were dropped from the log before they were read; raise the log's bound",
                metadata: ["partition": "\(partition)", "from": "\(from)", "to": "\(to)"])
        case .idle: break
        }
        try await carryOut()
    }

    private func process(_ batch: EventBatch) async {
        guard let processor = ownership.processor(of: batch.partition) else { return }
        var time = now()
        for entry in batch.entries {
            processor.process(
                batch.bytes, entry.range, kind: entry.kind, offset: entry.offset, now: time, decoder: decoder)
            // Counted across batches: a small one costs less than coming back on another thread.
            sinceYield += 1
            guard sinceYield == Self.slice else { continue }
            sinceYield = 0
            await Task.yield()
            time = now()
        }
        ownership.processed(batch.entries.count)
    }

    // MARK: Effects

    private func carryOut() async throws {
        while let effect = ownership.next(time) {
            switch effect {
            case .claim(let partition): try await claim(partition)
            case .start(let partition, let offset):
                try await reader.start(partition: partition, at: offset ?? EventLogOffset.beginning)
            case .pause(let partitions): try await reader.pause(partitions)
            case .resume(let partitions): try await reader.resume(partitions)
            case .release(let partitions): try await reader.release(partitions)
            case .readEnds:
                let ends = try await reader.endOffsets()
                ownership.ends(ends, time)
                note(ends)
            case .lookUp(let ids):
                do {
                    let rows = try await store.requests(ids)
                    ownership.found(rows, time)
                } catch {
                    storeFailed(error)
                }
            case .commit(let checkpoints): await commit(checkpoints)
            }
        }
    }

    private func claim(_ partition: Int) async throws {
        do {
            let claimed = try await store.claim(partition: partition)
            if !hasDeclared {
                try await store.declare(partitions: await reader.partitionCount())
                hasDeclared = true
            }
            if let state = claimed.state { try ownership.stream.check(state) }
            ownership.claimed(partition, epoch: claimed.epoch, state: claimed.state)
        } catch let error as TrimtabError where error.code == "store.topic_changed" {
            // Nothing that waiting mends.
            throw error
        } catch {
            logger.warning("a partition could not be claimed", metadata: ["error": "\(error)"])
            ownership.claimFailed(time)
        }
    }

    private func commit(_ checkpoints: [(epoch: Int64, checkpoint: Checkpoint)]) async {
        let began = ContinuousClock.now
        do {
            let fenced = try await store.commit(checkpoints)
            note(ownership.committed(fenced: fenced, time), took: ContinuousClock.now - began)
        } catch {
            storeFailed(error)
        }
    }

    private func storeFailed(_ error: any Error) {
        shared.withLock { $0.failedCheckpoints += 1 }
        logger.warning("a checkpoint could not be stored", metadata: ["error": "\(error)"])
        ownership.storeFailed(time)
    }

    // MARK: Statistics

    private func note(_ stored: PartitionOwnership.Stored, took: Duration) {
        let time = now()
        shared.withLock { statistics in
            statistics.counts.add(stored.counts)
            statistics.checkpoints += 1
            statistics.fenced += Int64(stored.fenced.count)
            statistics.lastCheckpointAt = time
            statistics.checkpointDuration.observe(took / .seconds(1))
        }
        onStored(stored.offsets)
        guard !stored.fenced.isEmpty else { return }
        let fenced = stored.fenced.sorted()
        logger.warning("another worker has claimed partitions", metadata: ["partitions": "\(fenced)"])
    }

    private func note(_ ends: [Int: Int64]) {
        let partitions = ownership.processors.map { partition, processor in
            let standing = StreamStatistics.Partition(
                position: processor.position, end: ends[partition], watermark: processor.watermark,
                openWindows: processor.openWindows)
            return (partition, standing)
        }
        shared.withLock { statistics in
            statistics.partitions = Dictionary(uniqueKeysWithValues: partitions)
            statistics.waiting = ownership.waiting
            statistics.paused = ownership.paused.count
            statistics.groupWatermark = ownership.groupWatermark
        }
    }
}

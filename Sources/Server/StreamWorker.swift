package import EventLog
package import Logging
package import StreamProcessing
import Core
import Observability
import Synchronization
import Telemetry

/// Reads partitions, processes their events and stores checkpoints, each event with exactly one effect.
///
/// State and offsets are stored together, so whatever goes wrong is mended the same way: forget the partition's state,
/// claim it again, and read on from what is stored. That holds for a failed or doubtful commit just as for a restart.
package actor StreamWorker {
    package struct Settings: Sendable {
        /// How often a checkpoint is stored, milliseconds.
        package var checkpointMs: Int64 = 1_000
        /// Events that may be processed before a checkpoint is due, whatever the time.
        package var unstoredEvents = 100_000
        /// The wait before partitions are claimed again after a failure, doubled up to the longest, milliseconds.
        package var retryMs: Int64 = 250
        package var longestRetryMs: Int64 = 5_000

        package init() {}
    }

    private struct Owned {
        var epoch: Int64
        var processor: PartitionProcessor
        /// The state that is stored, to leave out checkpoints that say nothing new.
        var stored: PartitionState?
        /// Counts already in the statistics.
        var counted = StreamCounts()
    }

    /// Events processed in one go, a few milliseconds' work, before other tasks get their turn.
    private static let slice = 256
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
    private let stream: StreamSettings
    private let settings: Settings
    private let now: @Sendable () -> Int64
    private let onStored: @Sendable ([Int: Int64]) -> Void
    private let logger: Logger
    private let decoder = EventDecoder()

    private var owned: [Int: Owned] = [:]
    /// Assigned partitions without state: to be claimed when the wait is over.
    private var unclaimed: Set<Int> = []
    private var claimAt = ContinuousClock.now
    private var checkpointAt = ContinuousClock.now
    /// Event time over the partitions owned, and which of them run too far ahead.
    private var group: WatermarkGroup<Int>
    private var retryMs: Int64
    private var unstored = 0
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
        self.stream = stream
        self.settings = settings
        self.logger = logger
        self.now = now
        self.onStored = onStored
        group = WatermarkGroup(alignMs: stream.alignMs)
        retryMs = settings.retryMs
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
        checkpointAt = .now + .milliseconds(settings.checkpointMs)
        do {
            while !stopping.withLock({ $0.asked }) { try await turn() }
            try await checkpoint(Array(owned.keys))
        } catch {
            await reader.close()
            throw error
        }
        await reader.close()
    }

    private func turn() async throws {
        let wait = max(.zero, min(checkpointAt - .now, Self.longestWait))
        switch try await reader.next(timeout: wait) {
        case .assigned(let partitions):
            unclaimed.formUnion(partitions)
            claimAt = .now
        case .revoked(let partitions): try await revoke(partitions)
        case .lost(let partitions): forget(partitions)
        case .batch(let batch): await process(batch)
        case .gap(let partition, let from, let to):
            shared.withLock { $0.lost += to - from }
            logger.error(
                "records were dropped from the log before they were read; raise the log's bound",
                metadata: ["partition": "\(partition)", "from": "\(from)", "to": "\(to)"])
        case .idle: break
        }
        if !unclaimed.isEmpty, claimAt <= .now { try await claim() }
        if checkpointAt <= .now || unstored >= settings.unstoredEvents {
            try await advance()
            try await checkpoint(Array(owned.keys))
            checkpointAt = .now + .milliseconds(settings.checkpointMs)
        }
    }

    // MARK: Ownership

    private func claim() async throws {
        for partition in unclaimed.sorted() {
            do {
                let claimed = try await store.claim(partition: partition)
                let processor = PartitionProcessor(partition: partition, settings: stream, restoring: claimed.state)
                owned[partition] = Owned(epoch: claimed.epoch, processor: processor, stored: claimed.state)
                unclaimed.remove(partition)
            } catch let error as TrimtabError where error.code == "store.topic_changed" {
                // Nothing that waiting mends.
                throw error
            } catch {
                return retryLater("a partition could not be claimed", error)
            }
            let next = owned[partition]?.processor.position ?? 0
            // A partition never read starts at its oldest record, wherever that is.
            try await reader.start(partition: partition, at: next > 0 ? next : EventLogOffset.beginning)
            try await reader.resume([partition])
            group.add(partition, watermark: owned[partition]?.processor.watermark)
        }
        retryMs = settings.retryMs
    }

    private func retryLater(_ what: Logger.Message, _ error: any Error) {
        logger.warning(what, metadata: ["error": "\(error)", "retry_ms": "\(retryMs)"])
        claimAt = .now + .milliseconds(retryMs)
        retryMs = min(retryMs * 2, settings.longestRetryMs)
    }

    private func revoke(_ partitions: [Int]) async throws {
        try await checkpoint(partitions.filter { owned[$0] != nil })
        forget(partitions)
        try await reader.release(partitions)
    }

    private func forget(_ partitions: [Int]) {
        for partition in partitions {
            owned[partition] = nil
            group.remove(partition)
            unclaimed.remove(partition)
        }
    }

    /// Gives up the state of partitions that are still assigned, to claim them again later.
    private func drop(_ partitions: some Collection<Int>) async throws {
        for partition in partitions {
            owned[partition] = nil
            group.remove(partition)
        }
        unclaimed.formUnion(partitions)
        try await reader.pause(Array(partitions))
    }

    // MARK: Work

    private func process(_ batch: EventBatch) async {
        // Records of a partition that is not owned are left-overs of a former assignment.
        guard let processor = owned[batch.partition]?.processor else { return }
        var rest = batch.entries[...]
        while !rest.isEmpty {
            let time = now()
            for entry in rest.prefix(Self.slice) {
                processor.process(
                    batch.bytes, entry.range, kind: entry.kind, offset: entry.offset, now: time, decoder: decoder)
            }
            rest = rest.dropFirst(Self.slice)
            await Task.yield()
        }
        unstored += batch.entries.count
    }

    /// Lets the clock move partitions on that have been read to their end.
    private func advance() async throws {
        let ends = try await reader.endOffsets()
        let time = now()
        let paused = group.paused
        for (partition, entry) in owned {
            entry.processor.tick(now: time)
            // A partition that is held back is not silent.
            if !paused.contains(partition), ends[partition].map({ $0 <= entry.processor.position }) ?? true {
                entry.processor.advance(now: time)
            }
            group.update(partition, watermark: entry.processor.watermark, isIdle: entry.processor.isIdle)
        }
        try await align()
        shared.withLock { statistics in
            statistics.partitions = owned.reduce(into: [:]) { standing, entry in
                let processor = entry.value.processor
                standing[entry.key] = StreamStatistics.Partition(
                    position: processor.position, end: ends[entry.key], watermark: processor.watermark,
                    openWindows: processor.openWindows)
            }
            statistics.waiting = unclaimed.count
            statistics.paused = group.paused.count
            statistics.groupWatermark = group.watermark
        }
    }

    /// Holds partitions back that run ahead of the others, so that slow ones do not leave ever more windows open.
    private func align() async throws {
        for change in group.settle() {
            switch change {
            case .paused(let partition): try await reader.pause([partition])
            case .resumed(let partition): try await reader.resume([partition])
            case .watermark: break
            }
        }
    }

    private func checkpoint(_ partitions: [Int]) async throws {
        let began = ContinuousClock.now
        unstored = 0
        do {
            try await resolveFeedback(partitions)
            let checkpoints = partitions.sorted().compactMap { partition -> (epoch: Int64, checkpoint: Checkpoint)? in
                guard let entry = owned[partition] else { return nil }
                let checkpoint = entry.processor.checkpoint()
                guard checkpoint.saysMore(than: entry.stored) else { return nil }
                return (entry.epoch, checkpoint)
            }
            guard !checkpoints.isEmpty else { return }
            let fenced = try await store.commit(checkpoints)
            try await stored(checkpoints, fenced: fenced, took: ContinuousClock.now - began)
        } catch {
            // The commit may or may not have happened; what is stored decides when the partitions are claimed again.
            shared.withLock { $0.failedCheckpoints += 1 }
            retryLater("a checkpoint could not be stored", error)
            try await drop(partitions)
        }
    }

    private func stored(
        _ checkpoints: [(epoch: Int64, checkpoint: Checkpoint)], fenced: Set<Int>, took: Duration
    ) async throws {
        var offsets: [Int: Int64] = [:]
        var counts = StreamCounts()
        for entry in checkpoints {
            let partition = entry.checkpoint.state.partition
            guard !fenced.contains(partition), let processor = owned[partition]?.processor else { continue }
            offsets[partition] = entry.checkpoint.state.nextOffset
            owned[partition]?.stored = entry.checkpoint.state
            counts.add(processor.counts.since(owned[partition]?.counted ?? StreamCounts()))
            owned[partition]?.counted = processor.counts
        }
        let time = now()
        shared.withLock { statistics in
            statistics.counts.add(counts)
            statistics.checkpoints += 1
            statistics.fenced += Int64(fenced.count)
            statistics.lastCheckpointAt = time
            statistics.checkpointDuration.observe(took / .seconds(1))
        }
        onStored(offsets)
        guard !fenced.isEmpty else { return }
        logger.warning("another worker has claimed partitions", metadata: ["partitions": "\(fenced.sorted())"])
        // If they are still assigned to this reader when the wait is over, the other worker has lost them.
        claimAt = .now + .milliseconds(settings.longestRetryMs)
        try await drop(fenced)
    }

    private func resolveFeedback(_ partitions: [Int]) async throws {
        let wanted = partitions.compactMap { owned[$0]?.processor.unresolvedFeedback() }.flatMap { $0 }
        guard !wanted.isEmpty else { return }
        let rows = try await store.requests(wanted)
        let time = now()
        for partition in partitions { owned[partition]?.processor.resolve(rows, now: time) }
    }
}

extension Checkpoint {
    /// Whether there is anything to store beside `stored`.
    func saysMore(than stored: PartitionState?) -> Bool {
        state != stored || !changedWindows.isEmpty || !purgedWindows.isEmpty || !results.isEmpty || !feedback.isEmpty
            || !requests.isEmpty || !panes.isEmpty || !deadLetters.isEmpty
    }
}

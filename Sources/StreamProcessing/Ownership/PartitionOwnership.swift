package import Core

/// The protocol by which a worker owns partitions, so that each of their events has exactly one effect.
///
/// Without I/O: whoever drives it says what happened and carries out what `next` asks for, one effect after the other,
/// and answers those that want an answer before asking again. State and offsets are stored together, so whatever goes
/// wrong is mended the same way: forget the partition's state, claim it again, and read on from what is stored. That
/// holds for a failed or doubtful commit just as for a restart.
package struct PartitionOwnership {
    package enum Effect: Sendable {
        /// Take the partition over in the store; answer with `claimed` or `claimFailed`.
        case claim(Int)
        /// Read an assigned partition from there on; `nil`: from its oldest record, wherever that is.
        case start(partition: Int, at: Int64?)
        case pause([Int])
        case resume([Int])
        /// Let revoked partitions go.
        case release([Int])
        /// Find out how far the log reaches; answer with `ends`.
        case readEnds
        /// Look requests up in the store; answer with `found` or `storeFailed`.
        case lookUp([UUIDv7])
        /// Store all that belongs to unfenced epochs, or nothing; answer with `committed` or `storeFailed`.
        case commit([(epoch: Int64, checkpoint: Checkpoint)])
    }

    private struct Owned {
        var epoch: Int64
        var processor: PartitionProcessor
        /// The state that is stored, to leave out checkpoints that say nothing new.
        var stored: PartitionState?
        /// Counts that have been handed out with a `Stored`.
        var counted = StreamCounts()
    }

    /// A checkpoint on its way.
    private struct Storing {
        var partitions: [Int]
        /// To be given up afterwards, however it ends.
        var releasing: [Int] = []
        var looksUp = true
        var checkpoints: [(epoch: Int64, checkpoint: Checkpoint)] = []
    }

    package let stream: StreamSettings
    private let settings: Settings
    private var owned: [Int: Owned] = [:]
    /// Assigned partitions without state: to be claimed when the wait is over.
    private var unclaimed: Set<Int> = []
    private var claimAt = Int64.min
    /// When the next checkpoint is due, by the steady clock.
    package private(set) var checkpointAt: Int64
    private var retryMs: Int64
    private var unstored = 0
    private var orders: [Effect] = []
    private var storing: Storing?
    private var stopping = false
    /// Event time over the partitions owned, and which of them run too far ahead.
    private var group: WatermarkGroup<Int>

    /// The steady clock starts at 0.
    package init(_ stream: StreamSettings, settings: Settings = Settings()) {
        self.stream = stream
        self.settings = settings
        checkpointAt = settings.checkpointMs
        retryMs = settings.retryMs
        group = WatermarkGroup(alignMs: stream.alignMs)
    }

    package var processors: [Int: PartitionProcessor] { owned.mapValues(\.processor) }
    /// Assigned partitions that wait for the store.
    package var waiting: Int { unclaimed.count }
    /// Partitions held back because they run ahead of the others.
    package var paused: Set<Int> { group.paused }
    /// The watermark of the partitions owned that are not silent.
    package var groupWatermark: Int64? { group.watermark }

    /// What there is to do now; `nil`: wait for the log or for the time to pass.
    package mutating func next(_ time: StreamTime) -> Effect? {
        if !orders.isEmpty { return orders.removeFirst() }
        if storing != nil { return nextStoring() ?? next(time) }
        if stopping { return nil }
        if claimAt <= time.steady, let partition = unclaimed.min() { return .claim(partition) }
        guard checkpointAt <= time.steady || unstored >= settings.unstoredEvents else { return nil }
        checkpointAt = time.steady + settings.checkpointMs
        return .readEnds
    }
}

// MARK: What the log says

extension PartitionOwnership {
    package mutating func assigned(_ partitions: [Int]) {
        unclaimed.formUnion(partitions)
        claimAt = .min
    }

    /// Another worker is to have these: they are stored, then let go.
    package mutating func revoked(_ partitions: [Int]) {
        storing = Storing(partitions: partitions, releasing: partitions)
    }

    /// These are another worker's already: storing them would fail.
    package mutating func lost(_ partitions: [Int]) { forget(partitions) }

    /// Whoever may process a partition's records; `nil` for left-overs of a former assignment.
    package func processor(of partition: Int) -> PartitionProcessor? { owned[partition]?.processor }

    package mutating func processed(_ events: Int) { unstored += events }

    /// Stores everything once more and asks for nothing else.
    package mutating func stop() {
        stopping = true
        storing = Storing(partitions: Array(owned.keys))
    }
}

// MARK: Answers

extension PartitionOwnership {
    package mutating func claimed(_ partition: Int, epoch: Int64, state: PartitionState?) {
        guard unclaimed.remove(partition) != nil else { return }
        let processor = PartitionProcessor(partition: partition, settings: stream, restoring: state)
        owned[partition] = Owned(epoch: epoch, processor: processor, stored: state)
        group.add(partition, watermark: processor.watermark)
        let position = processor.position
        orders += [.start(partition: partition, at: position > 0 ? position : nil), .resume([partition])]
        if unclaimed.isEmpty { retryMs = settings.retryMs }
    }

    package mutating func claimFailed(_ time: StreamTime) { retryLater(time) }

    /// Lets the clock move on the partitions that have been read to their end, then begins a checkpoint.
    ///
    /// - Parameter ends: Those that are known.
    package mutating func ends(_ ends: [Int: Int64], _ time: StreamTime) {
        let paused = group.paused
        for (partition, entry) in owned {
            entry.processor.tick(now: time.wall)
            // A partition that is held back is not silent.
            let end = ends[partition]
            if !paused.contains(partition), end ?? 0 <= entry.processor.position {
                entry.processor.advance(now: time.wall, isDrained: end != nil)
            }
            group.update(partition, watermark: entry.processor.watermark, isIdle: entry.processor.isIdle)
        }
        for change in group.settle() {
            switch change {
            case .paused(let partition): orders.append(.pause([partition]))
            case .resumed(let partition): orders.append(.resume([partition]))
            case .watermark: break
            }
        }
        unstored = 0
        storing = Storing(partitions: Array(owned.keys))
    }

    package mutating func found(_ rows: [UUIDv7: RequestRow], _ time: StreamTime) {
        for partition in storing?.partitions ?? [] { owned[partition]?.processor.resolve(rows, now: time.wall) }
    }

    /// - Parameter fenced: Partitions that another worker has claimed since; nothing of theirs was stored.
    package mutating func committed(fenced: Set<Int>, _ time: StreamTime) -> Stored {
        var stored = Stored(fenced: fenced)
        for (_, checkpoint) in storing?.checkpoints ?? [] where !fenced.contains(checkpoint.state.partition) {
            let partition = checkpoint.state.partition
            guard let entry = owned[partition] else { continue }
            stored.offsets[partition] = checkpoint.state.nextOffset
            stored.counts.add(entry.processor.counts.since(entry.counted))
            owned[partition]?.stored = checkpoint.state
            owned[partition]?.counted = entry.processor.counts
        }
        if !fenced.isEmpty {
            // If they are still assigned to this worker when the wait is over, the other one has lost them.
            claimAt = time.steady + settings.longestRetryMs
            drop(fenced)
        }
        finishStoring()
        return stored
    }

    /// The commit may or may not have happened; what is stored decides when the partitions are claimed again.
    package mutating func storeFailed(_ time: StreamTime) {
        retryLater(time)
        drop(storing?.partitions.filter { owned[$0] != nil } ?? [])
        finishStoring()
    }
}

// MARK: Steps

extension PartitionOwnership {
    private mutating func nextStoring() -> Effect? {
        guard let partitions = storing?.partitions.sorted() else { return nil }
        if storing?.looksUp == true {
            storing?.looksUp = false
            let wanted = partitions.compactMap { owned[$0]?.processor.unresolvedFeedback() }.flatMap { $0 }
            if !wanted.isEmpty { return .lookUp(wanted) }
        }
        let checkpoints = partitions.compactMap { partition -> (epoch: Int64, checkpoint: Checkpoint)? in
            guard let entry = owned[partition] else { return nil }
            let checkpoint = entry.processor.checkpoint()
            return checkpoint.saysMore(than: entry.stored) ? (entry.epoch, checkpoint) : nil
        }
        storing?.checkpoints = checkpoints
        if checkpoints.isEmpty { finishStoring() }
        return checkpoints.isEmpty ? nil : .commit(checkpoints)
    }

    private mutating func finishStoring() {
        if let releasing = storing?.releasing, !releasing.isEmpty {
            forget(releasing)
            orders.append(.release(releasing))
        }
        storing = nil
    }

    private mutating func forget(_ partitions: [Int]) {
        for partition in partitions {
            owned[partition] = nil
            group.remove(partition)
            unclaimed.remove(partition)
        }
    }

    /// Gives up the state of partitions that are still assigned, to claim them again later.
    private mutating func drop(_ partitions: some Collection<Int>) {
        for partition in partitions {
            owned[partition] = nil
            group.remove(partition)
        }
        unclaimed.formUnion(partitions)
        if !partitions.isEmpty { orders.append(.pause(partitions.sorted())) }
    }

    private mutating func retryLater(_ time: StreamTime) {
        claimAt = time.steady + retryMs
        retryMs = min(retryMs * 2, settings.longestRetryMs)
    }
}

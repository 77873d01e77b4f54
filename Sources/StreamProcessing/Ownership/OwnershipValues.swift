/// A moment by two clocks, milliseconds.
package struct StreamTime: Sendable {
    /// Since the epoch; may be set back.
    package var wall: Int64
    /// Since the worker's start; only rises.
    package var steady: Int64

    package init(wall: Int64, steady: Int64) {
        self.wall = wall
        self.steady = steady
    }
}

extension PartitionOwnership {
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

    /// What a commit has settled.
    package struct Stored: Sendable {
        /// The offsets before which a partition's records are in the store.
        package var offsets: [Int: Int64] = [:]
        /// What was counted since the commit before.
        package var counts = StreamCounts()
        /// Partitions that another worker has claimed.
        package var fenced: Set<Int>
    }
}

extension Checkpoint {
    /// Whether there is anything to store beside `stored`.
    func saysMore(than stored: PartitionState?) -> Bool {
        state != stored || !changedWindows.isEmpty || !purgedWindows.isEmpty || !results.isEmpty || !feedback.isEmpty
            || !requests.isEmpty || !panes.isEmpty || !deadLetters.isEmpty
    }
}

extension StreamCounts {
    /// What was added since `earlier`.
    package func since(_ earlier: StreamCounts) -> StreamCounts {
        var difference = self
        difference.requests -= earlier.requests
        difference.duplicates -= earlier.duplicates
        difference.repeatedOffsets -= earlier.repeatedOffsets
        difference.skipped -= earlier.skipped
        difference.deadLetters.merge(earlier.deadLetters) { $0 - $1 }
        difference.late.merge(earlier.late) { $0 - $1 }
        difference.unassigned -= earlier.unassigned
        return difference
    }

    package mutating func add(_ other: StreamCounts) {
        requests += other.requests
        duplicates += other.duplicates
        repeatedOffsets += other.repeatedOffsets
        skipped += other.skipped
        deadLetters.merge(other.deadLetters, uniquingKeysWith: +)
        late.merge(other.late, uniquingKeysWith: +)
        unassigned += other.unassigned
    }
}

package import Core
import GRDB

/// Reads the local log directly, for a deployment without Kafka; every partition is this reader's from the start.
package actor LocalLogReader: EventLogReader {
    package nonisolated let topic: String
    private let log: LocalLog
    private let database: DatabaseQueue
    private var announced = false
    private var closed = false
    /// Where to read on, by started partition.
    private var positions: [Int: Int64] = [:]
    private var paused: Set<Int> = []
    /// The partition looked at last; the next look starts after it, so that a busy one cannot starve the others.
    private var last = -1

    private static let pollInterval = Duration.milliseconds(10)

    /// - Parameter topic: The name under which offsets are kept, as with Kafka.
    /// - Throws: `TrimtabError` if the file cannot be read.
    package init(log: LocalLog, topic: String) throws(TrimtabError) {
        self.log = log
        self.topic = topic
        do {
            database = try LocalLogStore.reading(path: log.settings.path)
        } catch {
            throw LocalLogFault.described(error, path: log.settings.path)
        }
    }

    package func partitionCount() -> Int { log.settings.partitions }

    package func next(timeout: Duration) async throws -> EventLogSignal {
        if !announced {
            announced = true
            return .assigned(Array(0..<log.settings.partitions))
        }
        let deadline = ContinuousClock.now + timeout
        while true {
            guard !closed else { throw EventLogFault.closed }
            if let partition = partitionWithNews(), let signal = try await read(partition) { return signal }
            let left = deadline - .now
            guard left > .zero else { return .idle }
            try await Task.sleep(for: min(left, Self.pollInterval))
        }
    }

    /// The end offsets are in memory, so that an idle reader costs no query.
    private func partitionWithNews() -> Int? {
        let ends = log.endOffsets
        for step in 1...ends.count {
            let partition = (last + step) % ends.count
            if let position = positions[partition], position < ends[partition], !paused.contains(partition) {
                last = partition
                return partition
            }
        }
        return nil
    }

    /// - Returns: `nil` if the partition was moved or taken away while it was read.
    private func read(_ partition: Int) async throws -> EventLogSignal? {
        guard let position = positions[partition] else { return nil }
        let from = max(position, 0)
        let end = log.endOffsets[partition]
        let batch: EventBatch
        do {
            batch = try await database.read { try LocalLogStore.read($0, partition: partition, from: from) }
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            throw LocalLogFault.described(error, path: log.settings.path)
        }
        guard positions[partition] == position, !paused.contains(partition) else { return nil }
        // Older records than the first one found were evicted, all up to `end` if none was found.
        let oldest = batch.entries.first?.offset ?? end
        if oldest > from {
            positions[partition] = oldest
            return position == EventLogOffset.beginning ? nil : .gap(partition: partition, from: from, to: oldest)
        }
        guard let nextOffset = batch.nextOffset else { return nil }
        positions[partition] = nextOffset
        return .batch(batch)
    }

    package func start(partition: Int, at offset: Int64) throws {
        let end = log.endOffsets[partition]
        guard offset <= end else {
            throw EventLogFault.ahead(topic: topic, partition: partition, offset: offset, end: end)
        }
        positions[partition] = offset
        log.markDone(partition: partition, before: offset)
    }

    package func release(_ partitions: [Int]) { for partition in partitions { positions[partition] = nil } }

    package func pause(_ partitions: [Int]) { paused.formUnion(partitions) }

    package func resume(_ partitions: [Int]) { paused.subtract(partitions) }

    package func endOffsets() -> [Int: Int64] {
        let ends = log.endOffsets
        return positions.reduce(into: [:]) { $0[$1.key] = ends[$1.key] }
    }

    package func close() { closed = true }
}

/// Errors that both readers share.
enum EventLogFault {
    static let closed = TrimtabError(
        "event_log.closed", "The event log reader was closed.", remedy: "Make a new reader to read on.")

    static func ahead(topic: String, partition: Int, offset: Int64, end: Int64) -> TrimtabError {
        TrimtabError(
            "event_log.ahead",
            "Partition \(partition) of '\(topic)' ends at offset \(end), but the stream has stored offset \(offset): "
                + "this is not the log that was read before.",
            remedy: "Bring the old log back, or name a new event_log.topic so that the stream starts anew.")
    }
}

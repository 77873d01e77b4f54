package import Core
import GRDB

/// Reads the local log directly, for a deployment without Kafka; every partition is this reader's from the start.
///
/// The stream's own reader shares the writer's memory and tells it how far it is. A replay reads the file instead: in any
/// process, beside the writer or without one, and nothing is let go because of it.
package actor LocalLogReader: EventLogReader {
    package nonisolated let topic: String
    private let path: String
    /// `nil` if only the file is read.
    private let log: LocalLog?
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
        path = log.settings.path
        do {
            database = try LocalLogStore.reading(path: path)
        } catch {
            throw LocalLogFault.described(error, path: path)
        }
    }

    /// Reads the file at `path` for a replay, whether or not a gateway writes it.
    ///
    /// - Throws: `TrimtabError` if there is no such file, or it is not in the present format.
    package init(file path: String, topic: String) throws(TrimtabError) {
        log = nil
        self.topic = topic
        self.path = path
        do {
            database = try LocalLogStore.reading(path: path)
            let version = try database.read { try LocalLogStore.version(of: $0) }
            guard version == LocalLogStore.version else { throw LocalLogFault.version(version) }
        } catch {
            throw LocalLogFault.described(error, path: path)
        }
    }

    package func partitionCount() async throws -> Int { try await ends().count }

    package func next(timeout: Duration) async throws -> EventLogSignal {
        if !announced {
            announced = true
            return .assigned(Array(0..<(try await partitionCount())))
        }
        let deadline = ContinuousClock.now + timeout
        while true {
            guard !closed else { throw EventLogFault.closed }
            let ends = try await ends()
            if let partition = partitionWithNews(ends), let signal = try await read(partition) { return signal }
            let left = deadline - .now
            guard left > .zero else { return .idle }
            try await Task.sleep(for: min(left, Self.pollInterval))
        }
    }

    /// In memory for the stream, so that an idle one costs no query.
    private func ends() async throws -> [Int64] {
        if let log { return log.endOffsets }
        return try await query { try LocalLogStore.endOffsets($0) }
    }

    private func query<Value: Sendable>(_ body: @Sendable (Database) throws -> Value) async throws -> Value {
        do {
            return try await database.read(body)
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            throw LocalLogFault.described(error, path: path)
        }
    }

    private func partitionWithNews(_ ends: [Int64]) -> Int? {
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
        let end = try await ends()[partition]
        let batch = try await query { try LocalLogStore.read($0, partition: partition, from: from) }
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

    package func start(partition: Int, at offset: Int64) async throws {
        let end = try await ends()[partition]
        guard offset <= end else {
            throw EventLogFault.ahead(topic: topic, partition: partition, offset: offset, end: end)
        }
        positions[partition] = offset
        log?.markDone(partition: partition, before: offset)
    }

    package func release(_ partitions: [Int]) { for partition in partitions { positions[partition] = nil } }

    package func pause(_ partitions: [Int]) { paused.formUnion(partitions) }

    package func resume(_ partitions: [Int]) { paused.subtract(partitions) }

    package func endOffsets() async throws -> [Int: Int64] {
        let ends = try await ends()
        return positions.reduce(into: [:]) { $0[$1.key] = ends[$1.key] }
    }

    package func offset(partition: Int, atOrAfter time: Int64) async throws -> Int64? {
        try await query { try LocalLogStore.offset($0, partition: partition, atOrAfter: time) }
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

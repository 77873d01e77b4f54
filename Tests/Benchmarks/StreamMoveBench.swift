import Core
import EventLog
import Foundation
import PostgresClient
import Server
import StateStore
import StreamProcessing
import Synchronization

/// How soon after its window a result can be read, and how soon a partition runs on after it has moved, under live
/// traffic with the product's own bound and checkpoints.
enum StreamMoveBench {
    private static let partitions = 8
    private static let perSecond = 4_000
    private static let measuredS = 20

    static func measure(_ cluster: PostgresCluster, _ folder: URL) async throws -> [Figure] {
        let topic = try await MockKafkaProcess(.live, count: perSecond, partitions: partitions, folder: folder)
        defer { topic.process.end() }
        let pool = try await StreamKafkaBench.database("live", in: cluster)
        let first = try Member(topic, pool, owner: "first")
        let latencies = try await latencies(pool, after: StreamKafkaBench.milliseconds() + 8_000)
        print("\(latencies.count) results: median \(latencies.median) ms after the window's end")

        let second = try Member(topic, pool, owner: "second")
        try await second.waitForMoves(1)
        try await first.stop()
        try await second.waitForMoves(partitions)
        try await second.stop()
        await pool.close()
        let moves = second.reader.moves
        print("\(moves.count) partitions moved: median \(moves.median) s from assignment to the next record")
        return [
            Figure(name: "stream.result_latency_p99_ms", value: latencies.percentile(0.99), unit: "ms"),
            Figure(name: "stream.moved_partition_s", value: moves.max() ?? .infinity, unit: "s"),
        ]
    }

    /// Milliseconds from the end of its window to when a result is seen, for windows that end in the measured time.
    private static func latencies(_ pool: PostgresPool, after start: Int64) async throws -> [Double] {
        let end = start + Int64(measuredS) * 1_000
        var seen: [Int64: Int] = [:]
        var latencies: [Double] = []
        while StreamKafkaBench.milliseconds() < end + 5_000 {
            let rows = try await pool.withConnection {
                try await $0.query(
                    """
                    SELECT window_end, count(*) AS n FROM window_results WHERE window_end > $1 AND window_end <= $2
                    GROUP BY 1
                    """, [start, end])
            }.rows
            let now = StreamKafkaBench.milliseconds()
            for row in rows {
                let (window, count): (Int64, Int) = (try row["window_end"], try row["n"])
                let new = count - (seen.updateValue(count, forKey: window) ?? 0)
                latencies += Array(repeating: Double(now - window), count: new)
            }
            try await Task.sleep(for: .milliseconds(5))
        }
        return latencies
    }

    /// A worker and its reader.
    private struct Member {
        let reader: TimedReader
        private let worker: StreamWorker
        private let work: Task<Void, any Error>

        init(_ topic: MockKafkaProcess, _ pool: PostgresPool, owner: String) throws {
            let reader = TimedReader(
                try KafkaLogReader(settings: StreamKafkaBench.kafka(topic, group: "live")))
            var settings = StreamSettings()
            settings.windowMs = 1_000
            let worker = StreamWorker(
                reader: reader,
                store: CheckpointStore(pool, job: "live", topic: MockKafkaProcess.topic, owner: owner),
                stream: settings, now: StreamKafkaBench.milliseconds)
            self.reader = reader
            self.worker = worker
            work = Task { try await worker.run() }
        }

        func waitForMoves(_ count: Int) async throws {
            let deadline = ContinuousClock.now + .seconds(40)
            while reader.moves.count < count {
                guard ContinuousClock.now < deadline else {
                    throw TrimtabError("bench.moves", "No partition moved.", remedy: "This is a defect.")
                }
                try await Task.sleep(for: .milliseconds(20))
            }
        }

        func stop() async throws {
            worker.stop()
            try await work.value
        }
    }
}

/// Notes how long after its assignment each partition gives its first records.
private final class TimedReader: EventLogReader {
    private struct State {
        var assigned: [Int: ContinuousClock.Instant] = [:]
        var moves: [Double] = []
    }

    private let reader: KafkaLogReader
    private let state = Mutex(State())

    init(_ reader: KafkaLogReader) { self.reader = reader }

    /// Seconds.
    var moves: [Double] { state.withLock { $0.moves } }
    var topic: String { reader.topic }

    func next(timeout: Duration) async throws -> EventLogSignal {
        let signal = try await reader.next(timeout: timeout)
        state.withLock { state in
            switch signal {
            case .assigned(let partitions): for partition in partitions { state.assigned[partition] = .now }
            case .batch(let batch):
                guard let since = state.assigned.removeValue(forKey: batch.partition) else { return }
                state.moves.append((ContinuousClock.now - since) / .seconds(1))
            default: break
            }
        }
        return signal
    }

    func partitionCount() async throws -> Int { try await reader.partitionCount() }
    func start(partition: Int, at offset: Int64) async throws { reader.start(partition: partition, at: offset) }
    func release(_ partitions: [Int]) async throws { reader.release(partitions) }
    func pause(_ partitions: [Int]) async throws { reader.pause(partitions) }
    func resume(_ partitions: [Int]) async throws { reader.resume(partitions) }
    func endOffsets() async throws -> [Int: Int64] { reader.endOffsets() }
    func offset(partition: Int, atOrAfter time: Int64) async throws -> Int64? {
        try await reader.offset(partition: partition, atOrAfter: time)
    }
    func close() async { await reader.close() }
}

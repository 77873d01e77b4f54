import Core
import EventLog
import Foundation
import Statistics
import StreamProcessing
import Telemetry

/// From the local log to window results on one core: reading, JSON, windows, sketches, request rows and checkpoints.
///
/// `stream.records_per_second` is records over CPU seconds of all threads, so it does not profit from a second core.
enum StreamBench: Benchmark {
    static let name = "stream"
    private static let records = 400_000
    private static let partitions = 4
    private static let start: Int64 = 1_763_650_020_000

    static func run() async throws -> [Figure] {
        // First, while the process is small: later ones would find room that others have left.
        let memory = StreamEngineBench.megabytes(keys: 10_000)
        let folder = FileManager.default.temporaryDirectory.appending(path: "trimtab-bench-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let settings = LocalLogSettings(
            path: folder.appending(path: "log.sqlite").path, gatewayID: "bench", partitions: partitions)
        let log = try LocalLog(settings: settings)
        let bytes = try await fill(log)
        print("\(records) records of \(bytes / records) bytes on average")

        var best = 0.0
        for round in 1...3 {
            let rate = try await measure(log)
            print("round \(round): \(Int(rate)) records per CPU-second")
            best = max(best, rate)
        }
        await log.close()
        var generator = SplitMix64(seed: 7)
        let own = (0..<200_000).map { record($0, &generator) }
        let panes = try StreamEngineBench.panes(ReferenceEvents.bytes(count: 500_000))
        return try reference() + [
            Figure(
                name: "stream.product_records_per_second", value: try StreamEngineBench.product(own), unit: "records/s"),
            Figure(name: "stream.local_log_records_per_second", value: best, unit: "records/s"),
            Figure(name: "stream.sliding_12_panes_ratio", value: panes, unit: "ratio"),
            Figure(
                name: "stream.event_at_100000_keys", value: StreamEngineBench.microseconds(keys: 100_000), unit: "us"),
            Figure(
                name: "stream.memory_10000_keys_3_windows", value: memory, unit: "MB"
            ),
            Figure(
                name: "stream.ddsketch_insert_ns", value: (0..<15).map { _ in sketchInsert() }.min() ?? 0, unit: "ns"),
        ]
    }

    /// The reference event through the engine and through its peers, in the same run and from the same bytes.
    private static func reference() throws -> [Figure] {
        let events = 1_000_000
        let file = FileManager.default.temporaryDirectory.appending(path: "trimtab-events-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: file) }
        try ReferenceEvents.write(count: events, to: file)
        let own = try StreamEngineBench.reference(ReferenceEvents.bytes(count: events))
        var figures = [Figure(name: "stream.records_per_second", value: own.rate, unit: "records/s")]
        for (name, peer) in [
            ("stream.vs_python", try StreamPeers.python(file: file)),
            ("stream.vs_flink", try StreamPeers.flink(file: file)),
        ] {
            guard let peer else { continue }
            guard peer.records == own.records, abs(peer.sum - own.sum) < 1e-9 * own.sum else {
                throw TrimtabError(
                    "bench.stream",
                    "\(name): we count \(own.records) with a sum of \(own.sum), the peer \(peer.records) and \(peer.sum).",
                    remedy: "This is a defect.")
            }
            print("\(name): the peer makes \(Int(peer.recordsPerCPUSecond)) records per CPU-second")
            figures.append(Figure(name: name, value: own.rate / peer.recordsPerCPUSecond, unit: "ratio"))
        }
        return figures
    }

    /// Reads the log from its beginning and checks that the windows count every record.
    private static func measure(_ log: LocalLog) async throws -> Double {
        let reader = try LocalLogReader(log: log, topic: "bench")
        let processors = (0..<partitions).map { PartitionProcessor(partition: $0, settings: StreamSettings()) }
        let decoder = EventDecoder()
        var left = records
        var sinceCheckpoint = 0
        var counted: Int64 = 0
        let began = CPUClock.now()
        while left > 0 {
            switch try await reader.next(timeout: .seconds(5)) {
            case .assigned(let assigned):
                for partition in assigned { try await reader.start(partition: partition, at: 0) }
            case .batch(let batch):
                for entry in batch.entries {
                    processors[batch.partition].process(
                        batch.bytes, entry.range, kind: entry.kind, offset: entry.offset, now: start + 600_000,
                        decoder: decoder)
                }
                left -= batch.entries.count
                sinceCheckpoint += batch.entries.count
                if sinceCheckpoint >= 100_000 {
                    counted += processors.reduce(0) { $0 + results($1.checkpoint()) }
                    sinceCheckpoint = 0
                }
            case .idle: throw TrimtabError("bench.stream", "The log stopped early.", remedy: "Run it again.")
            default: break
            }
        }
        for processor in processors {
            processor.advance(now: start + 600_000)
            processor.advance(now: start + 900_000)
            counted += results(processor.checkpoint())
        }
        let seconds = CPUClock.now() - began
        await reader.close()
        guard counted == records else {
            throw TrimtabError(
                "bench.stream", "The windows count \(counted) of \(records) records.", remedy: "This is a defect.")
        }
        return Double(records) / seconds
    }

    /// What a checkpoint's on-time results count, with the bytes that would be stored made too.
    private static func results(_ checkpoint: Checkpoint) -> Int64 {
        var bytes = checkpoint.state.encoded().count
        for window in checkpoint.changedWindows { bytes += window.aggregate.encoded().count }
        for result in checkpoint.results { bytes += result.aggregate.encoded().count }
        return bytes == 0 ? 0 : checkpoint.results.reduce(0) { $0 + $1.aggregate.requests }
    }

    /// Appends the records at the pace of the log's queue; returns their size.
    private static func fill(_ log: LocalLog) async throws -> Int {
        var random = SplitMix64(seed: 7)
        var size = 0
        var bytes: [UInt8] = []
        for number in 0..<records {
            let event = LogEvent.request(record(number, &random))
            bytes.removeAll(keepingCapacity: true)
            EventEncoder.encode(event, into: &bytes)
            size += bytes.count
            log.append(event)
            while log.statistics.queued > 8_000 { try await Task.sleep(for: .milliseconds(2)) }
        }
        while log.endOffsets.reduce(0, +) < records { try await Task.sleep(for: .milliseconds(10)) }
        return size
    }

    /// Fifty keys over four minutes, or at the time given; a little out of order.
    static func record(_ number: Int, at time: Int64? = nil, _ random: inout SplitMix64) -> RequestRecord {
        let at = (time ?? start + Int64(number) * 240_000 / Int64(records)) - Int64(random.next() % 1_500)
        let total = 200 * (1 + random.unit() * 9)
        var record = RequestRecord(
            id: UUIDv7(milliseconds: at, using: &random), at: at, startedAt: at - Int64(total),
            route: "route-\(number % 5)", outcome: random.unit() < 0.01 ? .upstreamError : .complete, status: 200,
            totalMs: (total * 10).rounded() / 10)
        record.key = "web"
        record.session = String(random.next(), radix: 16)
        record.policy = 3
        record.target = "cheap"
        record.provider = "openai"
        record.model = "model-\(number % 10)"
        record.credential = "main"
        record.stream = true
        record.finish = "stop"
        record.ttftMs = (total * 2).rounded() / 10
        record.overheadMs = 0.06
        record.tokens = TokenUsage(input: Int(random.next() % 2_000), output: Int(random.next() % 500))
        record.cost = NanoUSD(Int64(random.next() % 1_000_000))
        record.price = "2026-07-02#41"
        return record
    }

    /// Nanoseconds for one insert of a log-normal latency.
    private static func sketchInsert() -> Double {
        var random = SplitMix64(seed: 3)
        let values = (0..<4_096).map { _ in 200 * exp(random.normal() * 0.6) }
        var sketch = DDSketch()
        let rounds = 4_000
        let began = CPUClock.now()
        for _ in 0..<rounds { for value in values { sketch.insert(value) } }
        let seconds = CPUClock.now() - began
        return sketch.count > 0 ? seconds * 1e9 / Double(rounds * values.count) : 0
    }
}

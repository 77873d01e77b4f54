import Core
import Foundation
import KafkaClient
import Telemetry
import TestSupport

/// A mock Kafka cluster in a process of its own, so that its CPU time is not the consumer's.
///
/// The mock keeps at most 5 MiB a partition, at compressed size; whoever reads checks that nothing is missing.
struct MockKafkaProcess {
    enum Content: String {
        /// The product's own records, made in the last minutes.
        case requests
        /// The reference event.
        case reference
        /// The product's own records, so many a second for as long as the process lives.
        case live
    }

    static let argument = "--mock-kafka"
    static let topic = "bench"
    private static let word = "bootstrap.servers="

    let process: ChildProcess
    let partitions: Int
    let properties: [String: String]

    /// - Parameter count: Records, of `live` a second.
    init(_ content: Content, count: Int, partitions: Int, folder: URL) async throws {
        let log = folder.appending(path: "kafka-\(content.rawValue).log")
        process = try ChildProcess(
            CommandLine.arguments[0], [Self.argument, content.rawValue, "\(count)", "\(partitions)"], log: log)
        func servers() -> Substring? {
            let text = (try? String(contentsOf: log, encoding: .utf8)) ?? ""
            return text.split(separator: "\n").first { $0.hasPrefix(Self.word) }?.dropFirst(Self.word.count)
        }
        try await process.wait(every: .milliseconds(20), for: "kafka") { servers() != nil }
        self.partitions = partitions
        properties = [
            "bootstrap.servers": String(servers() ?? ""), "session.timeout.ms": "6000",
            "heartbeat.interval.ms": "500", "fetch.wait.max.ms": "10",
        ]
    }

    // MARK: The process itself

    /// Fills the topic, says where it is, and stays until it is ended or its parent is gone.
    static func serve(_ arguments: [String]) async {
        guard arguments.count == 3, let content = Content(rawValue: arguments[0]), let count = Int(arguments[1]),
            let partitions = Int(arguments[2])
        else { return print("usage: \(argument) CONTENT COUNT PARTITIONS") }
        let parent = getppid()
        do {
            let mock = try MockKafka()
            mock.createTopic(topic, partitions: Int32(partitions))
            var feeder = try Feeder(content, properties: mock.properties, partitions: partitions)
            if content != .live { try await feeder.fill(content, count: count) }
            FileHandle.standardOutput.write(Data("\(word)\(mock.bootstrapServers)\n".utf8))
            if content == .live { try await feeder.feed(perSecond: count) { getppid() == parent } }
            while getppid() == parent { try await Task.sleep(for: .milliseconds(200)) }
            mock.close()
        } catch {
            print("\(error)")
        }
    }
}

/// Produces as the shipper does, with its settings and a number for each record. What is there before the consumer is in
/// full batches: the mock walks through all batches of a partition at each fetch, on the consumer's core.
private struct Feeder {
    private static let window = 150_000
    private let producer: KafkaProducer
    private let partitions: Int
    private var sent: UInt64 = 0
    private var acknowledged: UInt64 = 0
    private var seqs: [Int64]
    private var random = SplitMix64(seed: 7)

    init(_ content: MockKafkaProcess.Content, properties: [String: String], partitions: Int) throws {
        var properties = properties
        if content != .live { properties["linger.ms"] = "200" }
        producer = try KafkaProducer(topic: MockKafkaProcess.topic, properties: properties, maxInFlight: Self.window)
        self.partitions = partitions
        seqs = Array(repeating: 0, count: partitions)
    }

    mutating func fill(_ content: MockKafkaProcess.Content, count: Int) async throws {
        if content == .reference {
            let bytes = ReferenceEvents.bytes(count: count)
            for number in 0..<count {
                let start = number * (ReferenceEvents.bytesPerEvent + 1)
                try await send(bytes[start..<(start + ReferenceEvents.bytesPerEvent)], to: number % partitions)
            }
        } else {
            let start = milliseconds() - 360_000
            for number in 0..<count { try await request(number, at: start + Int64(number * 240_000 / count)) }
        }
        while acknowledged < sent { try await settle() }
    }

    mutating func feed(perSecond rate: Int, while going: () -> Bool) async throws {
        let began = ContinuousClock.now
        while going() {
            let due = Int((ContinuousClock.now - began) / .seconds(1) * Double(rate))
            // At once, as it happens: the time of a live request is in order.
            while sent < due { try await request(Int(sent), at: milliseconds(), isLive: true) }
            try await settle()
        }
    }

    private mutating func request(_ number: Int, at time: Int64, isLive: Bool = false) async throws {
        var record = StreamBench.record(number, at: time, &random)
        if isLive { record.at = time }
        let event = LogEvent.request(record)
        let partition = event.bucketID.partition(of: partitions)
        seqs[partition] += 1
        var bytes: [UInt8] = []
        EventEncoder.encode(event, as: .init(producer: "bench/1", seq: seqs[partition]), into: &bytes)
        try await send(bytes[...], to: partition)
    }

    private mutating func send(_ bytes: ArraySlice<UInt8>, to partition: Int) async throws {
        sent += 1
        while true {
            switch producer.produce(
                partition: partition, key: "bench", header: ("kind", "request"), value: bytes, id: sent)
            {
            case .queued: return
            case .full: try await settle()
            case .failed(let error): throw error
            }
        }
    }

    private mutating func settle() async throws {
        for delivery in producer.takeDeliveries() {
            if let error = delivery.error { throw error }
            acknowledged += 1
        }
        try await Task.sleep(for: .milliseconds(2))
    }

    private func milliseconds() -> Int64 { Int64(Date().timeIntervalSince1970 * 1_000) }
}

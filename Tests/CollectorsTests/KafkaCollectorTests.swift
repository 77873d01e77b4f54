import Collectors
import Core
import EventLog
import KafkaClient
import Logging
import ServiceLifecycle
import Synchronization
import Telemetry
import TestSupport
import Testing

@Suite(.serialized) struct KafkaCollectorTests {
    private static let topic = "otlp_spans"

    /// What was put aside.
    private final class Letters: Sendable {
        private let all = Mutex<[UnreadablePayload]>([])
        private let failures = Mutex(1)

        /// Fails once, as a store that is away.
        func keep(_ letters: [UnreadablePayload]) throws {
            let fails = failures.withLock { count in
                defer { count = max(0, count - 1) }
                return count > 0
            }
            if fails { throw KafkaError.closed }
            all.withLock { $0 += letters }
        }
        var value: [UnreadablePayload] { all.withLock { $0 } }
    }

    /// Counts the failed commits that a collector reports.
    private struct FailedCommits: LogHandler {
        final class Count: Sendable {
            let value = Mutex(0)
        }

        let count: Count
        var logLevel = Logger.Level.warning
        var metadata: Logger.Metadata = [:]
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }
        func log(event: Logging.LogEvent) {
            let error = event.metadata?["error"]?.description ?? ""
            if ["REBALANCE_IN_PROGRESS", "GROUP_AUTHORIZATION_FAILED"].contains(where: error.contains) {
                count.value.withLock { $0 += 1 }
            }
        }
    }

    private func run(
        _ stage: Stage, _ kafka: MockKafka, _ letters: Letters, failures: FailedCommits.Count = .init(),
        until condition: @escaping @Sendable () -> Bool
    ) async throws -> Bool {
        let logger = Logger(label: "test") { _ in FailedCommits(count: failures) }
        let collector = KafkaCollector(
            ingest: stage.ingest,
            settings: .init(topic: Self.topic, group: "collectors", properties: kafka.groupProperties), logger: logger,
            now: { 7 }, keep: { try letters.keep($0) })
        let group = ServiceGroup(services: [collector], logger: logger)
        return try await withThrowingTaskGroup { tasks in
            tasks.addTask { try await group.run() }
            let reached = try await eventually(within: 40, condition)
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
            return reached
        }
    }

    private static func stored(_ stage: Stage) -> Int { stage.ingest.statistics.exports[.kafka]?[.stored] ?? 0 }

    private func send(_ payloads: [(partition: Int, header: String, value: [UInt8])], _ kafka: MockKafka) async throws {
        let producer = try KafkaProducer(topic: Self.topic, properties: kafka.properties, maxInFlight: 1_000)
        for (index, payload) in payloads.enumerated() {
            let outcome = producer.produce(
                partition: payload.partition, key: "k", header: ("content-type", payload.header),
                value: payload.value[...], id: UInt64(index + 1))
            #expect(outcome == .queued)
        }
        var delivered = 0
        #expect(
            try await eventually {
                delivered += producer.takeDeliveries().count { $0.error == nil }
                return delivered == payloads.count
            })
        await producer.close()
    }

    /// Exports of both encodings become records, garbage is put aside with its place, and a second collector of the same
    /// group goes on where the first has stopped.
    @Test(.timeLimit(.minutes(2))) func exportsOfATopicBecomeRecords() async throws {
        let kafka = try MockKafka()
        defer { kafka.close() }
        kafka.createTopic(Self.topic, partitions: 2)
        let stage = try Stage()
        let letters = Letters()
        let garbage: [UInt8] = Array("not an export".utf8)
        try await send(
            [
                (0, "application/x-protobuf", SpanExport(spans: [.chat(1), .chat(2)]).protobuf), (0, "", garbage),
                (0, "", SpanExport(spans: [.chat(3), .chat(1)]).json), (1, "application/json", [0x7b]),
                (1, "application/json", [0x20] + SpanExport(spans: [.chat(4)]).json),
                (1, "", SpanExport(spans: [.chat(0), .chat(5)]).protobuf),
            ], kafka)
        #expect(
            try await run(stage, kafka, letters) {
                letters.value.count == 2 && stage.ingest.statistics.exports[.kafka]?[.stored] == 4
            })
        #expect(stage.ingest.statistics.spans[.kafka] == [.accepted: 5, .duplicate: 1, .rejected: 1, .ignored: 0])
        let places = letters.value.sorted { $0.partition < $1.partition }
        #expect(places.map(\.partition) == [0, 1] && places.map(\.offset) == [1, 0])
        #expect(places.first?.raw == garbage && places.first?.topic == Self.topic)
        let records = try await stage.records()
        #expect(Set(records.map(\.id)).count == 5 && records.count == 5)
        #expect(records.allSatisfy { $0.key == nil && $0.cost == NanoUSD(189_000) })

        try await send([(0, "", SpanExport(spans: [.chat(6)]).protobuf)], kafka)
        let second = try Stage()
        #expect(try await run(second, kafka, letters) { second.ingest.statistics.exports[.kafka]?[.stored] == 1 })
        // Had nothing been committed, the first five would have come again.
        #expect(second.ingest.statistics.spans[.kafka]?[.accepted] == 1)
        await second.log.close()
        await stage.log.close()
    }

    /// A commit that fails is covered by the next one; what none has covered is read again, and dropped as known.
    @Test(.timeLimit(.minutes(2))) func commitsThatFailLoseAndDoubleNothing() async throws {
        let kafka = try MockKafka()
        defer { kafka.close() }
        kafka.createTopic(Self.topic, partitions: 1)
        let stage = try Stage()
        let letters = Letters()
        let failures = FailedCommits.Count()
        // After REBALANCE_IN_PROGRESS and GROUP_AUTHORIZATION_FAILED the client does not try again.
        var failed = 0
        for codes in [[27, 30, 27, nil], [30, 27]] as [[Int32?]] {
            let before = Self.stored(stage)
            async let reading = run(stage, kafka, letters, failures: failures) {
                Self.stored(stage) == before + codes.count
            }
            for (number, code) in zip((before + 1)..., codes) {
                if let code {
                    kafka.fail(.offsetCommit, with: [code])
                    failed += 1
                }
                try await send([(0, "", SpanExport(spans: [.chat(UInt64(number))]).protobuf)], kafka)
                // Only then the next, so that each has a commit of its own.
                let expected = failed
                let isCommitted = try await eventually(within: 40) {
                    Self.stored(stage) == number && failures.value.withLock { $0 } == expected
                }
                #expect(isCommitted)
            }
            let isRead = try await reading
            #expect(isRead)
        }
        #expect(stage.ingest.statistics.spans[.kafka] == [.accepted: 6, .duplicate: 0, .rejected: 0, .ignored: 0])

        // After COORDINATOR_LOAD_IN_PROGRESS and NOT_COORDINATOR it does, even while it closes.
        kafka.fail(.offsetCommit, with: [14, 16])
        #expect(try await run(stage, kafka, letters) { Self.stored(stage) == 8 })
        #expect(stage.ingest.statistics.spans[.kafka] == [.accepted: 6, .duplicate: 2, .rejected: 0, .ignored: 0])
        let records = try await stage.records()
        #expect(Set(records.map(\.id)).count == 6 && records.count == 6)

        // A second process knows none of these, and would have counted what was not committed.
        try await send([(0, "", SpanExport(spans: [.chat(7)]).protobuf)], kafka)
        let second = try Stage()
        #expect(try await run(second, kafka, letters) { Self.stored(second) == 1 })
        #expect(second.ingest.statistics.spans[.kafka]?[.accepted] == 1)
        await second.log.close()
        await stage.log.close()
    }

    /// After COORDINATOR_LOAD_IN_PROGRESS the client sends the first commit again a little later, behind which the group would be
    /// if the others were not kept back meanwhile.
    @Test(.timeLimit(.minutes(2))) func aCommitThatIsSentAgainSetsTheGroupBackBehindNoOther() async throws {
        let kafka = try MockKafka()
        defer { kafka.close() }
        kafka.createTopic(Self.topic, partitions: 1)
        let stage = try Stage()
        let letters = Letters()
        try await send([(0, "", SpanExport(spans: [.chat(1)]).protobuf)], kafka)
        let producer = try KafkaProducer(topic: Self.topic, properties: kafka.properties, maxInFlight: 10)
        async let reading = run(stage, kafka, letters) { Self.stored(stage) == 5 }
        #expect(try await eventually(within: 40) { Self.stored(stage) == 1 })
        kafka.fail(.offsetCommit, with: [14])
        for number in 2...5 as ClosedRange<UInt64> {
            let payload = SpanExport(spans: [.chat(number)]).protobuf
            let outcome = producer.produce(
                partition: 0, key: "", header: ("content-type", ""), value: payload[...], id: number)
            #expect(outcome == .queued)
            try await Task.sleep(for: .milliseconds(20))
        }
        let isRead = try await reading
        #expect(isRead)
        await producer.close()

        try await send([(0, "", SpanExport(spans: [.chat(6)]).protobuf)], kafka)
        let second = try Stage()
        #expect(try await run(second, kafka, letters) { Self.stored(second) > 0 })
        #expect(second.ingest.statistics.spans[.kafka]?[.accepted] == 1)
        await second.log.close()
        await stage.log.close()
    }
}

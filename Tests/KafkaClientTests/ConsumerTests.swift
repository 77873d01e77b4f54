import Foundation
import KafkaClient
import Synchronization
import TestSupport
import Testing

@Suite struct ConsumerTests {
    /// What PostgreSQL keeps in the product: the next offset of each partition, and every record once.
    private final class Store: Sendable {
        private let state = Mutex(
            (next: [Int: Int64](), seen: [Int](), members: [Int: Set<Int>](), sent: 0, owned: Set<Int>()))

        func next(_ partition: Int) -> Int64 { state.withLock { $0.next[partition] ?? -2 } }

        func take(_ batch: KafkaBatch, by member: Int) {
            state.withLock { state in
                let fresh = ReadNumber.all(of: batch).filter { $0.offset >= state.next[batch.partition] ?? 0 }
                state.seen += fresh.map(\.number)
                if let last = fresh.last { state.next[batch.partition] = last.offset + 1 }
                state.members[member, default: []].insert(batch.partition)
            }
        }

        /// The number of the next record to send.
        func number() -> Int {
            state.withLock { state in
                defer { state.sent += 1 }
                return state.sent
            }
        }

        /// Every record sent is here, once.
        var isComplete: Bool { state.withLock { $0.seen.sorted() == Array(0..<$0.sent) } }
        var sent: Int { state.withLock { $0.sent } }
        var seen: [Int] { state.withLock { $0.seen } }
        /// The partitions that our member has now.
        var owned: Set<Int> { state.withLock { $0.owned } }
        func own(_ partitions: [Int]) { state.withLock { $0.owned.formUnion(partitions) } }
        func disown(_ partitions: [Int]) { state.withLock { $0.owned.subtract(partitions) } }
        var members: [Int: Set<Int>] { state.withLock { $0.members } }
    }

    private func send(_ count: Int, to producer: KafkaProducer, from store: Store) {
        for _ in 0..<count {
            let number = store.number()
            #expect(producer.send(number, partition: number % 4) == .queued)
        }
    }

    private func work(_ consumer: KafkaConsumer, as member: Int, on store: Store, until done: () -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        while !done(), .now < deadline {
            switch try await consumer.next(timeout: .milliseconds(100)) {
            case .assigned(let partitions):
                store.own(partitions)
                for partition in partitions { consumer.start(partition: partition, at: store.next(partition)) }
            case .revoked(let partitions):
                store.disown(partitions)
                consumer.release(partitions)
            case .batch(let batch): store.take(batch, by: member)
            case .lost(let partitions): store.disown(partitions)
            case .overtaken, nil: break
            }
        }
    }

    @Test func theHeaderOfARecordThatTellsItselfIsNotRead() async throws {
        let kafka = try TestKafka()
        let topic = try await kafka.topic(partitions: 1)
        let producer = try KafkaProducer(topic: topic, properties: kafka.properties, maxInFlight: 100)
        for number in 0..<10 { #expect(producer.send(number, partition: 0) == .queued) }
        #expect(try await producer.deliveries(10).count == 10)
        var settings = kafka.settings(topic: topic)
        settings.headerFromValue = { value in unsafe value.first == UInt8(ascii: "7") ? "told" : nil }
        let consumer = try KafkaConsumer(settings: settings)
        let headers = try await consumer.collect(10)[0]?.map(\.header)
        #expect(headers == (0..<10).map { $0 == 7 ? "told" : "request" })
        await consumer.close()
        await producer.close()
        kafka.close()
    }

    @Test(arguments: [KafkaConsumerSettings.Assignor.cooperativeSticky, .range])
    func twoMembersShareThePartitionsAndLoseNothing(assignor: KafkaConsumerSettings.Assignor) async throws {
        let kafka = try TestKafka()
        let topic = try await kafka.topic(partitions: 4)
        let producer = try KafkaProducer(topic: topic, properties: kafka.properties, maxInFlight: 50_000)
        let store = Store()
        let first = try KafkaConsumer(settings: kafka.settings(topic: topic, assignor: assignor))
        send(1_000, to: producer, from: store)
        try await work(first, as: 1, on: store) { store.seen.count == 1_000 }
        #expect(store.members == [1: [0, 1, 2, 3]])

        let second = try KafkaConsumer(settings: kafka.settings(topic: topic, assignor: assignor))
        let isShared: @Sendable () -> Bool = { store.members[2]?.count == 2 }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                while !isShared(), store.sent < 40_000 {
                    send(1, to: producer, from: store)
                    try await Task.sleep(for: .milliseconds(1))
                }
            }
            let done: @Sendable () -> Bool = { isShared() && store.seen.count >= store.sent }
            group.addTask { try await work(first, as: 1, on: store, until: done) }
            group.addTask { try await work(second, as: 2, on: store, until: done) }
            try await group.waitForAll()
        }
        #expect(isShared())
        #expect(store.isComplete)

        // The one that stays takes over what the other had.
        await second.close()
        let before = store.seen.count
        send(400, to: producer, from: store)
        try await work(first, as: 3, on: store) { store.seen.count == before + 400 }
        #expect(store.members[3] == [0, 1, 2, 3])
        #expect(store.isComplete)
        await first.close()
        await producer.close()
        kafka.close()
    }

    /// A member that is killed says nothing: its partitions come back when its session has ended.
    @Test(
        .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/kcat"), "kcat is not installed"),
        .timeLimit(.minutes(2)), arguments: [KafkaConsumerSettings.Assignor.cooperativeSticky, .range])
    func whatAKilledMemberHadIsTakenOverAndComplete(assignor: KafkaConsumerSettings.Assignor) async throws {
        let kafka = try TestKafka()
        let topic = try await kafka.topic(partitions: 4)
        let producer = try KafkaProducer(topic: topic, properties: kafka.properties, maxInFlight: 50_000)
        let store = Store()
        let consumer = try KafkaConsumer(settings: kafka.settings(topic: topic, assignor: assignor))
        send(400, to: producer, from: store)
        try await work(consumer, as: 1, on: store) { store.seen.count == 400 }

        let other = Process()
        other.executableURL = URL(fileURLWithPath: "/usr/bin/kcat")
        let properties = kafka.groupProperties.merging(["partition.assignment.strategy": assignor.rawValue]) { $1 }
        other.arguments = properties.flatMap { ["-X", "\($0)=\($1)"] } + ["-q", "-G", topic, topic]
        (other.standardOutput, other.standardError) = (FileHandle.nullDevice, FileHandle.nullDevice)
        try other.run()
        // Released, they are the other's; what comes now is for nobody until it is gone.
        try await work(consumer, as: 1, on: store) { store.owned.count == 2 }
        #expect(store.owned.count == 2)
        send(400, to: producer, from: store)
        try await work(consumer, as: 1, on: store) { store.seen.count >= 600 }
        kill(other.processIdentifier, SIGKILL)
        try await work(consumer, as: 2, on: store) { store.seen.count >= 800 }
        #expect(store.isComplete)
        #expect(store.owned == [0, 1, 2, 3])
        await consumer.close()
        await producer.close()
        kafka.close()
    }

    /// With the consumer's own setting, for the client's is five minutes.
    @Test(.enabled(if: TestKafka.isMock, "\(TestKafka.faultsNeeded)"), .timeLimit(.minutes(1)))
    func aTopicThatAppearsLaterIsPickedUpSoon() async throws {
        let kafka = try MockKafka()
        kafka.createTopic("events", partitions: 2)
        kafka.hideTopic("events")
        let consumer = try KafkaConsumer(settings: kafka.settings())
        if case .some = try await consumer.next(timeout: .seconds(4)) { Issue.record("Something came from nowhere.") }
        kafka.hideTopic("events", false)
        let appeared = ContinuousClock.now
        let producer = try KafkaProducer(topic: "events", properties: kafka.properties, maxInFlight: 100)
        for number in 0..<10 { #expect(producer.send(number, partition: number % 2) == .queued) }
        #expect(try await consumer.collect(10).values.reduce(0) { $0 + $1.count } == 10)
        #expect(ContinuousClock.now - appeared < .seconds(25))
        await consumer.close()
        await producer.close()
        kafka.close()
    }

    /// The mock keeps 5 MiB a partition, so 12 MiB have overtaken an offset near the beginning.
    @Test(
        .enabled(if: TestKafka.isMock, "\(TestKafka.faultsNeeded)"),
        arguments: [KafkaConsumerSettings.Assignor.cooperativeSticky, .range])
    func reportsWhatRetentionHasTakenAndGoesOn(assignor: KafkaConsumerSettings.Assignor) async throws {
        let kafka = try MockKafka()
        kafka.createTopic("events", partitions: 1)
        let properties = kafka.properties.merging(["compression.type": "none", "batch.num.messages": "100"]) { $1 }
        let producer = try KafkaProducer(topic: "events", properties: properties, maxInFlight: 50_000)
        for number in 0..<12_000 { #expect(producer.send(number, partition: 0, padding: 1_000) == .queued) }
        #expect(try await producer.deliveries(12_000).count == 12_000)
        await producer.close()

        let consumer = try KafkaConsumer(settings: kafka.settings(assignor: assignor))
        var gap: (from: Int64, to: Int64)?
        var numbers: [Int] = []
        let deadline = ContinuousClock.now + .seconds(30)
        while numbers.last != 11_999, .now < deadline {
            switch try await consumer.next(timeout: .milliseconds(200)) {
            case .assigned(let partitions): for partition in partitions { consumer.start(partition: partition, at: 17) }
            case .overtaken(0, let from, let to): gap = (from, to)
            case .batch(let batch): numbers += ReadNumber.all(of: batch).map(\.number)
            default: break
            }
        }
        let to = Int(try #require(gap?.to))
        #expect(gap?.from == 17)
        #expect(to > 1_000)
        let isComplete = numbers == Array(to..<12_000)
        #expect(isComplete)
        await consumer.close()
        kafka.close()
    }

    /// Where a group has read up to is not known to a member from which nothing comes. It must not take that for a partition
    /// that stands still, which it reads again after ten seconds.
    @Test(.timeLimit(.minutes(1)))
    func whatTheGroupHasCommittedIsNotReadAgain() async throws {
        let kafka = try TestKafka()
        let topic = try await kafka.topic(partitions: 1)
        let producer = try KafkaProducer(topic: topic, properties: kafka.properties, maxInFlight: 100)
        for number in 0..<10 { #expect(producer.send(number, partition: 0) == .queued) }
        let first = try KafkaConsumer(settings: kafka.settings(topic: topic))
        #expect(try await first.collect(10)[0]?.count == 10)
        first.commit([0: 10])
        await first.close()

        let second = try KafkaConsumer(settings: kafka.settings(topic: topic))
        var numbers: [Int] = []
        var assigned: ContinuousClock.Instant?
        let deadline = ContinuousClock.now + .seconds(45)
        while numbers.isEmpty, .now < deadline {
            switch try await second.next(timeout: .milliseconds(200)) {
            case .assigned:
                second.start(partition: 0, at: KafkaConsumer.committed)
                assigned = .now
            case .batch(let batch): numbers += ReadNumber.all(of: batch).map(\.number)
            default: break
            }
            guard let since = assigned, since + .seconds(13) < .now else { continue }
            assigned = nil
            #expect(producer.send(10, partition: 0) == .queued)
        }
        #expect(numbers == [10])
        await second.close()
        await producer.close()
        kafka.close()
    }

    @Test(.timeLimit(.minutes(1)))
    func refusesToReadOnFromAnOffsetThatTheTopicDoesNotReach() async throws {
        let kafka = try TestKafka()
        let topic = try await kafka.topic(partitions: 1)
        let consumer = try KafkaConsumer(settings: kafka.settings(topic: topic))
        await #expect(throws: KafkaError.ahead(topic: topic, partition: 0, offset: 500, end: 0)) {
            while true {
                if case .assigned = try await consumer.next(timeout: .seconds(1)) {
                    consumer.start(partition: 0, at: 500)
                }
            }
        }
        await consumer.close()
        kafka.close()
    }
}

import KafkaClient
import TestSupport
import Testing

/// Members whose owner is slow to answer, or goes back to what it has stored at an awkward moment.
@Suite struct RebalanceTests {
    /// The owners of all members in one: what they have, and the next offset of each partition.
    private struct Owner {
        var next: [Int: Int64] = [:]
        var owned: [Int: Set<Int>] = [:]
        /// Assigned to a member and not started while this is not `nil`.
        var heldBack: Set<Int>?

        mutating func run(_ members: [Int: KafkaConsumer], for limit: Duration, until done: (Owner) -> Bool)
            async throws
        {
            let deadline = ContinuousClock.now + limit
            while !done(self), .now < deadline {
                for (number, member) in members {
                    while let event = try await member.next(timeout: .milliseconds(10)) {
                        obey(event, number, member)
                    }
                }
            }
        }

        func isRead(_ partitions: Set<Int>, to end: Int64) -> Bool { partitions.allSatisfy { next[$0] == end } }

        mutating func start(_ partitions: Set<Int>, _ number: Int, _ member: KafkaConsumer) {
            for partition in partitions { member.start(partition: partition, at: next[partition] ?? -2) }
            owned[number, default: []].formUnion(partitions)
        }

        mutating func obey(_ event: KafkaConsumerEvent, _ number: Int, _ member: KafkaConsumer) {
            switch event {
            case .assigned(let partitions) where heldBack != nil && number == 1: heldBack?.formUnion(partitions)
            case .assigned(let partitions): start(Set(partitions), number, member)
            case .revoked(let partitions):
                heldBack?.subtract(partitions)
                owned[number]?.subtract(partitions)
                member.release(partitions)
            case .lost(let partitions):
                heldBack?.subtract(partitions)
                owned[number]?.subtract(partitions)
            case .batch(let batch):
                for record in batch.records where record.offset == next[batch.partition] ?? 0 {
                    next[batch.partition] = record.offset + 1
                }
            case .overtaken: break
            }
        }
    }

    /// librdkafka takes every change of what it reads for the answer to a rebalance, and then refuses to give back
    /// partitions that it was never given: the member would stand still for ever.
    @Test(.enabled(if: TestKafka.isMock, "\(TestKafka.faultsNeeded)"), .timeLimit(.minutes(2)))
    func readingAPartitionAgainIsNoAnswerToARebalance() async throws {
        let kafka = try MockKafka()
        kafka.createTopic("events", partitions: 4)
        let producer = try KafkaProducer(topic: "events", properties: kafka.properties, maxInFlight: 50_000)
        for number in 0..<400 { #expect(producer.send(number, partition: number % 4) == .queued) }
        var owner = Owner()
        let first = try KafkaConsumer(settings: kafka.settings())
        try await owner.run([1: first], for: .seconds(20)) { $0.owned[1]?.count == 4 }
        let second = try KafkaConsumer(settings: kafka.settings())
        try await owner.run([1: first, 2: second], for: .seconds(20)) { $0.owned[2]?.count == 2 }
        let kept = try #require(owner.owned[1]?.min())
        #expect(owner.owned[1]?.count == 2)

        await second.close()
        owner.heldBack = []
        try await owner.run([1: first], for: .seconds(20)) { $0.heldBack?.count == 2 }
        #expect(owner.heldBack?.count == 2)
        first.start(partition: kept, at: owner.next[kept] ?? -2)
        let third = try KafkaConsumer(settings: kafka.settings())
        // The group does not wait for the owner that holds back.
        try await owner.run([1: first, 3: third], for: .seconds(20)) { $0.owned[3]?.count == 2 }
        #expect(owner.owned[3]?.count == 2)
        let held = owner.heldBack ?? []
        owner.heldBack = nil
        owner.start(held, 1, first)
        for number in 0..<400 { #expect(producer.send(number, partition: number % 4) == .queued) }
        try await owner.run([1: first, 3: third], for: .seconds(60)) { owner in
            owner.owned[3]?.count == 2 && owner.next == [0: 200, 1: 200, 2: 200, 3: 200]
        }
        #expect(owner.owned[3]?.count == 2)
        #expect(owner.next == [0: 200, 1: 200, 2: 200, 3: 200])
        await first.close()
        await third.close()
        await producer.close()
        kafka.close()
    }

    /// While it is held back a member reads nothing; what the group takes from it moves all the same, and the rest goes on.
    @Test(
        .timeLimit(.minutes(2)), arguments: [KafkaConsumerSettings.Assignor.cooperativeSticky, .range])
    func aMemberThatIsHeldBackHandsOver(assignor: KafkaConsumerSettings.Assignor) async throws {
        let kafka = try TestKafka()
        let topic = try await kafka.topic(partitions: 4)
        let producer = try KafkaProducer(topic: topic, properties: kafka.properties, maxInFlight: 50_000)
        for number in 0..<40_000 { #expect(producer.send(number, partition: number % 4) == .queued) }
        #expect(try await producer.deliveries(40_000).count == 40_000)
        var settings = kafka.settings(topic: topic, assignor: assignor)
        settings.maxWaitingBatches = 2
        var owner = Owner()
        let first = try KafkaConsumer(settings: settings)
        let deadline = ContinuousClock.now + .seconds(30)
        while owner.next.isEmpty, .now < deadline {
            if let event = try await first.next(timeout: .milliseconds(100)) { owner.obey(event, 1, first) }
        }
        // Longer than a full mailbox is waited for.
        try await Task.sleep(for: .seconds(2))
        #expect(first.waiting.batches >= 2)
        let second = try KafkaConsumer(settings: settings)
        try await Task.sleep(for: .seconds(4))
        try await owner.run([1: first, 2: second], for: .seconds(60)) { owner in
            owner.owned[1]?.count == 2 && owner.owned[2]?.count == 2 && owner.isRead([0, 1, 2, 3], to: 10_000)
        }
        #expect(owner.owned[1]?.count == 2)
        #expect(owner.owned[2]?.count == 2)
        #expect(owner.next == [0: 10_000, 1: 10_000, 2: 10_000, 3: 10_000])
        await first.close()
        await second.close()
        await producer.close()
        kafka.close()
    }

    /// librdkafka drops the start of a partition that another order overtakes on its way, a pause for example; its owner
    /// would never see another record.
    @Test(.timeLimit(.minutes(2))) func everyPartitionIsReadAfterEveryReturnToWhatIsStored() async throws {
        let kafka = try TestKafka()
        let topic = try await kafka.topic(partitions: 64)
        let producer = try KafkaProducer(topic: topic, properties: kafka.properties, maxInFlight: 50_000)
        for number in 0..<640 { #expect(producer.send(number, partition: number % 64) == .queued) }
        _ = try await producer.deliveries(640)
        let consumer = try KafkaConsumer(settings: kafka.settings(topic: topic))
        let partitions = Set(0..<64)
        var owner = Owner()
        try await owner.run([1: consumer], for: .seconds(30)) { $0.isRead(partitions, to: 10) }
        for round in 0..<150 {
            // As an owner does it that gives up its state and claims it again.
            if round % 2 == 0 { consumer.pause(Array(partitions)) }
            owner.next = Dictionary(uniqueKeysWithValues: partitions.map { ($0, Int64(round % 10)) })
            owner.start(partitions, 1, consumer)
            consumer.resume(Array(partitions))
            // Sooner than a partition from which nothing comes is read anew for that.
            try await owner.run([1: consumer], for: .seconds(8)) { $0.isRead(partitions, to: 10) }
            try #require(owner.isRead(partitions, to: 10))
        }
        await consumer.close()
        await producer.close()
        kafka.close()
    }
}

import KafkaClient
import TestSupport
import Testing

/// A reader that is slower than the topic, or stands still.
@Suite struct BackpressureTests {
    /// One that stops taking for longer than the consumer waits makes it pause the partitions, not drop records.
    @Test func holdsBackWhenNobodyTakesAndLosesNothing() async throws {
        let kafka = try TestKafka()
        let topic = try await kafka.topic(partitions: 2)
        let producer = try KafkaProducer(topic: topic, properties: kafka.properties, maxInFlight: 50_000)
        for number in 0..<20_000 { #expect(producer.send(number, partition: number % 2) == .queued) }
        _ = try await producer.deliveries(20_000)
        var settings = kafka.settings(topic: topic)
        settings.maxWaitingBatches = 2
        let consumer = try KafkaConsumer(settings: settings)
        var records = try await consumer.collect(1)
        try await Task.sleep(for: .milliseconds(1_500))
        let got = records.values.reduce(0) { $0 + $1.count }
        records.merge(try await consumer.collect(20_000 - got)) { $0 + $1 }
        for partition in 0..<2 {
            #expect(records[partition]?.map(\.number) == Array(stride(from: partition, to: 20_000, by: 2)))
        }
        await consumer.close()
        await producer.close()
        kafka.close()
    }

    /// Each fetch brings one batch, which is all that may wait: librdkafka by itself would take a second for each.
    @Test func readsOnAtOnceWhenWhatWasFetchedAheadIsTaken() async throws {
        let mock = try MockKafka()
        mock.createTopic("events", partitions: 1)
        let producer = try KafkaProducer(topic: "events", properties: mock.properties, maxInFlight: 100)
        for number in 0..<40 {
            #expect(producer.send(number, partition: 0) == .queued)
            #expect(try await producer.deliveries(1).count == 1)
        }
        await producer.close()
        var settings = mock.settings()
        settings.properties["queued.min.messages"] = "1"
        let consumer = try KafkaConsumer(settings: settings)
        #expect(try await consumer.collect(40, limit: .seconds(15))[0]?.map(\.number) == Array(0..<40))
        await consumer.close()
        mock.close()
    }

    /// Partition 0 has a backlog of 20,000 records. It is begun when the others are being read already, since the
    /// client may take half a second longer to find one partition's leader than another's.
    @Test func memoryStaysBoundedAndABusyPartitionDoesNotStarveTheOthers() async throws {
        let kafka = try TestKafka()
        let topic = try await kafka.topic(partitions: 4)
        let producer = try KafkaProducer(topic: topic, properties: kafka.properties, maxInFlight: 50_000)
        for number in 0..<20_000 { #expect(producer.send(number, partition: 0, padding: 200) == .queued) }
        for number in 20_000..<20_015 { #expect(producer.send(number, partition: 1 + number % 3) == .queued) }
        #expect(try await producer.deliveries(20_015).count == 20_015)
        var settings = kafka.settings(topic: topic)
        settings.maxWaitingBatches = 4
        settings.maxWaitingBytes = 64 << 10
        // Small fetches, so that what the client fetches ahead cannot hold all of it either.
        settings.properties["fetch.message.max.bytes"] = "65536"
        settings.properties["queued.max.messages.kbytes"] = "256"
        let consumer = try KafkaConsumer(settings: settings)
        var seen: [Int: Int] = [:]
        var busyBeforeTheLastOfTheOthers = 0
        var most = (batches: 0, bytes: 0)
        while seen.values.reduce(0, +) < 20_030 {
            let waiting = consumer.waiting
            most = (max(most.batches, waiting.batches), max(most.bytes, waiting.bytes))
            switch try await consumer.next(timeout: .seconds(10)) {
            case .assigned(let partitions):
                for partition in partitions where partition != 0 { consumer.start(partition: partition, at: -2) }
            case .batch(let batch):
                if batch.partition == 0, seen[0] == nil {
                    for number in 20_015..<20_030 {
                        #expect(producer.send(number, partition: 1 + number % 3) == .queued)
                    }
                    #expect(try await producer.deliveries(15).count == 15)
                }
                seen[batch.partition, default: 0] += batch.records.count
                if batch.partition != 0 { busyBeforeTheLastOfTheOthers = seen[0] ?? 0 }
                if seen == [1: 5, 2: 5, 3: 5] { consumer.start(partition: 0, at: -2) }
                try await Task.sleep(for: .milliseconds(10))
            case nil:
                Issue.record("Nothing came for ten seconds.")
                return
            default: break
            }
        }
        await producer.close()
        #expect(seen == [0: 20_000, 1: 10, 2: 10, 3: 10])
        #expect(busyBeforeTheLastOfTheOthers < 15_000)
        // The bound, and one turn more: a batch of each partition, a thousand records of 205 bytes at most.
        #expect(most.batches <= 4 + 4)
        #expect(most.bytes <= 64 << 10 + 1_000 * 210)
        await consumer.close()
        kafka.close()
    }

    /// librdkafka only sees that its own thread polls; the group must not wait for a stream that stands still.
    @Test(.timeLimit(.minutes(1)))
    func aReaderThatStandsStillLeavesItsPartitionsToOthers() async throws {
        let kafka = try TestKafka()
        let topic = try await kafka.topic(partitions: 2)
        let producer = try KafkaProducer(topic: topic, properties: kafka.properties, maxInFlight: 50_000)
        for number in 0..<100 { #expect(producer.send(number, partition: number % 2) == .queued) }
        _ = try await producer.deliveries(100)
        var settings = kafka.settings(topic: topic)
        settings.properties["max.poll.interval.ms"] = "6000"
        let still = try KafkaConsumer(settings: settings)
        _ = try await still.collect(100)
        for number in 100..<200 { #expect(producer.send(number, partition: number % 2) == .queued) }
        let other = try KafkaConsumer(settings: kafka.settings(topic: topic))
        let records = try await other.collect(200)
        #expect(records.values.reduce(0) { $0 + $1.count } == 200)
        await #expect(throws: KafkaError.stalled(seconds: 6)) { _ = try await still.next(timeout: .seconds(1)) }
        await still.close()
        await other.close()
        await producer.close()
        kafka.close()
    }

    /// Before its first assignment a cooperative consumer of librdkafka 2.0.2 may crash when closed the usual way.
    @Test(arguments: [KafkaConsumerSettings.Assignor.cooperativeSticky, .range])
    func closesAtAnyMomentOfJoining(assignor: KafkaConsumerSettings.Assignor) async throws {
        let kafka = try TestKafka()
        let topic = try await kafka.topic(partitions: 2)
        for step in 0..<12 {
            var settings = kafka.settings(topic: topic, assignor: assignor)
            settings.group += ".\(step)"
            let consumer = try KafkaConsumer(settings: settings)
            try await Task.sleep(for: .milliseconds(step * 40))
            await consumer.close()
            await #expect(throws: KafkaError.closed) { _ = try await consumer.next(timeout: .zero) }
        }
        kafka.close()
    }
}

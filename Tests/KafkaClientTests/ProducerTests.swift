import KafkaClient
import TestSupport
import Testing

@Suite struct ProducerTests {
    @Test func recordsArriveInOrderWithKeyAndHeader() async throws {
        let kafka = try TestKafka()
        let topic = try await kafka.topic(partitions: 4)
        let producer = try KafkaProducer(topic: topic, properties: kafka.properties, maxInFlight: 10_000)
        for number in 0..<4_000 { #expect(producer.send(number, partition: number % 4) == .queued) }
        let delivered = try await producer.deliveries(4_000)
        #expect(delivered.allSatisfy { $0.error == nil })
        #expect(Set(delivered.map(\.id)).count == 4_000)
        await producer.close()

        let consumer = try KafkaConsumer(settings: kafka.settings(topic: topic))
        let records = try await consumer.collect(4_000)
        for partition in 0..<4 {
            #expect(records[partition]?.map(\.number) == Array(stride(from: partition, to: 4_000, by: 4)))
            #expect(records[partition]?.map(\.offset) == Array(0..<1_000))
            #expect(records[partition]?.allSatisfy { $0.header == "request" } == true)
        }
        #expect(consumer.endOffsets() == [0: 1_000, 1: 1_000, 2: 1_000, 3: 1_000])
        await consumer.close()
        kafka.close()
    }

    /// MSG_SIZE_TOO_LARGE (10) is final: what comes after the failed record must fail too, or order would be lost.
    @Test(.enabled(if: TestKafka.isMock, "\(TestKafka.faultsNeeded)"))
    func nothingOvertakesARecordThatFailed() async throws {
        let kafka = try MockKafka()
        kafka.createTopic("events", partitions: 1)
        let properties = kafka.properties.merging(["batch.num.messages": "10"]) { $1 }
        let producer = try KafkaProducer(topic: "events", properties: properties, maxInFlight: 1_000)
        #expect(producer.send(0, partition: 0) == .queued)
        _ = try await producer.deliveries(1)
        kafka.fail(.produce, with: [10])
        for number in 1...500 { _ = producer.send(number, partition: 0) }
        var delivered = try await producer.deliveries(500, limit: .seconds(2))
        await producer.close()
        delivered += producer.takeDeliveries()
        let firstFailure = try #require(delivered.firstIndex { $0.error != nil })
        #expect(delivered[firstFailure...].allSatisfy { $0.error != nil })
        kafka.close()
    }

    @Test(.enabled(if: TestKafka.isMock, "\(TestKafka.faultsNeeded)"))
    func transientBrokerErrorsAreRetriedInside() async throws {
        let kafka = try MockKafka()
        kafka.createTopic("events", partitions: 1)
        let producer = try KafkaProducer(topic: "events", properties: kafka.properties, maxInFlight: 1_000)
        kafka.fail(.produce, with: [6, 6, 7])  // NOT_LEADER twice, REQUEST_TIMED_OUT
        for number in 0..<300 { #expect(producer.send(number, partition: 0) == .queued) }
        let delivered = try await producer.deliveries(300)
        #expect(delivered.map(\.id) == Array(0..<300))
        #expect(delivered.allSatisfy { $0.error == nil })
        await producer.close()
        kafka.close()
    }

    @Test(.enabled(if: TestKafka.isMock, "\(TestKafka.faultsNeeded)"))
    func saysWhenTheWindowIsFull() async throws {
        let kafka = try MockKafka()
        kafka.createTopic("events", partitions: 1)
        kafka.setDown()
        let producer = try KafkaProducer(topic: "events", properties: kafka.properties, maxInFlight: 100)
        for number in 0..<100 { #expect(producer.send(number, partition: 0) == .queued) }
        #expect(producer.send(100, partition: 0) == .full)
        kafka.setUp()
        #expect(try await producer.deliveries(100).count == 100)
        #expect(producer.send(100, partition: 0) == .queued)
        await producer.close()
        #expect(producer.send(101, partition: 0) == .failed(.closed))
        kafka.close()
    }

    @Test(arguments: [
        ("acks", "1", "acks"), ("enable.idempotence", "false", "enable.idempotence"),
        ("no.such.property", "1", "no.such.property"), ("linger.ms", "soon", "linger.ms"),
    ])
    func namesThePropertyItCannotTake(name: String, value: String, named: String) {
        #expect {
            try KafkaProducer(
                topic: "events", properties: ["bootstrap.servers": "127.0.0.1:1", name: value], maxInFlight: 100)
        } throws: { error in
            if case KafkaError.property(named, let reason) = error { !reason.isEmpty } else { false }
        }
    }
}

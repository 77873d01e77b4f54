import KafkaClient
import TestSupport
import Testing

/// What is said of a topic that is there, is not, or may not be.
@Suite struct TopicTests {
    private func properties(_ broker: ScriptedKafka) -> [String: String] {
        ["bootstrap.servers": broker.bootstrapServers]
    }

    @Test func makesATopicThatIsNotThere() async throws {
        let broker = try ScriptedKafka.answering()
        let properties = properties(broker)
        #expect(try await KafkaAdmin.partitionCount(of: "events", properties: properties) == nil)
        try await KafkaAdmin.ensureTopic("events", partitions: 12, properties: properties)
        #expect(try await KafkaAdmin.partitionCount(of: "events", properties: properties) == 12)
        try await KafkaAdmin.ensureTopic("events", partitions: 12, properties: properties)
        broker.close()
    }

    @Test(.enabled(if: !TestKafka.isMock, "the mock makes no topics on request: set TRIMTAB_TEST_KAFKA"))
    func makesATopicOnARealCluster() async throws {
        let kafka = try TestKafka()
        let topic = try await kafka.topic(partitions: 3)
        #expect(try await KafkaAdmin.partitionCount(of: topic, properties: kafka.properties) == 3)
        kafka.close()
    }

    @Test func refusesAnotherPartitionCount() async throws {
        let broker = try ScriptedKafka.answering(topics: ["events": 7])
        await #expect(throws: KafkaError.partitions(topic: "events", expected: 12, found: 7)) {
            try await KafkaAdmin.ensureTopic("events", partitions: 12, properties: properties(broker))
        }
        broker.close()
    }

    /// TOPIC_ALREADY_EXISTS (36): another process made it between the question and the order, and with its own count.
    @Test func looksAtWhatAnotherProcessWasFasterToMake() async throws {
        let broker = try ScriptedKafka.answering(createError: 36)
        await #expect(throws: KafkaError.partitions(topic: "events", expected: 12, found: 13)) {
            try await KafkaAdmin.ensureTopic("events", partitions: 12, properties: properties(broker))
        }
        broker.close()
    }

    @Test(arguments: [
        (29, "TOPIC_AUTHORIZATION_FAILED"), (31, "CLUSTER_AUTHORIZATION_FAILED"), (38, "INVALID_REPLICATION_FACTOR"),
        (44, "POLICY_VIOLATION"), (17, "TOPIC_EXCEPTION"),
    ])
    func saysWhyATopicIsNotMade(code: Int, name: String) async throws {
        let broker = try ScriptedKafka.answering(createError: code, message: "as told")
        await #expect(throws: KafkaError.notMade(topic: "events", name: name, reason: "as told")) {
            try await KafkaAdmin.ensureTopic("events", partitions: 12, properties: properties(broker))
        }
        broker.close()
    }

    @Test func saysThatATopicMayNotBeSeen() async throws {
        let broker = try ScriptedKafka.answering(topics: ["events": -29])
        await #expect {
            try await KafkaAdmin.ensureTopic("events", partitions: 12, properties: properties(broker))
        } throws: {
            ($0 as? KafkaError)?.cause == .rights
        }
        broker.close()
    }

    /// The call itself only times out; the reason is what the connection met.
    @Test(arguments: [
        (["bootstrap.servers": "127.0.0.1:1"], "Connection refused"),
        (["bootstrap.servers": "nowhere.invalid:9092"], "Failed to resolve"),
    ])
    func saysWhyNobodyAnswers(properties: [String: String], reason: String) async throws {
        await #expect {
            try await KafkaAdmin.ensureTopic("events", partitions: 12, properties: properties, timeoutMs: 1_500)
        } throws: { error in
            (error as? KafkaError)?.cause == .unreachable && "\(error)".contains(reason)
        }
    }

    /// The mock cannot make topics on request; the answer has to come as an error, not as a hang.
    @Test func aClusterWithoutAdministrationIsAnErrorToo() async throws {
        let kafka = try MockKafka()
        kafka.createTopic("events", partitions: 12)
        try await KafkaAdmin.ensureTopic("events", partitions: 12, properties: kafka.properties)
        await #expect(throws: KafkaError.self) {
            try await KafkaAdmin.ensureTopic("other", partitions: 4, properties: kafka.properties, timeoutMs: 1_000)
        }
        kafka.close()
    }
}

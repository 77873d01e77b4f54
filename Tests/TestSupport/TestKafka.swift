import CKafka
import Foundation
import KafkaClient
import Synchronization

/// The Kafka cluster that a test runs on: a mock of its own, or the one at `TRIMTAB_TEST_KAFKA`.
///
/// `TRIMTAB_TEST_KAFKA_PROPERTIES` (`name=value,…`) says how to reach that one, for example with TLS. Topics carry names of
/// their own and are deleted by `close`.
package final class TestKafka: Sendable {
    private static let environment = ProcessInfo.processInfo.environment
    /// `host:port` of a cluster, or `nil` for the mock.
    package static let address = environment["TRIMTAB_TEST_KAFKA"].flatMap { $0.isEmpty ? nil : $0 }
    package static var isMock: Bool { address == nil }
    /// Why some tests are skipped on a cluster given from outside.
    package static let faultsNeeded = "needs faults, which only the mock cluster injects: unset TRIMTAB_TEST_KAFKA"

    /// Common to all clients. The mock does not wake a waiting fetch, and groups wait for their sessions to end.
    package let properties: [String: String]
    package var groupProperties: [String: String] {
        properties.merging([
            "session.timeout.ms": "6000", "heartbeat.interval.ms": "500", "fetch.wait.max.ms": "10",
        ]) { $1 }
    }
    package var bootstrapServers: String { properties["bootstrap.servers"] ?? "" }
    /// What injects faults; `nil` for a cluster given from outside.
    package let mock: MockKafka?
    private let topics = Mutex<[String]>([])

    /// - Parameter brokers: of the mock.
    package init(brokers: Int32 = 1) throws {
        guard let address = Self.address else {
            let mock = try MockKafka(brokers: brokers)
            (self.mock, properties) = (mock, mock.properties)
            return
        }
        let given = Self.environment["TRIMTAB_TEST_KAFKA_PROPERTIES"] ?? ""
        let pairs = given.split(separator: ",").compactMap { pair -> (String, String)? in
            let parts = pair.split(separator: "=", maxSplits: 1).map(String.init)
            return parts.count == 2 ? (parts[0], parts[1]) : nil
        }
        mock = nil
        properties = ["bootstrap.servers": address].merging(pairs) { $1 }
    }

    /// Makes a topic and gives its name.
    package func topic(partitions: Int) async throws -> String {
        let name = "trimtab.test.\(String(UInt64.random(in: 0 ... .max), radix: 16))"
        if let mock {
            mock.createTopic(name, partitions: Int32(partitions))
            return name
        }
        try await KafkaAdmin.ensureTopic(name, partitions: partitions, properties: properties)
        topics.withLock { $0.append(name) }
        for _ in 0..<200 where try await KafkaAdmin.partitionCount(of: name, properties: properties) != partitions {
            try await Task.sleep(for: .milliseconds(50))
        }
        return name
    }

    package func close() {
        mock?.close()
        let made = topics.withLock { $0 }
        guard !made.isEmpty else { return }
        let configuration = rd_kafka_conf_new()
        for (name, value) in properties { rd_kafka_conf_set(configuration, name, value, nil, 0) }
        rd_kafka_conf_set_log_cb(configuration, nil)
        guard let client = rd_kafka_new(RD_KAFKA_PRODUCER, configuration, nil, 0) else { return }
        var doomed = made.map { rd_kafka_DeleteTopic_new($0) }
        let answers = rd_kafka_queue_new(client)
        rd_kafka_DeleteTopics(client, &doomed, doomed.count, nil, answers)
        rd_kafka_event_destroy(rd_kafka_queue_poll(answers, 5_000))
        rd_kafka_DeleteTopic_destroy_array(&doomed, doomed.count)
        rd_kafka_queue_destroy(answers)
        rd_kafka_destroy(client)
    }
}

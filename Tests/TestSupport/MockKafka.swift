import CKafka
import KafkaClient
import Synchronization

/// librdkafka's own brokers in this process, on real sockets: topics, groups, and faults on demand.
///
/// They keep at most 5 MiB a partition and know no admin requests. Close it; its threads live until then.
package final class MockKafka: Sendable {
    /// Sendable: the mock locks inside, and nothing calls it after `close`.
    private struct Cluster: @unchecked Sendable {
        let client: OpaquePointer
        let cluster: OpaquePointer
    }

    /// Request kinds that can be made to fail (the protocol's ApiKeys).
    package enum Request: Int16, Sendable { case produce = 0, fetch = 1, metadata = 3, offsetCommit = 8 }

    private let cluster: Mutex<Cluster?>
    package let bootstrapServers: String

    package init(brokers: Int32 = 1) throws {
        let configuration = rd_kafka_conf_new()
        rd_kafka_conf_set_log_cb(configuration, nil)
        // As real brokers: an answer behind another would wait for up to 40 ms until that is acknowledged.
        let code = rd_kafka_conf_set(configuration, "socket.nagle.disable", "true", nil, 0)
        guard code == RD_KAFKA_CONF_OK else { throw KafkaError.closed }
        guard let client = rd_kafka_new(RD_KAFKA_PRODUCER, configuration, nil, 0) else { throw KafkaError.closed }
        guard let cluster = rd_kafka_mock_cluster_new(client, brokers) else { throw KafkaError.closed }
        bootstrapServers = String(cString: rd_kafka_mock_cluster_bootstraps(cluster))
        self.cluster = Mutex(Cluster(client: client, cluster: cluster))
    }

    /// What makes clients quick on the mock: it does not wake a waiting fetch, and groups wait for its timeouts.
    package var properties: [String: String] { ["bootstrap.servers": bootstrapServers] }
    package var groupProperties: [String: String] {
        properties.merging([
            "session.timeout.ms": "6000", "heartbeat.interval.ms": "500", "fetch.wait.max.ms": "10",
        ]) { $1 }
    }

    package func createTopic(_ name: String, partitions: Int32) {
        with { rd_kafka_mock_topic_create($0.cluster, name, partitions, 1) }
    }

    /// Answers as if there were no such topic (UNKNOWN_TOPIC_OR_PART).
    package func hideTopic(_ name: String, _ hide: Bool = true) {
        with { rd_kafka_mock_topic_set_error($0.cluster, name, rd_kafka_resp_err_t(hide ? 3 : 0)) }
    }

    package func moveLeader(of partition: Int32, in topic: String, to broker: Int32) {
        with { rd_kafka_mock_partition_set_leader($0.cluster, topic, partition, broker) }
    }

    /// Lets one broker, and always that one, coordinate a group.
    package func coordinate(group: String, on broker: Int32) {
        with { rd_kafka_mock_coordinator_set($0.cluster, "group", group, broker) }
    }

    /// Cuts the broker's connections and refuses new ones.
    package func setDown(broker: Int32 = 1) { with { rd_kafka_mock_broker_set_down($0.cluster, broker) } }
    package func setUp(broker: Int32 = 1) { with { rd_kafka_mock_broker_set_up($0.cluster, broker) } }

    /// The next requests of this kind are answered with these error codes; 0 lets one pass.
    package func fail(_ request: Request, with codes: [Int32]) {
        let codes = codes.map { rd_kafka_resp_err_t($0) }
        with { rd_kafka_mock_push_request_errors_array($0.cluster, request.rawValue, codes.count, codes) }
    }

    package func close() {
        cluster.withLock { held in
            guard let cluster = held.take() else { return }
            rd_kafka_mock_cluster_destroy(cluster.cluster)
            rd_kafka_destroy(cluster.client)
        }
    }

    private func with(_ body: (Cluster) -> Void) { cluster.withLock { if let cluster = $0 { body(cluster) } } }
}

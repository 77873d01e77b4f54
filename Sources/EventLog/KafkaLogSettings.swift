package import Core
import KafkaClient

/// `event_log` with `kind: kafka`: the topic, and how clients reach the cluster.
package struct KafkaLogSettings: Sendable, Equatable {
    package static let defaultTopic = "trimtab.events.v1"

    package enum Assignor: String, Sendable, CaseIterable {
        case cooperativeSticky = "cooperative-sticky"
        case range
    }

    package var topic = KafkaLogSettings.defaultTopic
    /// Fixed when the topic is made.
    package var partitions = LocalLogSettings.kafkaPartitions
    /// -1 leaves the number to the cluster.
    package var replicas = -1
    package var group = "trimtab.stream"
    package var assignor = Assignor.cooperativeSticky
    /// `event_log.kafka.properties`: passed to librdkafka as they are; `bootstrap.servers` is required.
    package var properties: [String: String]
    /// Records that the shipper may have given to the cluster without its word on them; 100 or more.
    package var maxInFlight = 20_000

    /// How long a question to the cluster waits for its answer, milliseconds.
    package var answerMs: Int32 = 10_000

    package init(properties: [String: String]) { self.properties = properties }

    /// - Throws: `TrimtabError` that names the first key out of its range.
    package func validate() throws(TrimtabError) {
        guard properties["bootstrap.servers"]?.isEmpty == false else {
            throw TrimtabError(
                "config.missing", "event_log.kafka.properties.bootstrap.servers is not set.",
                remedy: "Set it to the brokers' addresses, for example 'kafka-1:9092,kafka-2:9092'.")
        }
        guard (1...4096).contains(partitions) else {
            throw TrimtabError(
                "config.out_of_range", "event_log.kafka.partitions is \(partitions).", remedy: "Set it to 1 to 4096.")
        }
        guard maxInFlight >= 100 else {
            throw TrimtabError(
                "config.out_of_range", "event_log.kafka.max_in_flight is \(maxInFlight).",
                remedy: "Set it to 100 or more.")
        }
    }

    /// Puts a client's error in words that name the key to look at.
    func described(_ error: any Error) -> TrimtabError {
        switch error {
        case let error as TrimtabError: error
        case KafkaError.property(let name, let reason):
            TrimtabError(
                "event_log.kafka.property", "event_log.kafka.properties.\(name) cannot be used: \(reason).",
                remedy: "Correct or remove it; librdkafka's CONFIGURATION.md lists all properties.")
        case KafkaError.partitions(let topic, let expected, let found):
            TrimtabError(
                "event_log.kafka.partitions",
                "The topic '\(topic)' has \(found) partitions, and event_log.kafka.partitions is \(expected).",
                remedy: "A topic's count is fixed when it is made: configure \(found), or name a new event_log.topic.")
        case KafkaError.ahead(let topic, let partition, let offset, let end):
            EventLogFault.ahead(topic: topic, partition: partition, offset: offset, end: end)
        case KafkaError.noTimes(let topic):
            TrimtabError(
                "event_log.kafka.times", "The cluster does not look up where '\(topic)' stood at a time.",
                remedy: "Start at an offset instead, or at the beginning.")
        case KafkaError.notMade(let topic, let name, let reason):
            TrimtabError(
                "event_log.kafka.topic",
                "This client sees no topic '\(topic)', and the cluster does not let it make one: \(reason) (\(name)).",
                remedy: "Make the topic with \(partitions) partitions, or grant this client Describe and Create on it; "
                    + "event_log.kafka.replicas must fit the cluster.")
        case KafkaError.stalled(let seconds):
            TrimtabError(
                "event_log.kafka.stalled",
                "The stream took no record for \(seconds) s, so it has left its consumer group to the others.",
                remedy: "Start it again, and look why it stood still; "
                    + "event_log.kafka.properties.max.poll.interval.ms sets the limit.")
        case KafkaError.closed: EventLogFault.closed
        case let error as KafkaError: described(response: error)
        default: TrimtabError("event_log.kafka.failed", "Kafka failed: \(error).", remedy: "See the cluster's log.")
        }
    }

    private func described(response error: KafkaError) -> TrimtabError {
        let servers = properties["bootstrap.servers"] ?? ""
        let (code, remedy) =
            switch error.cause {
            case .tls:
                ("tls", "Set event_log.kafka.properties.ssl.ca.location to the authority of the brokers' certificates.")
            case .authentication:
                (
                    "authentication",
                    "Check sasl.mechanisms, sasl.username and sasl.password in event_log.kafka.properties."
                )
            case .rights:
                (
                    "rights",
                    "Grant this client Describe, Create, Read and Write on '\(topic)' and Read on the group '\(group)'."
                )
            case .unreachable:
                ("unavailable", "Check event_log.kafka.properties.bootstrap.servers, the network and the cluster.")
            case .other:
                ("failed", "Check the cluster, and what its log says of this client.")
            }
        return TrimtabError(
            "event_log.kafka.\(code)", "The Kafka cluster at \(servers) cannot be used: \(error).", remedy: remedy)
    }

    /// Whether trying again later can help, without a change of the settings.
    static func isTransient(_ error: any Error) -> Bool {
        switch error {
        case KafkaError.response, KafkaError.notMade: true
        default: false
        }
    }

    /// Makes sure of the topic: makes it if there is none, and checks its partition count.
    func ensureTopic() async throws {
        try await KafkaAdmin.ensureTopic(
            topic, partitions: partitions, replicas: replicas, properties: properties, timeoutMs: answerMs)
    }
}

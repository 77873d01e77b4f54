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
        case KafkaError.closed: EventLogFault.closed
        default:
            TrimtabError(
                "event_log.kafka.unavailable", "The Kafka cluster cannot be used: \(error).",
                remedy: "Check event_log.kafka.properties.bootstrap.servers, the cluster, and this client's rights.")
        }
    }

    /// Whether trying again later can help, without a change of the settings.
    static func isTransient(_ error: any Error) -> Bool {
        if case KafkaError.response = error { true } else { false }
    }
}

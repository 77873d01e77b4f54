import CKafka
import Core

/// What librdkafka costs by itself: it fetches a whole topic, and every message is freed unread.
enum BareKafkaClient {
    private static let messagesPerTurn = 1_000

    /// - Returns: Records over CPU seconds of all threads of this process.
    static func rate(_ topic: MockKafkaProcess, records: Int) throws -> Double {
        let began = CPUClock.now()
        let client = try unsafe client(topic.properties)
        defer { unsafe rd_kafka_destroy(client) }
        let list = unsafe rd_kafka_topic_partition_list_new(Int32(topic.partitions))
        for partition in 0..<Int32(topic.partitions) {
            unsafe rd_kafka_topic_partition_list_add(list, MockKafkaProcess.topic, partition).pointee.offset = 0
        }
        unsafe rd_kafka_assign(client, list)
        unsafe rd_kafka_topic_partition_list_destroy(list)
        let queue = unsafe rd_kafka_queue_get_consumer(client)
        defer { unsafe rd_kafka_queue_destroy(queue) }

        var messages = unsafe [UnsafeMutablePointer<rd_kafka_message_t>?](repeating: nil, count: messagesPerTurn)
        var read = 0
        let deadline = ContinuousClock.now + .seconds(60)
        while read < records, .now < deadline {
            let count = unsafe rd_kafka_consume_batch_queue(queue, 100, &messages, messages.count)
            for place in 0..<max(0, count) {
                guard let message = unsafe messages[place] else { continue }
                if unsafe message.pointee.err == RD_KAFKA_RESP_ERR_NO_ERROR { read += 1 }
                unsafe rd_kafka_message_destroy(message)
            }
        }
        guard read == records else {
            throw TrimtabError(
                "bench.stream", "librdkafka read \(read) of \(records) records.", remedy: "This is a defect.")
        }
        return Double(records) / (CPUClock.now() - began)
    }

    /// With what our consumer sets of what has to do with speed.
    private static func client(_ properties: [String: String]) throws -> OpaquePointer {
        let own = [
            "group.id": "bare", "enable.auto.commit": "false", "enable.auto.offset.store": "false",
            "queued.max.messages.kbytes": "16384",
        ]
        let configuration = unsafe rd_kafka_conf_new()
        for (name, value) in properties.merging(own, uniquingKeysWith: { $1 }) {
            unsafe rd_kafka_conf_set(configuration, name, value, nil, 0)
        }
        guard let client = unsafe rd_kafka_new(RD_KAFKA_CONSUMER, configuration, nil, 0) else {
            throw TrimtabError("bench.stream", "librdkafka makes no client.", remedy: "This is a defect.")
        }
        unsafe rd_kafka_poll_set_consumer(client)
        return unsafe client
    }
}

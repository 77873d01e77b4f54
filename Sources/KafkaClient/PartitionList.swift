import CKafka

/// librdkafka's lists of partitions of one topic.
enum PartitionList {
    typealias Raw = UnsafeMutablePointer<rd_kafka_topic_partition_list_t>?

    /// Lends a list for one call, with the offset to read each partition from.
    static func with<Value>(topic: String, offsets: [Int: Int64], _ body: (Raw) -> Value) -> Value {
        let raw = unsafe rd_kafka_topic_partition_list_new(Int32(offsets.count))
        defer { unsafe rd_kafka_topic_partition_list_destroy(raw) }
        for (partition, offset) in offsets {
            unsafe rd_kafka_topic_partition_list_add(raw, topic, Int32(partition)).pointee.offset = offset
        }
        return unsafe body(raw)
    }

    /// Lends a list for one call that does not look at offsets.
    static func with<Value>(topic: String, partitions: some Sequence<Int>, _ body: (Raw) -> Value) -> Value {
        let invalid: Int64 = -1001
        return unsafe with(topic: topic, offsets: Dictionary(partitions.map { ($0, invalid) }) { $1 }, body)
    }

    static func partitions(of raw: Raw) -> [Int] {
        guard let list = unsafe raw?.pointee else { return [] }
        return (0..<Int(unsafe list.cnt)).map { Int(unsafe list.elems[$0].partition) }
    }
}

import CKafka
import Foundation
import Synchronization

/// Questions to a cluster that are asked once, at the start.
package enum KafkaAdmin {
    /// Makes sure of a topic with exactly `partitions` partitions, making it if the cluster has none of the name.
    ///
    /// - Parameters:
    ///   - replicas: -1 leaves the number to the cluster.
    ///   - timeoutMs: For each of the questions asked.
    /// - Throws: `KafkaError.partitions` if it has another count; `.notMade` if the cluster refuses to make it;
    ///   `.response` if the cluster is away or refuses to answer.
    package static func ensureTopic(
        _ name: String, partitions: Int, replicas: Int = -1, properties: [String: String], timeoutMs: Int32 = 10_000
    ) async throws {
        try await onOwnThread("kafka-admin") {
            try withClient(properties) { client in
                var found = try count(of: name, client: client, timeoutMs: timeoutMs)
                if found == nil {
                    let made = try create(name, partitions, replicas, client: client, timeoutMs: timeoutMs)
                    found = made ? partitions : try count(of: name, client: client, timeoutMs: timeoutMs)
                }
                guard let found, found != partitions else { return }
                throw KafkaError.partitions(topic: name, expected: partitions, found: found)
            }
        }
    }

    /// How many partitions the topic has; `nil` if there is none of the name.
    package static func partitionCount(
        of name: String, properties: [String: String], timeoutMs: Int32 = 10_000
    ) async throws -> Int? {
        try await onOwnThread("kafka-admin") {
            try withClient(properties) { try count(of: name, client: $0, timeoutMs: timeoutMs) }
        }
    }

    /// The first offset whose record the cluster got at `time`, milliseconds since the epoch, or later.
    ///
    /// - Returns: `nil` if there is none as late.
    /// - Throws: `KafkaError.noTimes` for a cluster that does not know; `.response` if it is away or refuses.
    package static func offset(
        in topic: String, partition: Int, atOrAfter time: Int64, properties: [String: String], timeoutMs: Int32 = 10_000
    ) async throws -> Int64? {
        try await onOwnThread("kafka-admin") {
            try withClient(properties) { client in
                let found = try offset(topic, partition, time, client: client, timeoutMs: timeoutMs)
                if found >= 0 { return found }
                // "None" is also what a cluster says that cannot tell: then it does not even know the beginning.
                var (low, high): (Int64, Int64) = (0, 0)
                let code = unsafe rd_kafka_query_watermark_offsets(
                    client.raw, topic, Int32(partition), &low, &high, timeoutMs)
                guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(code) }
                if low < high, try offset(topic, partition, 0, client: client, timeoutMs: timeoutMs) < 0 {
                    throw KafkaError.noTimes(topic: topic)
                }
                return nil
            }
        }
    }

    private static func offset(
        _ topic: String, _ partition: Int, _ time: Int64, client: KafkaHandle, timeoutMs: Int32
    ) throws -> Int64 {
        // A list of one: the time goes in and the offset comes out in the same field.
        let (code, offset) = unsafe PartitionList.with(topic: topic, offsets: [partition: max(0, time)]) { list in
            let code = unsafe rd_kafka_offsets_for_times(client.raw, list, timeoutMs)
            guard code == RD_KAFKA_RESP_ERR_NO_ERROR, let element = unsafe list?.pointee.elems.pointee else {
                return (code, Int64(-1))
            }
            return unsafe (element.err, element.offset)
        }
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(code) }
        return offset
    }

    private static func withClient<Value>(
        _ properties: [String: String], _ body: (KafkaHandle) throws -> Value
    ) throws -> Value {
        let context = AdminContext()
        let client = try unsafe KafkaHandle(RD_KAFKA_PRODUCER, properties: properties, context: context) { _ in }
        defer { withExtendedLifetime(context) { unsafe rd_kafka_destroy(client.raw) } }
        do {
            return try body(client)
        } catch let error as KafkaError where error.cause == .unreachable {
            // The call only knows that no answer came; why is what the connections have reported.
            unsafe _ = rd_kafka_poll(client.raw, 0)
            throw context.mostTelling ?? error
        }
    }

    /// Lists all topics: asking for one by name makes it on clusters that create topics by themselves.
    private static func count(of name: String, client: KafkaHandle, timeoutMs: Int32) throws -> Int? {
        var answer: UnsafePointer<rd_kafka_metadata>?
        let code = unsafe rd_kafka_metadata(client.raw, 1, nil, &answer, timeoutMs)
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR, let metadata = unsafe answer else { throw KafkaError(code) }
        defer { unsafe rd_kafka_metadata_destroy(metadata) }
        for index in 0..<Int(unsafe metadata.pointee.topic_cnt) {
            let topic = unsafe metadata.pointee.topics[index]
            guard unsafe String(cString: topic.topic) == name else { continue }
            let code = unsafe topic.err
            if code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART { return nil }
            guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(code) }
            return Int(unsafe topic.partition_cnt)
        }
        return nil
    }

    /// - Returns: `false` if another process was faster.
    private static func create(
        _ name: String, _ partitions: Int, _ replicas: Int, client: KafkaHandle, timeoutMs: Int32
    ) throws -> Bool {
        var text = [CChar](repeating: 0, count: 512)
        guard
            let topic = unsafe rd_kafka_NewTopic_new(name, Int32(partitions), Int32(replicas), &text, text.count),
            let options = unsafe rd_kafka_AdminOptions_new(client.raw, RD_KAFKA_ADMIN_OP_CREATETOPICS),
            let queue = unsafe rd_kafka_queue_new(client.raw)
        else { throw KafkaError(RD_KAFKA_RESP_ERR__INVALID_ARG, reason: "the topic '\(name)' cannot be described") }
        defer {
            unsafe rd_kafka_queue_destroy(queue)
            unsafe rd_kafka_AdminOptions_destroy(options)
            unsafe rd_kafka_NewTopic_destroy(topic)
        }
        unsafe rd_kafka_AdminOptions_set_request_timeout(options, timeoutMs, &text, text.count)
        var topics: [OpaquePointer?] = unsafe [topic]
        unsafe rd_kafka_CreateTopics(client.raw, &topics, 1, options, queue)
        guard let event = unsafe rd_kafka_queue_poll(queue, timeoutMs + 1_000) else {
            throw KafkaError(RD_KAFKA_RESP_ERR__TIMED_OUT)
        }
        defer { unsafe rd_kafka_event_destroy(event) }
        let code = unsafe rd_kafka_event_error(event)
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
            let error = KafkaError(code, reason: unsafe String(cString: rd_kafka_event_error_string(event)))
            throw code == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE ? error.refusing(name) : error
        }
        var results = 0
        guard let result = unsafe rd_kafka_event_CreateTopics_result(event),
            let made = unsafe rd_kafka_CreateTopics_result_topics(result, &results), results == 1,
            let first = unsafe made[0]
        else { throw KafkaError(RD_KAFKA_RESP_ERR__BAD_MSG) }
        let refused = unsafe rd_kafka_topic_result_error(first)
        if refused == RD_KAFKA_RESP_ERR_NO_ERROR { return true }
        if refused == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS { return false }
        let reason = unsafe rd_kafka_topic_result_error_string(first).map { unsafe String(cString: $0) }
        throw KafkaError(refused, reason: reason).refusing(name)
    }
}

extension KafkaError {
    fileprivate func refusing(_ topic: String) -> KafkaError {
        guard case .response(_, let name, let reason, _) = self else { return self }
        return .notMade(topic: topic, name: name, reason: reason)
    }
}

/// Keeps what the connections report. Sendable: its only state is behind a mutex.
private final class AdminContext: KafkaContext, @unchecked Sendable {
    private let errors = Mutex<[KafkaError]>([])

    init() { super.init { _ in } }

    override func note(_ error: KafkaError) { errors.withLock { $0.append(error) } }

    /// What a person can mend rather than that nobody answers; "all brokers down" only repeats the others.
    var mostTelling: KafkaError? {
        errors.withLock { errors in
            errors.first { $0.cause != .unreachable } ?? errors.first
        }
    }
}

import CKafka

/// What librdkafka, a broker or our own checks found wrong.
package enum KafkaError: Error, Sendable, Equatable, CustomStringConvertible {
    /// A client property that cannot be taken as given.
    case property(String, reason: String)
    /// An answer with an error code; `name` is librdkafka's, for example `_ALL_BROKERS_DOWN`.
    case response(code: Int32, name: String, reason: String, isFatal: Bool)
    /// A topic whose partition count is not the one its records were numbered for.
    case partitions(topic: String, expected: Int, found: Int)
    /// Where this reader was to read on lies after the end of the partition.
    case ahead(topic: String, partition: Int, offset: Int64, end: Int64)
    /// A cluster that does not look up offsets by time, though the topic has records.
    case noTimes(topic: String)
    case closed

    package var description: String {
        switch self {
        case .property(let name, let reason): "\(name): \(reason)"
        case .response(_, let name, let reason, _): "\(reason) (\(name))"
        case .partitions(let topic, let expected, let found):
            "topic '\(topic)' has \(found) partitions instead of \(expected)"
        case .ahead(let topic, let partition, let offset, let end):
            "partition \(partition) of '\(topic)' ends at \(end), before offset \(offset)"
        case .noTimes(let topic): "offsets of '\(topic)' cannot be looked up by time"
        case .closed: "the client was closed"
        }
    }

    init(_ code: rd_kafka_resp_err_t, reason: String? = nil, isFatal: Bool = false) {
        let name = unsafe String(cString: rd_kafka_err2name(code))
        let text = unsafe String(cString: rd_kafka_err2str(code))
        self = .response(code: code.rawValue, name: name, reason: reason ?? text, isFatal: isFatal)
    }

    /// Takes over librdkafka's error object and frees it.
    init(owning error: OpaquePointer) {
        let code = unsafe rd_kafka_error_code(error)
        let reason = unsafe String(cString: rd_kafka_error_string(error))
        let fatal = unsafe rd_kafka_error_is_fatal(error) != 0
        unsafe rd_kafka_error_destroy(error)
        self.init(code, reason: reason, isFatal: fatal)
    }

    package var isFatal: Bool {
        if case .response(_, _, _, let fatal) = self { fatal } else { false }
    }
}

extension KafkaError {
    /// The record is larger than the client may send (`message.max.bytes`); trying again does not help.
    package var isOversized: Bool {
        if case .response(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE.rawValue, _, _, _) = self { true } else { false }
    }
}

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
    /// The cluster has no such topic that this client may see, and makes none.
    case notMade(topic: String, name: String, reason: String)
    /// Nobody took what was read for this long, so the member has left its group.
    case stalled(seconds: Int)
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
        case .notMade(let topic, let name, let reason): "topic '\(topic)' is not made: \(reason) (\(name))"
        case .stalled(let seconds): "nothing was taken for \(seconds) s; the member has left its group"
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
    /// Whose matter an answer with an error is.
    package enum Cause: Sendable {
        case unreachable, tls, authentication, rights, other
    }

    package var cause: Cause {
        guard case .response(let code, _, _, _) = self else { return .other }
        return switch rd_kafka_resp_err_t(rawValue: code) {
        case RD_KAFKA_RESP_ERR__SSL: .tls
        case RD_KAFKA_RESP_ERR__AUTHENTICATION, RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED,
            RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
            .authentication
        case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
            RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
            .rights
        case RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR__RESOLVE, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN,
            RD_KAFKA_RESP_ERR__TIMED_OUT:
            .unreachable
        default: .other
        }
    }

    /// The record is larger than the client may send (`message.max.bytes`); trying again does not help.
    package var isOversized: Bool {
        if case .response(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE.rawValue, _, _, _) = self { true } else { false }
    }
}

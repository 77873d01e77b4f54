import CKafka
import Foundation
import Synchronization

/// A librdkafka client. Its owner's thread destroys it, after everybody else has been shut out.
///
/// Sendable because librdkafka locks inside: every call that we make is documented as thread-safe.
@safe struct KafkaHandle: @unchecked Sendable {
    let raw: OpaquePointer

    /// Makes a client; its callbacks get `context`, which must outlive it.
    ///
    /// - Throws: `KafkaError.property` for one that librdkafka does not know or take.
    init(
        _ type: rd_kafka_type_t, properties: [String: String], context: KafkaContext,
        callbacks: (OpaquePointer) -> Void = { _ in }
    ) throws(KafkaError) {
        guard let configuration = unsafe rd_kafka_conf_new() else { throw .closed }
        var text = [CChar](repeating: 0, count: 512)
        for (name, value) in properties.sorted(by: { $0.key < $1.key }) {
            let result = unsafe rd_kafka_conf_set(configuration, name, value, &text, text.count)
            guard result == RD_KAFKA_CONF_OK else {
                unsafe rd_kafka_conf_destroy(configuration)
                throw .property(name, reason: Self.string(text))
            }
        }
        unsafe rd_kafka_conf_set_opaque(configuration, Unmanaged.passUnretained(context).toOpaque())
        // Errors come through the callback; librdkafka would print its log to stderr.
        unsafe rd_kafka_conf_set_log_cb(configuration, nil)
        unsafe rd_kafka_conf_set_error_cb(configuration) { client, code, reason, opaque in
            guard let context = unsafe KafkaContext.from(opaque), let client = unsafe client else { return }
            unsafe context.note(client, code, reason)
        }
        unsafe callbacks(configuration)
        // On success the client owns the configuration, else it is still ours.
        guard let raw = unsafe rd_kafka_new(type, configuration, &text, text.count) else {
            unsafe rd_kafka_conf_destroy(configuration)
            throw .property("client", reason: Self.string(text))
        }
        unsafe self.raw = raw
    }

    private static func string(_ text: [CChar]) -> String {
        String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// What a client's callbacks reach: they run on its thread, only store, and never call back into Swift concurrency.
class KafkaContext: @unchecked Sendable {
    private let onError: @Sendable (KafkaError) -> Void

    init(onError: @escaping @Sendable (KafkaError) -> Void) { self.onError = onError }

    static func from(_ opaque: UnsafeMutableRawPointer?) -> KafkaContext? {
        unsafe opaque.map { unsafe Unmanaged<KafkaContext>.fromOpaque($0).takeUnretainedValue() }
    }

    func note(_ error: KafkaError) { onError(error) }

    /// Puts an error of the client's own in words; a fatal one hides its cause behind a general code.
    fileprivate func note(_ client: OpaquePointer, _ code: Int32, _ reason: UnsafePointer<CChar>?) {
        let reason = unsafe reason.map { unsafe String(cString: $0) }
        guard code == RD_KAFKA_RESP_ERR__FATAL.rawValue else {
            return note(KafkaError(rd_kafka_resp_err_t(rawValue: code), reason: reason))
        }
        var text = [CChar](repeating: 0, count: 512)
        let cause = unsafe rd_kafka_fatal_error(client, &text, text.count)
        note(KafkaError(cause, reason: reason, isFatal: true))
    }
}

enum KafkaProperties {
    /// Defaults of consumers and producers.
    private static let common = [
        "client.id": "trimtab", "reconnect.backoff.ms": "50", "reconnect.backoff.max.ms": "2000",
        "topic.metadata.refresh.interval.ms": "10000",
        // As Kafka's own clients: a request behind another would wait for the answer to it.
        "socket.nagle.disable": "true",
    ]

    /// Lays what a person gave over our defaults, and refuses what would break a guarantee.
    ///
    /// - Parameter defaults: Those of this kind of client.
    /// - Throws: `KafkaError.property` that names the property and why it is not free.
    static func merge(
        defaults: [String: String], given: [String: String], fixed: [String: String]
    ) throws(KafkaError) -> [String: String] {
        var merged = common.merging(defaults) { $1 }.merging(given) { $1 }
        for (name, value) in fixed {
            if let other = given[name], other != value {
                throw .property(name, reason: "is '\(other)', but has to be '\(value)' for exactly-once delivery")
            }
            merged[name] = value
        }
        return merged
    }
}

/// Runs a call that blocks on a thread of its own, so that it does not hold up the cooperative pool.
///
/// A cancelled task does not wait: the thread ends its call by itself and its answer is dropped.
func onOwnThread<Value: Sendable>(
    _ name: String, _ body: @escaping @Sendable () throws -> Value
) async throws -> Value {
    let answer = Answer<Value>()
    return try await withTaskCancellationHandler {
        try await withCheckedThrowingContinuation { continuation in
            answer.expect(continuation)
            if Task.isCancelled { return answer.give(.failure(CancellationError())) }
            let thread = Thread { answer.give(Result(catching: body)) }
            thread.name = name
            thread.start()
        }
    } onCancel: {
        answer.give(.failure(CancellationError()))
    }
}

/// Resumes a waiting task with the first answer given after it began to wait.
private final class Answer<Value: Sendable>: Sendable {
    private let waiting = Mutex<CheckedContinuation<Value, any Error>?>(nil)

    func expect(_ continuation: CheckedContinuation<Value, any Error>) { waiting.withLock { $0 = continuation } }

    func give(_ result: Result<Value, any Error>) {
        waiting.withLock { $0.take() }?.resume(with: result)
    }
}

/// Waits for a client's thread, up to ten seconds: librdkafka 2.0.2 is known to hang now and then when it is closed. Works
/// in a cancelled task too, which is where clients are closed.
func waitForEnd(_ ended: @escaping @Sendable () -> Bool) async {
    await withCheckedContinuation { continuation in
        let thread = Thread {
            let deadline = ContinuousClock.now + .seconds(10)
            while !ended(), .now < deadline { Thread.sleep(forTimeInterval: 0.002) }
            continuation.resume()
        }
        thread.name = "kafka-close"
        thread.start()
    }
}

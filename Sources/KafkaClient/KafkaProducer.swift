import CKafka
import Foundation
import Synchronization

/// A broker's word on one record.
package struct KafkaDelivery: Sendable, Equatable {
    /// The number given to `produce`.
    package let id: UInt64
    /// `nil`: every in-sync replica has the record.
    package let error: KafkaError?
}

/// An idempotent producer for one topic: in each partition records arrive in the order given, without a gap.
///
/// A record that finally fails takes all after it with it (`enable.gapless.guarantee`), so nothing overtakes it; the
/// owner closes this producer and sends again with a new one, from the first record not acknowledged.
@safe package final class KafkaProducer: Sendable {
    package enum Outcome: Sendable, Equatable {
        case queued
        /// As much as allowed is in flight; try again after deliveries.
        case full
        case failed(KafkaError)
    }

    private static let defaults = [
        "compression.type": "lz4", "linger.ms": "5", "queue.buffering.max.kbytes": "65536",
    ]
    /// Records wait for the broker as long as it takes: the local log behind them has the bound.
    private static let fixed = [
        "enable.idempotence": "true", "acks": "all", "enable.gapless.guarantee": "true", "message.timeout.ms": "0",
    ]

    private let handle: KafkaHandle
    private let topic: KafkaTopic
    private let context: ProducerContext
    /// Guards the handle: nothing is produced once this is set.
    private let lifetime = Mutex(Lifetime())

    private struct Lifetime: Sendable {
        var closing = false
        var flushMs: Int32 = 0
        var closed = false
    }

    /// - Parameters:
    ///   - properties: Passed to librdkafka as they are.
    ///   - maxInFlight: Records given and not yet reported.
    ///   - onError: Told of the client's own errors, on its thread; must not wait.
    package init(
        topic: String, properties: [String: String], maxInFlight: Int,
        onError: @escaping @Sendable (KafkaError) -> Void = { _ in }
    ) throws(KafkaError) {
        var fixed = Self.fixed
        fixed["queue.buffering.max.messages"] = String(maxInFlight)
        let merged = try KafkaProperties.merge(defaults: Self.defaults, given: properties, fixed: fixed)
        let context = ProducerContext(onError: onError)
        let handle = try unsafe KafkaHandle(RD_KAFKA_PRODUCER, properties: merged, context: context) { configuration in
            unsafe rd_kafka_conf_set_dr_msg_cb(configuration) { _, message, opaque in
                guard let context = unsafe KafkaContext.from(opaque) as? ProducerContext else { return }
                guard let message = unsafe message?.pointee else { return }
                let id = unsafe UInt64(UInt(bitPattern: message._private))
                let failed = unsafe message.err != RD_KAFKA_RESP_ERR_NO_ERROR
                context.report(KafkaDelivery(id: id, error: failed ? unsafe KafkaError(message.err) : nil))
            }
        }
        guard let raw = unsafe rd_kafka_topic_new(handle.raw, topic, nil) else {
            throw KafkaError(rd_kafka_last_error())
        }
        self.handle = handle
        self.topic = unsafe KafkaTopic(raw: raw)
        self.context = context
        let thread = Thread { [self] in run() }
        thread.name = "kafka-producer"
        thread.start()
    }

    /// Gives one record to the client's queue; copies it and never waits.
    package func produce(
        partition: Int, key: String, header: (name: String, value: String), value: ArraySlice<UInt8>, id: UInt64
    ) -> Outcome {
        lifetime.withLock { lifetime in
            guard !lifetime.closing else { return .failed(.closed) }
            let error = unsafe key.withCString { key in
                unsafe header.name.withCString { name in
                    unsafe header.value.withCString { text in
                        unsafe value.withUnsafeBytes { value in
                            let fields = unsafe [
                                field(RD_KAFKA_VTYPE_RKT) { unsafe $0.rkt = topic.raw },
                                field(RD_KAFKA_VTYPE_PARTITION) { unsafe $0.i32 = Int32(partition) },
                                field(RD_KAFKA_VTYPE_MSGFLAGS) { unsafe $0.i = RD_KAFKA_MSG_F_COPY },
                                field(RD_KAFKA_VTYPE_KEY) {
                                    unsafe $0.mem.ptr = UnsafeMutableRawPointer(mutating: key)
                                    unsafe $0.mem.size = strlen(key)
                                },
                                field(RD_KAFKA_VTYPE_VALUE) {
                                    unsafe $0.mem.ptr = UnsafeMutableRawPointer(mutating: value.baseAddress)
                                    unsafe $0.mem.size = value.count
                                },
                                field(RD_KAFKA_VTYPE_HEADER) {
                                    unsafe $0.header.name = name
                                    unsafe $0.header.val = UnsafeRawPointer(text)
                                    unsafe $0.header.size = strlen(text)
                                },
                                field(RD_KAFKA_VTYPE_OPAQUE) {
                                    unsafe $0.ptr = UnsafeMutableRawPointer(bitPattern: UInt(id))
                                },
                            ]
                            return unsafe rd_kafka_produceva(handle.raw, fields, fields.count)
                        }
                    }
                }
            }
            guard let error = unsafe error else { return .queued }
            let failure = unsafe KafkaError(owning: error)
            if case .response(RD_KAFKA_RESP_ERR__QUEUE_FULL.rawValue, _, _, _) = failure { return .full }
            return .failed(failure)
        }
    }

    /// What has been reported since the last call, per partition in the order produced.
    package func takeDeliveries() -> [KafkaDelivery] { context.take() }

    /// Ends the client; what is still in flight after `flushMs` is reported as failed, though a broker may have it.
    ///
    /// Returns when the thread is done, at the latest some seconds later. Idempotent.
    package func close(flushMs: Int32 = 0) async {
        lifetime.withLock { lifetime in
            lifetime.closing = true
            lifetime.flushMs = flushMs
        }
        await waitForEnd { [self] in lifetime.withLock { $0.closed } }
    }

    private func run() {
        while !lifetime.withLock({ $0.closing }) { unsafe _ = rd_kafka_poll(handle.raw, 20) }
        unsafe rd_kafka_flush(handle.raw, lifetime.withLock { $0.flushMs })
        unsafe rd_kafka_purge(handle.raw, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT)
        for _ in 0..<100 where unsafe rd_kafka_outq_len(handle.raw) > 0 { unsafe _ = rd_kafka_poll(handle.raw, 10) }
        unsafe rd_kafka_topic_destroy(topic.raw)
        unsafe rd_kafka_destroy(handle.raw)
        lifetime.withLock { $0.closed = true }
    }
}

/// A topic of one client; thread-safe like the client itself.
@safe private struct KafkaTopic: @unchecked Sendable { let raw: OpaquePointer }

private func field(
    _ type: rd_kafka_vtype_t, _ set: (inout rd_kafka_vu_s.__Unnamed_union_u) -> Void
) -> rd_kafka_vu_t {
    var field = unsafe rd_kafka_vu_t()
    unsafe field.vtype = type
    unsafe set(&field.u)
    return unsafe field
}

/// Sendable: its only state is behind a mutex.
private final class ProducerContext: KafkaContext, @unchecked Sendable {
    private let deliveries = Mutex<[KafkaDelivery]>([])

    func report(_ delivery: KafkaDelivery) { deliveries.withLock { $0.append(delivery) } }

    func take() -> [KafkaDelivery] {
        deliveries.withLock { deliveries in
            defer { deliveries = [] }
            return deliveries
        }
    }
}

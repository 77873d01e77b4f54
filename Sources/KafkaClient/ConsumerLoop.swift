import CKafka
import Foundation

/// The consumer's thread: everything here runs on it, but for `init`.
///
/// Sendable only to be handed to that thread.
@safe final class ConsumerLoop: @unchecked Sendable {
    private let settings: KafkaConsumerSettings
    private let mailbox: ConsumerMailbox
    private let context: ConsumerContext
    private let handle: KafkaHandle
    private let queue: OpaquePointer
    private var messages: [UnsafeMutablePointer<rd_kafka_message_t>?]
    private let headerName: ContiguousArray<CChar>

    /// Assigned and not all started; `nil` where the owner has not said yet from where to read.
    private var starting: [Int: Int64?] = [:]
    /// Revoked and not released all.
    private var revoking: Set<Int> = []
    /// To be read again from an offset as soon as no rebalance waits for its answer: librdkafka would take it for that.
    private var restarting: [Int: Int64] = [:]
    /// What librdkafka has been given to read. It refuses a call that adds one of these or takes away any other, and would
    /// wait for its answer for ever.
    private var assigned: Set<Int> = []
    /// The next offset wanted of each partition that is being read; `nil` until its first record is here.
    private var reading: [Int: Int64?] = [:]
    /// Since when nothing came from partitions that are being read, or they were at their end.
    private var silentSince: [Int: ContinuousClock.Instant] = [:]
    private var endsDue = ContinuousClock.now
    private var paused: Set<Int> = []
    private var isHeld = false
    private var fullSince: ContinuousClock.Instant?
    private var closing = false
    private var wasAssigned = false
    private let stallLimit: Duration

    private static let pollMs: Int32 = 20
    private static let messagesPerTurn = 1_000
    private static let queryMs: Int32 = 5_000
    private static let shortQueryMs: Int32 = 1_000
    private static let longestSilence = Duration.seconds(10)
    private static let endsTime = Duration.milliseconds(50)
    private static let defaults = [
        "client.id": "trimtab", "queued.max.messages.kbytes": "16384", "queued.min.messages": "10000",
        "topic.metadata.refresh.interval.ms": "10000", "reconnect.backoff.ms": "50",
        "reconnect.backoff.max.ms": "2000", "max.poll.interval.ms": "300000",
    ]

    init(
        settings: KafkaConsumerSettings, mailbox: ConsumerMailbox, onError: @escaping @Sendable (KafkaError) -> Void
    ) throws(KafkaError) {
        // A stored offset that retention has overtaken is to be reported, not skipped; offsets live with the state.
        let fixed = [
            "group.id": settings.group, "auto.offset.reset": "error", "enable.auto.commit": "false",
            "enable.auto.offset.store": "false", "enable.partition.eof": "false",
            "partition.assignment.strategy": settings.assignor.rawValue,
        ]
        let properties = try KafkaProperties.merge(defaults: Self.defaults, given: settings.properties, fixed: fixed)
        let context = ConsumerContext(onError: onError)
        let handle = try unsafe KafkaHandle(RD_KAFKA_CONSUMER, properties: properties, context: context) { conf in
            unsafe rd_kafka_conf_set_rebalance_cb(conf) { client, code, list, opaque in
                guard let client = unsafe client, let context = unsafe KafkaContext.from(opaque) as? ConsumerContext
                else { return }
                unsafe context.rebalance(client, code, PartitionList.partitions(of: list))
            }
        }
        unsafe rd_kafka_poll_set_consumer(handle.raw)
        let code = unsafe PartitionList.with(topic: settings.topic, partitions: [-1]) { topics in
            unsafe rd_kafka_subscribe(handle.raw, topics)
        }
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR, let queue = unsafe rd_kafka_queue_get_consumer(handle.raw) else {
            unsafe rd_kafka_destroy(handle.raw)
            throw KafkaError(code)
        }
        stallLimit = .milliseconds(Int(properties["max.poll.interval.ms"] ?? "") ?? 300_000)
        headerName = settings.header.utf8CString
        self.settings = settings
        self.mailbox = mailbox
        self.context = context
        self.handle = handle
        unsafe self.queue = queue
        unsafe messages = Array(repeating: nil, count: Self.messagesPerTurn)
    }

    func run() {
        while !closing {
            for order in mailbox.takeOrders() { obey(order) }
            restartIfAnswered()
            mailbox.expireWaiter()
            if mailbox.isStalled(for: stallLimit) {
                mailbox.abandon(.stalled(seconds: Int(stallLimit.components.seconds)))
                break
            }
            if waitsForRoom() { continue }
            let isQuiet = !poll()
            for rebalance in context.takeRebalances() { apply(rebalance) }
            restartIfAnswered()
            refreshEnds(isQuiet: isQuiet)
        }
        context.isClosing = true
        unsafe rd_kafka_queue_destroy(queue)
        if wasAssigned || !isCooperative {
            unsafe rd_kafka_consumer_close(handle.raw)
            unsafe rd_kafka_destroy(handle.raw)
        } else {
            // Before 2.3 a cooperative consumer may crash when it is closed before its first assignment (issue 4312).
            unsafe rd_kafka_destroy_flags(handle.raw, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE)
        }
        mailbox.close()
    }
}

// MARK: - Back-pressure

extension ConsumerLoop {
    /// Waits while the mailbox is full. Short waits leave what librdkafka has fetched ahead in its queues; after a
    /// second partitions are paused, which drops that, and polling goes on, so that the group keeps the member.
    private func waitsForRoom() -> Bool {
        if isHeld {
            if mailbox.isHalfEmpty {
                (isHeld, fullSince) = (false, nil)
                setPaused(false, reading.keys.filter { !paused.contains($0) })
            }
            return false
        }
        // Once full it is left alone until half of it was taken: a batch at a time, both sides would wake each other.
        guard fullSince == nil ? mailbox.isFull : !mailbox.isHalfEmpty else {
            fullSince = nil
            return false
        }
        let since = fullSince ?? .now
        fullSince = since
        if ContinuousClock.now - since < .seconds(1) {
            mailbox.waitForNews(milliseconds: Int(Self.pollMs))
            return true
        }
        isHeld = true
        setPaused(true, Array(reading.keys))
        return false
    }

    private func setPaused(_ pause: Bool, _ partitions: [Int]) {
        guard !partitions.isEmpty else { return }
        unsafe PartitionList.with(topic: settings.topic, partitions: partitions) { list in
            unsafe note(
                pause
                    ? rd_kafka_pause_partitions(handle.raw, list) : rd_kafka_resume_partitions(handle.raw, list))
        }
    }
}

// MARK: - Orders and rebalances

extension ConsumerLoop {
    private func obey(_ order: ConsumerMailbox.Order) {
        switch order {
        case .start(let partition, let offset):
            mailbox.started(partition)
            if starting[partition] != nil {
                starting[partition] = .some(offset)
                assignIfAllStarted()
            } else if reading[partition] != nil, !revoking.contains(partition) {
                // Its owner goes back to what it has stored. One that was lost meanwhile is nobody's business any more.
                restarting[partition] = offset
            }
        case .release(let partitions):
            guard !revoking.isEmpty else { return }
            for partition in partitions where revoking.contains(partition) { reading[partition] = nil }
            guard revoking.allSatisfy({ reading[$0] == nil }) else { return }
            unassign(revoking)
            revoking = []
        case .pause(let partitions):
            paused.formUnion(partitions)
            if !isHeld { setPaused(true, partitions.filter { reading[$0] != nil }) }
        case .resume(let partitions):
            paused.subtract(partitions)
            if !isHeld { setPaused(false, partitions.filter { reading[$0] != nil }) }
        case .commit(let offsets):
            unsafe PartitionList.with(topic: settings.topic, offsets: offsets) { list in
                note(unsafe rd_kafka_commit(handle.raw, list, 1))
            }
        case .close: closing = true
        }
    }

    private func apply(_ rebalance: ConsumerContext.Rebalance) {
        switch rebalance {
        case .assign(let partitions):
            wasAssigned = true
            for partition in partitions {
                starting[partition] = .some(nil)
                restarting[partition] = nil
            }
            if partitions.isEmpty { assignIfAllStarted() } else { mailbox.post(.assigned(partitions)) }
        case .revoke(let partitions) where partitions.isEmpty: unassign([])
        case .revoke(let partitions):
            revoking.formUnion(partitions)
            for partition in partitions {
                restarting[partition] = nil
                if reading[partition] == nil { reading.updateValue(nil, forKey: partition) }
            }
            mailbox.post(.revoked(partitions))
            giveUpStarting(partitions)
        case .lose(let partitions):
            let gone = revoking.union(partitions)
            for partition in gone {
                restarting[partition] = nil
                reading[partition] = nil
            }
            revoking = []
            unassign(gone)
            mailbox.forget(Set(partitions))
            mailbox.post(.lost(partitions))
            giveUpStarting(partitions)
        }
    }

    /// The others may have been waiting for these alone.
    private func giveUpStarting(_ partitions: [Int]) {
        for partition in partitions { starting[partition] = nil }
        if !starting.isEmpty { assignIfAllStarted() }
    }

    private func assignIfAllStarted() {
        let offsets = starting.compactMapValues { $0 }
        guard offsets.count == starting.count else { return }
        starting = [:]
        assign(offsets)
    }

    /// Reads partitions on from other offsets by assigning them anew: after an error of its offset, 2.0.2 does not seek.
    private func restartIfAnswered() {
        guard !restarting.isEmpty, starting.isEmpty, revoking.isEmpty else { return }
        var offsets = restarting
        restarting = [:]
        if !isCooperative { offsets.merge(reading.mapValues { $0 ?? -2 }) { wanted, _ in wanted } }
        assign(offsets)
    }

    private func assign(_ offsets: [Int: Int64]) {
        let partitions = Set(offsets.keys)
        if isCooperative, !assigned.isDisjoint(with: partitions) { unassign(partitions) }
        for (partition, offset) in offsets {
            reading[partition] = .some(offset < 0 ? nil : offset)
            silentSince[partition] = .now
        }
        unsafe PartitionList.with(topic: settings.topic, offsets: offsets) { list in
            if isCooperative {
                unsafe require(rd_kafka_incremental_assign(handle.raw, list))
                assigned.formUnion(partitions)
            } else {
                note(unsafe rd_kafka_assign(handle.raw, list))
                assigned = partitions
            }
        }
        let held = offsets.keys.filter { isHeld || paused.contains($0) }
        setPaused(true, held)
        // A partition that was paused when it was last taken away is still paused to librdkafka.
        setPaused(false, offsets.keys.filter { !held.contains($0) })
    }

    private func unassign(_ partitions: Set<Int>) {
        if isCooperative {
            let known = assigned.intersection(partitions)
            unsafe PartitionList.with(topic: settings.topic, partitions: known) { list in
                unsafe require(rd_kafka_incremental_unassign(handle.raw, list))
            }
            assigned.subtract(known)
        } else {
            note(unsafe rd_kafka_assign(handle.raw, nil))
            assigned = []
        }
    }

    private var isCooperative: Bool { settings.assignor == .cooperativeSticky }

    /// Reading on after a refusal would skip records, or stand still.
    private func require(_ error: OpaquePointer?) {
        if let error = unsafe error { mailbox.fail(unsafe KafkaError(owning: error)) }
    }

    private func note(_ code: rd_kafka_resp_err_t) {
        if code != RD_KAFKA_RESP_ERR_NO_ERROR { context.note(KafkaError(code)) }
    }
}

// MARK: - Records

extension ConsumerLoop {
    /// Waits for one message, then takes what else is there, so that a lone record does not wait for company.
    ///
    /// - Returns: Whether there was any.
    private func poll() -> Bool {
        guard let first = unsafe rd_kafka_consumer_poll(handle.raw, Self.pollMs) else { return false }
        unsafe messages[0] = first
        var count = 1
        unsafe messages.withUnsafeMutableBufferPointer { buffer in
            guard let rest = unsafe buffer.baseAddress?.advanced(by: 1) else { return }
            let more = unsafe rd_kafka_consume_batch_queue(queue, 0, rest, buffer.count - 1)
            count += max(0, more)
        }
        unsafe messages.withUnsafeMutableBufferPointer { buffer in
            var rest = unsafe buffer[..<count]
            while unsafe !rest.isEmpty { unsafe take(from: &rest) }
        }
        return true
    }

    /// Takes the first message and those behind it that are of the same partition.
    private func take(from rest: inout Slice<UnsafeMutableBufferPointer<UnsafeMutablePointer<rd_kafka_message_t>?>>) {
        guard let first = unsafe rest.first, let message = unsafe first else { return unsafe rest = rest.dropFirst() }
        let number = unsafe message.pointee.partition
        guard unsafe message.pointee.err == RD_KAFKA_RESP_ERR_NO_ERROR else {
            // An error's payload is its text.
            let text = unsafe String(decoding: Self.value(of: message), as: UTF8.self)
            unsafe fault(message.pointee.err, partition: Int(number), text: text)
            unsafe rd_kafka_message_destroy(message)
            return unsafe rest = rest.dropFirst()
        }
        let partition = Int(number)
        // Guards: a partition that is being handed over, and a record that was here before.
        let isWanted = !revoking.contains(partition) && restarting[partition] == nil
        let wanted = isWanted ? reading[partition] : nil
        var next = wanted.map { $0 ?? 0 }
        let run = unsafe rest.prefix { one in
            guard let message = unsafe one else { return false }
            return unsafe message.pointee.partition == number && message.pointee.err == RD_KAFKA_RESP_ERR_NO_ERROR
        }
        var batch = KafkaBatch(partition: partition)
        unsafe batch.reserve(
            records: run.count, bytes: run.reduce(settings.padding) { unsafe $0 + ($1?.pointee.len ?? 0) })
        for place in unsafe run.indices {
            guard let message = unsafe run[place] else { continue }
            if let offset = next, unsafe message.pointee.offset >= offset {
                unsafe batch.append(
                    Self.value(of: message), offset: message.pointee.offset, header: header(of: message))
                next = unsafe message.pointee.offset + 1
            }
            unsafe rd_kafka_message_destroy(message)
        }
        unsafe rest = rest[run.endIndex...]
        guard let next, !batch.records.isEmpty else { return }
        reading[partition] = .some(next)
        silentSince[partition] = .now
        batch.pad(settings.padding)
        refreshEnd(of: partition)
        mailbox.post(.batch(batch))
    }

    private static func value(of message: UnsafeMutablePointer<rd_kafka_message_t>) -> UnsafeRawBufferPointer {
        let message = unsafe message.pointee
        return unsafe UnsafeRawBufferPointer(start: message.payload, count: message.payload == nil ? 0 : message.len)
    }

    /// Takes librdkafka's own message: the headers lie around it, so a copy would not do.
    private func header(of message: UnsafeMutablePointer<rd_kafka_message_t>) -> String? {
        var headers: OpaquePointer?
        guard unsafe rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR else { return nil }
        var value: UnsafeRawPointer?
        var size = 0
        let found = unsafe headerName.withUnsafeBufferPointer {
            unsafe rd_kafka_header_get_last(headers, $0.baseAddress, &value, &size)
        }
        guard found == RD_KAFKA_RESP_ERR_NO_ERROR else { return nil }
        return unsafe String(decoding: UnsafeRawBufferPointer(start: value, count: size), as: UTF8.self)
    }

    private func fault(_ code: rd_kafka_resp_err_t, partition: Int, text: String) {
        switch code {
        case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET, RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE: outOfRange(partition)
        case RD_KAFKA_RESP_ERR__FATAL: mailbox.fail(KafkaError(code, reason: text, isFatal: true))
        default: context.note(KafkaError(code, reason: text))
        }
    }

    /// The offset wanted is not in the log: reads on at the oldest record if it was overtaken, and fails if it lies
    /// ahead, because then this is not the log it came from.
    ///
    /// - Returns: Whether the broker has answered, if it was asked.
    @discardableResult
    private func outOfRange(_ partition: Int, patienceMs: Int32 = queryMs) -> Bool {
        guard let entry = reading[partition], !revoking.contains(partition), restarting[partition] == nil else {
            return true
        }
        var (low, high): (Int64, Int64) = (0, 0)
        let code = unsafe rd_kafka_query_watermark_offsets(
            handle.raw, settings.topic, Int32(partition), &low, &high, patienceMs)
        let wanted = entry ?? low
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
            // Reading on at the same place asks again, for it fails in the same way if it still is not there.
            context.note(KafkaError(code))
            restarting[partition] = entry ?? -2
            return false
        }
        guard wanted <= high else {
            mailbox.fail(.ahead(topic: settings.topic, partition: partition, offset: wanted, end: high))
            return true
        }
        if wanted < low {
            reading[partition] = .some(low)
            mailbox.post(.overtaken(partition: partition, from: wanted, to: low))
        }
        restarting[partition] = max(wanted, low)
        return true
    }

    /// Takes over what the last fetches said of the ends of silent partitions too.
    private func refreshEnds(isQuiet: Bool) {
        guard endsDue <= .now else { return }
        endsDue = .now + Self.endsTime
        for partition in reading.keys { lookAfter(partition, end: refreshEnd(of: partition), isQuiet: isQuiet) }
    }

    /// Takes over what the last fetch said of a partition's end; asks no broker.
    @discardableResult
    private func refreshEnd(of partition: Int) -> Int64? {
        var (low, high): (Int64, Int64) = (-1, -1)
        let code = unsafe rd_kafka_get_watermark_offsets(handle.raw, settings.topic, Int32(partition), &low, &high)
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR, high >= 0 else { return nil }
        mailbox.setEnd(high, of: partition)
        return high
    }

    /// Has a partition read anew from which nothing comes though its end is elsewhere or unknown. Where it lies before the
    /// offset wanted Kafka refuses the fetch, but other brokers are silent; and after some rebalances in a row a partition was
    /// seen to stay unread.
    ///
    /// - Parameter isQuiet: Whether nothing was there to be taken: a partition's records may be behind many others'.
    private func lookAfter(_ partition: Int, end: Int64?, isQuiet: Bool) {
        guard let entry = reading[partition], !isHeld, !paused.contains(partition), end == nil || end != entry else {
            return silentSince[partition] = .now
        }
        guard isQuiet, let since = silentSince[partition], since + Self.longestSilence < .now else { return }
        silentSince[partition] = .now
        // Where no broker answers, once is enough for all.
        if !outOfRange(partition, patienceMs: Self.shortQueryMs) { silentSince = silentSince.mapValues { _ in .now } }
    }
}

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
    /// Where answers to commits come in.
    private let commits: OpaquePointer
    private var messages: [UnsafeMutablePointer<rd_kafka_message_t>?]
    private let headerName: ContiguousArray<CChar>

    /// What the group has given to this member; read once the owner has said from where.
    private var given: Set<Int> = []
    /// Revoked and not released all.
    private var revoking: Set<Int> = []
    private var released: Set<Int> = []
    /// The next offset wanted of each partition that has an owner; below 0 one that the broker is to look up.
    private var reading: [Int: Int64] = [:]
    private var paused: Set<Int> = []
    /// Whether all are paused until there is room.
    private var isHeld = false
    /// What librdkafka has been given to read. It refuses a call that adds one of these or takes away any other, and would
    /// wait for its answer for ever.
    private var assigned: Set<Int> = []
    /// To be taken from librdkafka and, where they are to be read, given to it again.
    ///
    /// That is how partitions are paused too. librdkafka numbers what a partition is told before it queues it, and drops
    /// what was overtaken, so pausing, resuming or seeking on this thread may undo the start of a partition that its main
    /// thread gives at the same moment, and the partition stays unread (issue 5591). Assignments are all main thread's.
    private var changing: Set<Int> = []
    /// Since when nothing came from partitions that are being read, or they were at their end.
    private var silentSince: [Int: ContinuousClock.Instant] = [:]
    private var endsDue = ContinuousClock.now
    /// Whether something came since librdkafka was last told to fetch on.
    private var mayBeAsleep = false
    private var fullSince: ContinuousClock.Instant?
    /// Next offsets that the group is to remember once the commit on its way is answered.
    private var uncommitted: [Int: Int64] = [:]
    private var isCommitting = false
    private var closing = false
    private var wasAssigned = false
    private let stallLimit: Duration

    private static let pollMs: Int32 = 20
    private static let messagesPerTurn = 1_000
    private static let queryMs: Int32 = 5_000
    private static let shortQueryMs: Int32 = 1_000
    private static let wakeMs: Int32 = 100
    private static let latest: Int64 = -1
    private static let longestSilence = Duration.seconds(10)
    private static let endsTime = Duration.milliseconds(50)
    private static let defaults = ["queued.max.messages.kbytes": "16384", "max.poll.interval.ms": "300000"]

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
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR, let queue = unsafe rd_kafka_queue_get_consumer(handle.raw),
            let commits = unsafe rd_kafka_queue_new(handle.raw)
        else {
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
        unsafe self.commits = commits
        unsafe messages = Array(repeating: nil, count: Self.messagesPerTurn)
    }

    func run() {
        while !closing {
            for order in mailbox.takeOrders() { obey(order) }
            mailbox.expireWaiter()
            if mailbox.isStalled(for: stallLimit) {
                mailbox.abandon(.stalled(seconds: Int(stallLimit.components.seconds)))
                break
            }
            commit()
            if waitsForRoom() { continue }
            change()
            let isQuiet = !poll()
            for rebalance in context.takeRebalances() { apply(rebalance) }
            if isQuiet { wakeFetchers() } else { mayBeAsleep = true }
            refreshEnds(isQuiet: isQuiet)
        }
        settleCommits()
        context.isClosing = true
        unsafe rd_kafka_queue_destroy(commits)
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
    /// second everything is paused, which drops that, and polling goes on, so that the group keeps the member.
    private func waitsForRoom() -> Bool {
        if isHeld {
            guard mailbox.isHalfEmpty else { return false }
            (isHeld, fullSince) = (false, nil)
            changing.formUnion(reading.keys)
            return false
        }
        // Once full it is left alone until half of it was taken: a batch at a time, both sides would wake each other.
        guard fullSince == nil ? mailbox.isFull : !mailbox.isHalfEmpty else {
            fullSince = nil
            return false
        }
        let since = fullSince ?? .now
        fullSince = since
        if !revoking.isEmpty || ContinuousClock.now - since < .seconds(1) {
            mailbox.waitForNews(milliseconds: Int(Self.pollMs))
            return true
        }
        isHeld = true
        changing.formUnion(assigned)
        return false
    }
}

// MARK: - Orders and rebalances

extension ConsumerLoop {
    private func obey(_ order: ConsumerMailbox.Order) {
        switch order {
        case .start(let partition, let offset):
            mailbox.started(partition)
            // One that was lost meanwhile is nobody's business any more.
            guard given.contains(partition) else { return }
            reading[partition] = offset
            changing.insert(partition)
        case .release(let partitions):
            released.formUnion(revoking.intersection(partitions))
            guard !revoking.isEmpty, released == revoking else { return }
            settleCommits()
            giveBack(revoking)
        case .pause(let partitions):
            paused.formUnion(partitions)
            changing.formUnion(assigned.intersection(partitions))
        case .resume(let partitions):
            paused.subtract(partitions)
            changing.formUnion(Set(partitions).subtracting(assigned))
        case .commit(let offsets): uncommitted.merge(offsets) { $1 }
        case .close: closing = true
        }
    }

    private func apply(_ rebalance: ConsumerContext.Rebalance) {
        switch rebalance {
        case .assign(let partitions):
            wasAssigned = true
            // It took a change that met the revocation on its way here for the answer.
            if !revoking.isDisjoint(with: partitions) { giveBack(revoking) }
            given.formUnion(partitions)
            // Answered at once: a group should not have to wait for an owner.
            assign([:])
            if !partitions.isEmpty { mailbox.post(.assigned(partitions)) }
        case .revoke(let partitions) where partitions.isEmpty: unassign([])
        case .revoke(let partitions):
            revoking.formUnion(partitions)
            mailbox.post(.revoked(partitions))
        case .lose(let partitions):
            giveBack(revoking.union(partitions))
            mailbox.forget(Set(partitions))
            mailbox.post(.lost(partitions))
        }
    }

    private func giveBack(_ partitions: Set<Int>) {
        for partition in partitions { (reading[partition], uncommitted[partition]) = (nil, nil) }
        given.subtract(partitions)
        changing.subtract(partitions)
        (revoking, released) = ([], [])
        unassign(partitions)
    }

    /// Has librdkafka read what is to be read, unless it would take that for the answer to a rebalance.
    private func change() {
        guard !changing.isEmpty, revoking.isEmpty else { return }
        let wanted = isHeld ? [:] : reading.filter { !paused.contains($0.key) }
        if isCooperative {
            if !assigned.isDisjoint(with: changing) { unassign(changing) }
            let added = wanted.filter { changing.contains($0.key) }
            if !added.isEmpty { assign(added) }
        } else if reading.count == given.count {
            // Every call begins all of them anew.
            assign(wanted)
        }
        changing = []
    }

    private func assign(_ offsets: [Int: Int64]) {
        for partition in offsets.keys { silentSince[partition] = .now }
        unsafe PartitionList.with(topic: settings.topic, offsets: offsets) { list in
            if isCooperative {
                unsafe require(rd_kafka_incremental_assign(handle.raw, list))
            } else {
                note(unsafe rd_kafka_assign(handle.raw, list))
            }
        }
        assigned = isCooperative ? assigned.union(offsets.keys) : Set(offsets.keys)
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

// MARK: - Commits

extension ConsumerLoop {
    /// Sends what is to be committed, one commit at a time: librdkafka sends one again after a passing error, which would set
    /// the group back behind those that were sent meanwhile.
    private func commit(patienceMs: Int32 = 0) {
        if isCommitting, let answer = unsafe rd_kafka_queue_poll(commits, patienceMs) {
            note(unsafe rd_kafka_event_error(answer))
            unsafe rd_kafka_event_destroy(answer)
            isCommitting = false
        }
        guard !isCommitting, !uncommitted.isEmpty else { return }
        unsafe PartitionList.with(topic: settings.topic, offsets: uncommitted) { list in
            let code = unsafe rd_kafka_commit_queue(handle.raw, list, commits, nil, nil)
            note(code)
            isCommitting = code == RD_KAFKA_RESP_ERR_NO_ERROR
        }
        uncommitted = [:]
    }

    /// Waits for the commit on its way and sends the rest, before the partitions are others'.
    private func settleCommits() {
        for _ in 0..<2 { commit(patienceMs: Self.shortQueryMs) }
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
        // Guards: a partition that is being handed over or read anew, and a record that was here before.
        var next = isRead(partition) ? reading[partition] : nil
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
                let value = unsafe Self.value(of: message)
                let header = unsafe settings.headerFromValue(value) ?? header(of: message)
                unsafe batch.append(value, offset: message.pointee.offset, header: header)
                next = unsafe message.pointee.offset + 1
            }
            unsafe rd_kafka_message_destroy(message)
        }
        unsafe rest = rest[run.endIndex...]
        guard let next, !batch.records.isEmpty else { return }
        reading[partition] = next
        silentSince[partition] = .now
        batch.pad(settings.padding)
        refreshEnd(of: partition)
        mailbox.post(.batch(batch))
    }

    private func isRead(_ partition: Int) -> Bool {
        assigned.contains(partition) && !changing.contains(partition) && !revoking.contains(partition)
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
        case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET, RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE: verifyOffset(of: partition)
        case RD_KAFKA_RESP_ERR__FATAL: mailbox.fail(KafkaError(code, reason: text, isFatal: true))
        default: context.note(KafkaError(code, reason: text))
        }
    }

    /// Asks whether the offset wanted is in the log and has it read anew: from the oldest record if it was overtaken. Fails if
    /// it lies ahead, because then this is not the log it came from.
    ///
    /// - Returns: Whether the broker has answered, if it was asked.
    @discardableResult
    private func verifyOffset(of partition: Int, patienceMs: Int32 = queryMs) -> Bool {
        guard isRead(partition), let next = reading[partition] else { return true }
        var (low, high): (Int64, Int64) = (0, 0)
        let code = unsafe rd_kafka_query_watermark_offsets(
            handle.raw, settings.topic, Int32(partition), &low, &high, patienceMs)
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
            // Reading on at the same place asks again, for it fails in the same way if it still is not there.
            context.note(KafkaError(code))
            changing.insert(partition)
            return false
        }
        guard next <= high else {
            mailbox.fail(.ahead(topic: settings.topic, partition: partition, offset: next, end: high))
            return true
        }
        if next >= 0, next < low { mailbox.post(.overtaken(partition: partition, from: next, to: low)) }
        reading[partition] = max(next, low)
        changing.insert(partition)
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

    /// Has librdkafka fetch on. Its thread that found its queues full looks at them again when it has something to send, or
    /// after a second; so it is asked where the partitions end that are not read to their end.
    private func wakeFetchers() {
        guard mayBeAsleep else { return }
        mayBeAsleep = false
        let behind = reading.filter { isRead($0.key) && $0.value < (refreshEnd(of: $0.key) ?? 0) }
        guard !behind.isEmpty else { return }
        // Of no interest is the answer, so neither is a broker that gives none.
        _ = unsafe PartitionList.with(topic: settings.topic, offsets: behind.mapValues { _ in Self.latest }) {
            unsafe rd_kafka_offsets_for_times(handle.raw, $0, Self.wakeMs)
        }
    }

    /// Has a partition read anew from which nothing comes though its end is elsewhere or unknown. Where it lies before the
    /// offset wanted Kafka refuses the fetch, but other brokers are silent.
    ///
    /// - Parameter isQuiet: Whether nothing was there to be taken: a partition's records may be behind many others'.
    private func lookAfter(_ partition: Int, end: Int64?, isQuiet: Bool) {
        let next = reading[partition]
        // Where the group has read up to is not known here, so neither is what there should be.
        guard isRead(partition), end != next, next != KafkaConsumer.committed else {
            return silentSince[partition] = .now
        }
        guard isQuiet, let since = silentSince[partition], since + Self.longestSilence < .now else { return }
        silentSince[partition] = .now
        // Where no broker answers, once is enough for all.
        if !verifyOffset(of: partition, patienceMs: Self.shortQueryMs) {
            silentSince = silentSince.mapValues { _ in .now }
        }
    }
}

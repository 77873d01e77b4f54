import CKafka
import Foundation
import Synchronization

/// How a consumer joins its group.
///
/// Safe: it holds no pointer; `headerFromValue` is given one for the time of a call.
@safe package struct KafkaConsumerSettings: Sendable {
    package enum Assignor: String, Sendable {
        /// Members keep what they have and hand over only what moves.
        case cooperativeSticky = "cooperative-sticky"
        /// Everything is revoked and given out anew at every change.
        case range
    }

    package var topic: String
    package var group: String
    package var assignor = Assignor.cooperativeSticky
    /// Passed to librdkafka as they are. Its thread always polls, so that `max.poll.interval.ms` (5 minutes by default) is
    /// ours to watch: a member whose owner takes nothing for as long leaves the group.
    package var properties: [String: String]
    /// The record header that is handed on; others are not read.
    package var header = "kind"
    /// What the header is by the record's value alone, `nil` where the value does not tell. The header of a record that tells
    /// is not read, because reading it costs as much as fetching the record.
    package var headerFromValue: @Sendable (UnsafeRawBufferPointer) -> String? = { _ in nil }
    /// Zero bytes behind a batch's last record, for a parser that reads in blocks.
    package var padding = 0
    /// Batches and bytes that may wait to be taken before the consumer stops fetching.
    package var maxWaitingBatches = 1_024
    package var maxWaitingBytes = 16 << 20

    package init(topic: String, group: String, properties: [String: String]) {
        self.topic = topic
        self.group = group
        self.properties = properties
    }
}

/// Neighbouring records of one partition, copied into one buffer.
package struct KafkaBatch: Sendable {
    package struct Record: Sendable, Equatable {
        package let offset: Int64
        /// The value of the header asked for, by itself or by the record's value.
        package let header: String?
        package let range: Range<Int>
    }

    package let partition: Int
    package private(set) var bytes: [UInt8] = []
    package private(set) var records: [Record] = []

    init(partition: Int) { self.partition = partition }

    mutating func reserve(records: Int, bytes: Int) {
        self.records.reserveCapacity(records)
        self.bytes.reserveCapacity(bytes)
    }

    mutating func append(_ value: UnsafeRawBufferPointer, offset: Int64, header: String?) {
        let start = bytes.count
        unsafe bytes.append(contentsOf: value)
        records.append(Record(offset: offset, header: header, range: start..<bytes.count))
    }

    mutating func pad(_ zeros: Int) { bytes.append(contentsOf: repeatElement(0, count: zeros)) }
}

package enum KafkaConsumerEvent: Sendable {
    /// Due now: `start` for each of these partitions.
    case assigned([Int])
    /// Due now: `release` for all of these, after storing what is known of them.
    case revoked([Int])
    /// Gone already.
    case lost([Int])
    case batch(KafkaBatch)
    /// Retention has taken the records `from..<to`; reading goes on at `to`.
    case overtaken(partition: Int, from: Int64, to: Int64)
}

/// A member of a consumer group that is told by its owner where to read each partition.
///
/// One thread owns the librdkafka client and always polls it: it runs the rebalances, copies records out, and puts what
/// happened into a bounded mailbox, from which one task takes it. Kafka keeps offsets only for an owner that commits.
package final class KafkaConsumer: Sendable {
    private let mailbox: ConsumerMailbox

    /// Joins the group.
    ///
    /// - Throws: `KafkaError.property` for a client property that cannot be taken.
    package init(
        settings: KafkaConsumerSettings, onError: @escaping @Sendable (KafkaError) -> Void = { _ in }
    ) throws(KafkaError) {
        let mailbox = ConsumerMailbox(maxBatches: settings.maxWaitingBatches, maxBytes: settings.maxWaitingBytes)
        let loop = try ConsumerLoop(settings: settings, mailbox: mailbox, onError: onError)
        self.mailbox = mailbox
        let thread = Thread { loop.run() }
        thread.name = "kafka-consumer"
        thread.start()
    }

    /// The next event, `nil` if there is none within `timeout` (granularity about 20 ms).
    package func next(timeout: Duration) async throws -> KafkaConsumerEvent? {
        try await mailbox.next(timeout: timeout)
    }

    /// Where the group committed to have read up to, or the beginning if it never did.
    package static let committed: Int64 = -1000

    /// Reads from `offset` on, -2 for the beginning, or from `committed`; with `range`, reading begins when all assigned
    /// partitions were started. One that is being read already is read again from there, and nothing that was read before comes
    /// after this call.
    package func start(partition: Int, at offset: Int64) { mailbox.start(partition, at: offset) }

    /// Lets revoked partitions go; the group moves on when all that were revoked together are released.
    package func release(_ partitions: [Int]) { mailbox.order(.release(partitions)) }

    package func pause(_ partitions: [Int]) { mailbox.order(.pause(partitions)) }
    package func resume(_ partitions: [Int]) { mailbox.order(.resume(partitions)) }

    /// What waits to be taken; beyond the bounds by one turn's records at most.
    package var waiting: (batches: Int, bytes: Int) { mailbox.waiting }

    /// Has the group remember the next offset of each partition; a commit that fails is covered by the next.
    package func commit(_ offsets: [Int: Int64]) { mailbox.order(.commit(offsets)) }

    /// The end of each assigned partition, as the last fetch saw it.
    package func endOffsets() -> [Int: Int64] { mailbox.endOffsets }

    /// Leaves the group; returns when the thread is done, at the latest after ten seconds. Idempotent.
    package func close() async {
        mailbox.order(.close)
        await waitForEnd { [mailbox] in mailbox.isClosed }
    }
}

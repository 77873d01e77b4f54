/// The stream's way into the event log, the same for the gateway's own log and for Kafka.
///
/// One task uses a reader. It owns no position: whoever reads keeps the next offset with its state, claims a partition
/// when it is assigned, and says from where to read.
package protocol EventLogReader: Sendable {
    /// The name under which offsets are kept.
    var topic: String { get }

    /// How many partitions the log has; fixed for its life.
    func partitionCount() async throws -> Int

    /// What happened next, `.idle` if nothing did within `timeout`.
    ///
    /// - Throws: `TrimtabError` when the log cannot be read any more without a person's help.
    func next(timeout: Duration) async throws -> EventLogSignal

    /// Reads an assigned partition from `offset` on; due for every partition of an `.assigned`, after the claim. Also for
    /// one that is being read, to go back to what is stored: no batch that was read before follows.
    ///
    /// - Parameter offset: The next one wanted, or `EventLogOffset.beginning`.
    /// - Throws: `TrimtabError` if the log ends before `offset` and so cannot be the one it was taken from.
    func start(partition: Int, at offset: Int64) async throws

    /// Lets revoked partitions go; due for every `.revoked`, after the caller has stored its state.
    func release(_ partitions: [Int]) async throws

    /// Holds partitions back without giving them up.
    func pause(_ partitions: [Int]) async throws
    func resume(_ partitions: [Int]) async throws

    /// The offset after the newest record of each assigned partition, as far as known; for lag.
    func endOffsets() async throws -> [Int: Int64]

    /// Where to start so that no record of the partition with `at >= time` is missed: at the first one, or somewhat before.
    ///
    /// May be asked at any time, also before an assignment.
    ///
    /// - Parameter time: Milliseconds since the epoch.
    /// - Returns: `nil` if the partition has no record as late.
    /// - Throws: `TrimtabError` `event_log.kafka.times` on a cluster that does not look offsets up by time.
    func offset(partition: Int, atOrAfter time: Int64) async throws -> Int64?

    /// Leaves the log; idempotent. Later calls of `next` throw.
    func close() async
}

package enum EventLogOffset {
    /// The oldest record there is. Right for a partition never read before: starting at the end would lose records.
    package static let beginning: Int64 = -2
}

package enum EventLogSignal: Sendable {
    /// These partitions are this reader's now; call `start` for each.
    case assigned([Int])
    /// Another reader is to have these: store state, then call `release`. No batch of theirs follows.
    case revoked([Int])
    /// These are another's already: forget their state without storing it.
    case lost([Int])
    case batch(EventBatch)
    /// The records `from..<to` of a partition are gone, overtaken by the log's bound; reading goes on at `to`.
    case gap(partition: Int, from: Int64, to: Int64)
    case idle
}

package import Core
package import StreamProcessing

/// What the stream worker needs of the store.
package protocol StreamStore: Sendable {
    /// Takes a partition over from whoever had it; their commits fail from now on.
    ///
    /// - Returns: The epoch for commits, and the stored state; `nil` if nobody has stored any.
    func claim(partition: Int) async throws -> (epoch: Int64, state: PartitionState?)

    /// Makes known how many partitions the log has: one that nobody has claimed yet keeps results from being final.
    func declare(partitions count: Int) async throws

    /// Stores checkpoints of different partitions in one transaction, each under the epoch that its claim gave.
    ///
    /// - Returns: The partitions that another owner has claimed since; nothing of theirs is stored.
    func commit(_ checkpoints: [(epoch: Int64, checkpoint: Checkpoint)]) async throws -> Set<Int>

    /// Those of the requests that are kept.
    func requests(_ ids: [UUIDv7]) async throws -> [UUIDv7: RequestRow]
}

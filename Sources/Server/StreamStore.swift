package import Core
package import StreamProcessing

/// A partition as its new owner gets it.
package struct ClaimedPartition: Sendable {
    /// Fences every former owner's commits.
    package var epoch: Int64
    /// `nil` if nobody has stored anything of it yet.
    package var state: PartitionState?

    package init(epoch: Int64, state: PartitionState?) {
        self.epoch = epoch
        self.state = state
    }
}

/// What the stream worker needs of the store.
package protocol StreamStore: Sendable {
    /// Takes a partition over from whoever had it.
    func claim(partition: Int) async throws -> ClaimedPartition

    /// Stores the checkpoints in one transaction, each under its partition's epoch.
    ///
    /// - Returns: The partitions that another owner has claimed since; nothing of theirs is stored.
    func commit(_ checkpoints: [EpochCheckpoint]) async throws -> Set<Int>

    /// Those of the requests that are kept.
    func requests(_ ids: [UUIDv7]) async throws -> [UUIDv7: RequestRow]
}

package struct EpochCheckpoint: Sendable {
    package var epoch: Int64
    package var checkpoint: Checkpoint

    package init(epoch: Int64, checkpoint: Checkpoint) {
        self.epoch = epoch
        self.checkpoint = checkpoint
    }
}

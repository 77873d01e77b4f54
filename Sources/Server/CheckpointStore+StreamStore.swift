import StreamProcessing
import StateStore

extension CheckpointStore: StreamStore {
    package func claim(partition: Int) async throws -> ClaimedPartition {
        let claimed: (epoch: Int64, state: PartitionState?) = try await claim(partition: partition)
        return ClaimedPartition(epoch: claimed.epoch, state: claimed.state)
    }

    package func commit(_ checkpoints: [EpochCheckpoint]) async throws -> Set<Int> {
        try await commit(checkpoints.map { ($0.epoch, $0.checkpoint) })
    }
}

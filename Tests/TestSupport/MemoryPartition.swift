package import Core
package import Statistics
package import StreamProcessing

/// The store's part in memory: what one partition has committed, and the epoch that fences its former owners.
package struct MemoryPartition {
    package var epoch: Int64 = 0
    package var state: PartitionState
    package var open: [WindowID: OpenWindow] = [:]
    /// The newest of each window; of those whose panes add up, the newest too.
    package var results: [WindowID: WindowResult] = [:]
    /// Every pane of the windows whose panes add up.
    package var added: [WindowID: [Int: WindowResult]] = [:]
    package var requests: [UUIDv7: RequestRow] = [:]
    package var feedback: [UUIDv7: AttributedFeedback] = [:]
    /// By window, then name.
    package var deltas: [WindowID: [String: Moments]] = [:]
    package var deadLetters: [Int64: DeadLetter] = [:]
    package var panes: [EvidencePane] = []

    package init(partition: Int) { state = PartitionState(partition: partition) }

    package mutating func claim() throws -> (epoch: Int64, state: PartitionState) {
        epoch += 1
        var claimed = state
        claimed.openWindows = open.values.sorted { $0.id < $1.id }
        return (epoch, try claimed.stored())
    }

    /// False, and nothing changed, for an owner that another has replaced.
    package mutating func commit(_ checkpoint: Checkpoint, epoch: Int64) -> Bool {
        guard epoch == self.epoch else { return false }
        state = checkpoint.state
        for window in checkpoint.changedWindows { open[window.id] = window }
        for id in checkpoint.purgedWindows { open[id] = nil }
        for id in checkpoint.retracted { results[id] = nil }
        for result in checkpoint.results {
            let id = WindowID(window: result.window, key: result.key)
            results[id] = result
            if result.discarding { added[id, default: [:]][result.pane] = result }
        }
        let refused = Set(checkpoint.feedback.map(\.id).filter { feedback[$0] != nil })
        panes += checkpoint.evidence(refusing: refused)
        for delta in checkpoint.feedbackDeltas(refusing: refused) {
            let id = WindowID(window: delta.window, key: delta.key)
            deltas[id, default: [:]][delta.name, default: Moments()].merge(delta.values)
        }
        for entry in checkpoint.feedback where feedback[entry.id] == nil { feedback[entry.id] = entry }
        for row in checkpoint.requests { requests[row.id] = row }
        for dead in checkpoint.deadLetters { deadLetters[dead.offset] = dead }
        return true
    }
}

package import Core
package import Telemetry

/// What rollout evidence is grouped by.
package struct EvidenceKey: Hashable, Codable, Sendable, Comparable {
    package var rollout: UUIDv7
    package var step: Int
    /// `stable`, `candidate` or `shadow`; other arms are no evidence.
    package var arm: Arm

    package init(rollout: UUIDv7, step: Int, arm: Arm) {
        self.rollout = rollout
        self.step = step
        self.arm = arm
    }

    package static func < (a: Self, b: Self) -> Bool {
        (a.rollout, a.step, a.arm.rawValue) < (b.rollout, b.step, b.arm.rawValue)
    }
}

/// What one partition saw of one rollout, step and arm between two checkpoints. Does not wait for the watermark.
package struct EvidencePane: Sendable, Equatable {
    package var key: EvidenceKey
    package var partition: Int
    /// Rises with each checkpoint of the partition that had evidence.
    package var number: Int64
    /// The candidate's probability in force, 0...1.
    package var candidateWeight: Double
    /// In the order of the log.
    package var trials: [Trial]

    package init(key: EvidenceKey, partition: Int, number: Int64, candidateWeight: Double, trials: [Trial]) {
        self.key = key
        self.partition = partition
        self.number = number
        self.candidateWeight = candidateWeight
        self.trials = trials
    }
}

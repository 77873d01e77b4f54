package import Core
package import Statistics
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
    package var counts: EvidenceCounts

    package init(key: EvidenceKey, partition: Int, number: Int64, candidateWeight: Double, counts: EvidenceCounts) {
        self.key = key
        self.partition = partition
        self.number = number
        self.candidateWeight = candidateWeight
        self.counts = counts
    }
}

/// Mergeable counts. Thresholds frozen at a sketch's bucket bounds turn the sketches into exact event counts.
package struct EvidenceCounts: Sendable, Equatable {
    package var requests: Int64 = 0
    package var failures: Int64 = 0
    package var errors: [ErrorClass: Int64] = [:]
    /// Milliseconds, over complete answers.
    package var latency = DDSketch()
    /// Nano-dollars, over requests with a known cost.
    package var cost = DDSketch()
    package var costMoments = Moments()
    /// Feedback named `quality`, attributed to the request's own rollout, step and arm.
    package var quality = QualityHistogram()

    package init() {}
}

/// Counts of quality scores by hundredth: `bad_below` is a whole number of hundredths, so bad answers are exact counts.
package struct QualityHistogram: Codable, Sendable, Equatable {
    /// Hundredth (0...100, the score rounded down) to count.
    package private(set) var counts: [Int: Int64] = [:]
    package private(set) var moments = Moments()

    package init() {}

    package init(counts: [Int: Int64], moments: Moments) {
        self.counts = counts
        self.moments = moments
    }

    package mutating func add(_ value: Double) {
        counts[Int((value * 100 + 1e-9).rounded(.down)), default: 0] += 1
        moments.add(value)
    }

    package mutating func merge(_ other: QualityHistogram) {
        counts.merge(other.counts, uniquingKeysWith: +)
        moments.merge(other.moments)
    }

    /// How many scores lie under `bound`, a whole number of hundredths.
    package func count(below bound: Double) -> Int64 {
        let limit = Int((bound * 100).rounded())
        return counts.reduce(0) { $1.key < limit ? $0 + $1.value : $0 }
    }
}

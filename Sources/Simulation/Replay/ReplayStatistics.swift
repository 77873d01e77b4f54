package import Statistics

/// What a replay has seen so far, from the client's side.
package struct ReplayStatistics: Sendable, Equatable {
    package var sent = 0
    package var completed = 0
    package var failed = 0
    /// Not sent because the bound on open requests was reached: the schedule never waits.
    package var dropped = 0
    package var inFlight = 0
    package var feedbackSent = 0
    package var feedbackFailed = 0
    /// Milliseconds from the intended send time to the last byte, over completed requests.
    package var latency = DDSketch()
    /// The same to the first byte of content, over streamed requests.
    package var ttft = DDSketch()
    /// Nano-dollars, from the reported usage and the simulated price.
    package var cost = Moments()
    package var quality = Moments()
    /// By what the gateway said of the answer; at most `groupLimit`, the rest under `other`.
    package var groups: [Group: GroupStatistics] = [:]
    /// By HTTP status or reason; at most `reasonLimit`, the rest under `other`.
    package var failures: [String: Int] = [:]

    package static let groupLimit = 256
    package static let reasonLimit = 32

    package init() {}

    package struct Group: Hashable, Sendable, Comparable {
        package var policy: String
        package var arm: String
        package var target: String

        package init(policy: String, arm: String, target: String) {
            self.policy = policy
            self.arm = arm
            self.target = target
        }

        package static func < (a: Self, b: Self) -> Bool { (a.policy, a.arm, a.target) < (b.policy, b.arm, b.target) }
    }

    package struct GroupStatistics: Sendable, Equatable {
        package var completed = 0
        package var failed = 0
        package var cost = Moments()
        package var quality = Moments()
        package init() {}
    }

    /// US dollars; `nil` without a request of known cost.
    package var costPer1000: Double? { cost.mean.map { $0 / 1e6 } }
    package var p95Ms: Double? { latency.quantile(0.95) }

    mutating func addFailure(_ reason: String, group: Group?) {
        failed += 1
        let known = failures[reason] != nil || failures.count < Self.reasonLimit
        failures[known ? reason : "other", default: 0] += 1
        if let group { update(group) { $0.failed += 1 } }
    }

    mutating func addCompletion(
        latencyMs: Double, ttftMs: Double?, costNanoUSD: Double?, quality score: Double?, group: Group
    ) {
        completed += 1
        latency.insert(latencyMs)
        if let ttftMs { ttft.insert(ttftMs) }
        if let costNanoUSD { cost.add(costNanoUSD) }
        if let score { quality.add(score) }
        update(group) { statistics in
            statistics.completed += 1
            if let costNanoUSD { statistics.cost.add(costNanoUSD) }
            if let score { statistics.quality.add(score) }
        }
    }

    private mutating func update(_ group: Group, _ change: (inout GroupStatistics) -> Void) {
        let known = groups[group] != nil || groups.count < Self.groupLimit
        change(&groups[known ? group : Group(policy: "other", arm: "other", target: "other"), default: .init()])
    }
}

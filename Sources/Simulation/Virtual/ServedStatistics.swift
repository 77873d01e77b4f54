package import Statistics

/// Counts of served requests, as their users had them: with the quality of every answer, not only of those judged.
package struct ServedStatistics: Sendable, Equatable {
    package var requests = 0
    package var failures = 0
    /// Nano-dollars.
    package var cost = Moments()
    /// 0...1.
    package var quality = Moments()

    package init() {}

    /// US dollars; `nil` without a request of known cost.
    package var costPer1000: Double? { cost.mean.map { $0 / 1e6 } }

    package mutating func merge(_ other: ServedStatistics) {
        requests += other.requests
        failures += other.failures
        cost.merge(other.cost)
        quality.merge(other.quality)
    }
}

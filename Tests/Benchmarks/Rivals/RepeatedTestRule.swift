import Statistics

/// An ordinary test of means, made again and again on all trials so far as if each time were the only one.
package struct RepeatedTestRule: RolloutRule {
    package enum Metric: Sendable, CaseIterable {
        case errors, latency, cost

        fileprivate func value(of trial: RolloutTraffic.Trial) -> Double? {
            switch self {
            case .errors: trial.failure == nil ? 0 : 1
            case .latency: trial.failure == nil ? trial.latencyMs : nil
            case .cost: trial.failure == nil ? trial.costNanoUSD : nil
            }
        }
    }

    private let metrics: [Metric]
    private let limit: Double
    private let isTwoSided: Bool
    private let interval: Int
    private let minimum: Int64
    private var candidate: [Moments]
    private var control: [Moments]
    private var trials = 0

    /// - Parameters:
    ///   - limit: standard errors from 0 that are called significant.
    ///   - isTwoSided: whether a significantly better candidate is rolled back, too.
    ///   - interval: trials of both arms between looks.
    ///   - minimum: values of each arm before the first look.
    package init(
        _ metrics: [Metric], limit: Double, isTwoSided: Bool = false, every interval: Int = 50, minimum: Int64 = 2
    ) {
        (self.metrics, self.limit, self.isTwoSided, self.minimum) = (metrics, limit, isTwoSided, minimum)
        self.interval = max(1, interval)
        candidate = metrics.map { _ in Moments() }
        control = candidate
    }

    package mutating func observe(_ trial: RolloutTraffic.Trial) -> RuleVerdict {
        for (index, metric) in metrics.enumerated() {
            guard let value = metric.value(of: trial) else { continue }
            if trial.isCandidate { candidate[index].add(value) } else { control[index].add(value) }
        }
        trials += 1
        guard trials % interval == 0 else { return .carryOn }
        for index in metrics.indices where candidate[index].n >= minimum && control[index].n >= minimum {
            let z = z(index)
            if (isTwoSided ? abs(z) : z) > limit { return .rollBack }
        }
        return .carryOn
    }

    package mutating func finish() -> RuleVerdict { .promote }

    /// Pooled for shares, Welch's for means.
    private func z(_ index: Int) -> Double {
        let ours = candidate[index], theirs = control[index]
        if metrics[index] == .errors {
            return TwoProportions(
                candidate: Proportion(events: Int64(ours.sum), trials: ours.n),
                control: Proportion(events: Int64(theirs.sum), trials: theirs.n)
            ).pooledZ
        }
        guard let a = ours.mean, let b = theirs.mean, let s = ours.standardError, let t = theirs.standardError,
            s + t > 0
        else { return 0 }
        return (a - b) / (s * s + t * t).squareRoot()
    }
}

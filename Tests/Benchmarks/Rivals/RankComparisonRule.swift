/// Series of per-minute points of both arms, compared by ranks once an hour and scored. So does Kayenta.
///
/// A metric is high when the lower bound of the 98 % interval of the shift is above a quarter of the shift's size and
/// the ratio of means is past its limit; low in the mirror. Any of the two fails the metric where both directions count.
package struct RankComparisonRule: RolloutRule {
    /// Which differences fail a metric.
    package enum Direction: Sendable, Equatable { case increase, either }

    package struct Metric: Sendable, Equatable {
        package var value: MinuteMetric
        package var direction: Direction
        /// Ratios of means, candidate by control, that an increase must reach; a decrease its inverse. 1 is the default.
        package var ratioLimit: Double
        /// Whether a minute without data counts as 0 instead of not at all.
        package var replacesNoData: Bool

        package init(
            _ value: MinuteMetric, direction: Direction = .increase, ratioLimit: Double = 1,
            replacesNoData: Bool = false
        ) {
            (self.value, self.direction, self.ratioLimit) = (value, direction, ratioLimit)
            self.replacesNoData = replacesNoData
        }
    }

    package enum Classification: Sendable, Equatable { case pass, high, low, noData }

    private static let confidence = 0.98
    private static let tolerance = 0.25
    /// From this share of metrics without data on, the score is 0.
    private static let noDataLimit = 0.5
    private let metrics: [Metric]
    private let pass: Double
    private let marginal: Double
    private let points: Int
    private var candidate = ArmMinute()
    private var control = ArmMinute()
    private var candidateSeries: [[Double?]]
    private var controlSeries: [[Double?]]
    private var current: Int64 = 0

    /// - Parameters:
    ///   - pass: score, 0...100, that the last judgement must reach.
    ///   - marginal: score below which any judgement ends the rollout.
    ///   - points: minutes of a judgement.
    package init(_ metrics: [Metric], pass: Double = 75, marginal: Double = 50, points: Int = 60) {
        (self.metrics, self.pass, self.marginal, self.points) = (metrics, pass, marginal, points)
        candidateSeries = metrics.map { _ in [] }
        controlSeries = candidateSeries
    }

    package mutating func observe(_ trial: RolloutTraffic.Trial) -> RuleVerdict {
        var verdict = RuleVerdict.carryOn
        while current < minute(of: trial) {
            closeMinute()
            current += 1
            guard current % Int64(points) == 0 else { continue }
            let score = score()
            if score < marginal { return .rollBack }
            verdict = score < pass ? .hold : .carryOn
        }
        if trial.isCandidate { candidate.add(trial) } else { control.add(trial) }
        return verdict
    }

    /// The last judgement, over the last points: what is only marginal then is not taken.
    package mutating func finish() -> RuleVerdict {
        score() >= pass ? .promote : .rollBack
    }

    private mutating func closeMinute() {
        for (index, metric) in metrics.enumerated() {
            candidateSeries[index].append(candidate.value(of: metric.value))
            controlSeries[index].append(control.value(of: metric.value))
            if candidateSeries[index].count > points {
                candidateSeries[index].removeFirst()
                controlSeries[index].removeFirst()
            }
        }
        candidate.clear()
        control.clear()
    }

    /// The share of passing metrics among those with data, 0...100.
    private func score() -> Double {
        let found = metrics.indices.map {
            Self.classify(metrics[$0], candidate: candidateSeries[$0], control: controlSeries[$0])
        }
        let empty = found.count { $0 == .noData }
        guard Double(empty) < Self.noDataLimit * Double(found.count) else { return 0 }
        return 100 * Double(found.count { $0 == .pass }) / Double(found.count - empty)
    }

    /// One metric's judgement over its points; a missing point is left out or 0, as the metric says.
    package static func classify(_ metric: Metric, candidate: [Double?], control: [Double?]) -> Classification {
        let ours = metric.replacesNoData ? candidate.map { $0 ?? 0 } : candidate.compactMap(\.self)
        let theirs = metric.replacesNoData ? control.map { $0 ?? 0 } : control.compactMap(\.self)
        guard !ours.isEmpty, !theirs.isEmpty else { return .noData }
        guard ours != theirs else { return .pass }
        let shift = HodgesLehmann(candidate: ours, control: theirs, confidence: confidence)
        let bound = tolerance * abs(shift.estimate)
        // A control whose mean is 0 has no ratio, and no limit is reached: not even by a candidate that fails often.
        let mean = theirs.reduce(0, +) / Double(theirs.count)
        let ratio = mean == 0 ? .nan : ours.reduce(0, +) / Double(ours.count) / mean
        if shift.lower > bound, ratio >= metric.ratioLimit { return .high }
        if metric.direction == .either, shift.upper < -bound, ratio <= 1 / metric.ratioLimit { return .low }
        return .pass
    }
}

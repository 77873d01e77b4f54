/// One expression over the candidate's last minute: passes up to the limit.
package struct MinuteCheck: Sendable, Equatable {
    package var metric: MinuteMetric
    package var atMost: Double

    package init(_ metric: MinuteMetric, atMost: Double) { (self.metric, self.atMost) = (metric, atMost) }

    enum Outcome { case pass, fail, noData }

    func run(on minute: ArmMinute) -> Outcome {
        guard let value = minute.value(of: metric) else { return .noData }
        return value <= atMost ? .pass : .fail
    }
}

/// Fixed limits on the candidate alone, measured each minute; more failures of one limit than allowed end the rollout.
/// So does Argo Rollouts' analysis, whose default allows none.
package struct FixedThresholdRule: RolloutRule {
    /// What a minute without data is: a division of zero by zero compares as a failure, an empty answer of the
    /// monitoring system is an error of measurement.
    package enum NoData: Sendable, Equatable {
        case fails
        /// More than this many in a row end the rollout.
        case errs(consecutiveLimit: Int)
    }

    private let checks: [MinuteCheck]
    private let failureLimit: Int
    private let noData: NoData
    private let measurements: Int?
    private var failures: [Int]
    private var errors: [Int]
    private var measured = 0
    private var candidate = ArmMinute()
    private var current: Int64 = 0

    /// - Parameter measurements: minutes until promotion; `nil` measures until the traffic ends.
    package init(
        _ checks: [MinuteCheck], failureLimit: Int = 0, noData: NoData = .errs(consecutiveLimit: 4),
        measurements: Int? = nil
    ) {
        (self.checks, self.failureLimit, self.noData) = (checks, failureLimit, noData)
        self.measurements = measurements
        failures = checks.map { _ in 0 }
        errors = failures
    }

    package mutating func observe(_ trial: RolloutTraffic.Trial) -> RuleVerdict {
        while current < minute(of: trial) {
            let verdict = measure()
            current += 1
            if verdict.isFinal { return verdict }
        }
        if trial.isCandidate { candidate.add(trial) }
        return .carryOn
    }

    /// Who never failed goes on to all traffic.
    package mutating func finish() -> RuleVerdict { .promote }

    private mutating func measure() -> RuleVerdict {
        defer { candidate.clear() }
        for (index, check) in checks.enumerated() {
            switch (check.run(on: candidate), noData) {
            case (.pass, _): errors[index] = 0
            case (.fail, _), (.noData, .fails):
                errors[index] = 0
                failures[index] += 1
                if failures[index] > failureLimit { return .rollBack }
            case (.noData, .errs(let limit)):
                errors[index] += 1
                if errors[index] > limit { return .rollBack }
            }
        }
        measured += 1
        return measurements.map { measured >= $0 } == true ? .promote : .carryOn
    }
}

/// Fixed limits on the candidate alone; minutes in which any of them fails or has no data are counted, and no good
/// minute takes one back. So does Flagger.
package struct FailedCheckCountRule: RolloutRule {
    private let checks: [MinuteCheck]
    private let threshold: Int
    private let measurements: Int?
    private var failed = 0
    private var measured = 0
    private var candidate = ArmMinute()
    private var current: Int64 = 0

    /// - Parameters:
    ///   - threshold: failed minutes that end the rollout.
    ///   - measurements: minutes until promotion; `nil` measures until the traffic ends.
    package init(_ checks: [MinuteCheck], threshold: Int = 5, measurements: Int? = nil) {
        (self.checks, self.threshold, self.measurements) = (checks, threshold, measurements)
    }

    package mutating func observe(_ trial: RolloutTraffic.Trial) -> RuleVerdict {
        while current < minute(of: trial) {
            let passes = checks.allSatisfy { $0.run(on: candidate) == .pass }
            candidate.clear()
            current += 1
            measured += 1
            failed += passes ? 0 : 1
            if failed >= threshold { return .rollBack }
            if let measurements, measured >= measurements { return .promote }
        }
        if trial.isCandidate { candidate.add(trial) }
        return .carryOn
    }

    package mutating func finish() -> RuleVerdict { .promote }
}

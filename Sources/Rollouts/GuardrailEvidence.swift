import Core
package import Statistics

/// Counts of one step, by arm.
package struct StepEvidence: Codable, Sendable, Equatable {
    package var step: Int
    /// Candidate share, 0...1.
    package var weight: Double
    package var control = ArmEvidence()
    package var candidate = ArmEvidence()

    package init(step: Int, weight: Double) {
        self.step = step
        self.weight = weight
    }
}

/// What one arm showed in one step.
package struct ArmEvidence: Codable, Sendable, Equatable {
    package var requests: Int64 = 0
    package var failures: Int64 = 0
    /// Requests with a latency (those that did not fail), and how many of them were slow.
    package var timed: Int64 = 0
    package var slow: Int64 = 0
    /// Requests with a known cost, nano-dollars, and how many of them were dear.
    package var cost = Moments()
    package var dear: Int64 = 0
    /// Answers with quality feedback, 0...1, and how many of them were bad.
    package var quality = Moments()
    package var bad: Int64 = 0

    package init() {}

    package mutating func merge(_ other: ArmEvidence) {
        requests += other.requests
        failures += other.failures
        timed += other.timed
        slow += other.slow
        cost.merge(other.cost)
        dear += other.dear
        quality.merge(other.quality)
        bad += other.bad
    }
}

/// The sequential test of one guardrail: the evidence that the candidate is worse, valid at every look.
package struct GuardrailEvidence: Codable, Sendable, Equatable {
    package var guardrail: Guardrail
    /// Its share of the rollout's alpha; the limit on the e-value is 1 / alpha.
    package var alpha: Double
    /// log of the e-process of each grid point; the e-value is their mean.
    package var logE: [Double]
    /// The control's event rate before the start, the plug-in of the test that also counts the successes;
    /// `nil` for rare events, where only events count. A wrong rate costs power, never validity.
    package var controlRate: Double?

    package init(guardrail: Guardrail, alpha: Double, controlRate: Double?) {
        self.guardrail = guardrail
        self.alpha = alpha
        logE = Array(repeating: 0, count: SequentialTest.grid.count)
        self.controlRate = controlRate
    }

    /// log of the e-value: the mean over the grid.
    package var logEValue: Double { logMeanExp(logE) }
    /// The candidate is rolled back when `logEValue` reaches this.
    package var logLimit: Double { -logarithm(alpha) }

    enum CodingKeys: String, CodingKey {
        case guardrail, alpha
        case logE = "log_e"
        case controlRate = "control_rate"
    }
}

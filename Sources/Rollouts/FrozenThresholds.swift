import Policy
package import Statistics

/// What was known of the control before the start. Whatever these are, the tests stay valid, because both arms are held
/// against the same; they only decide what is found soonest.
package struct FrozenThresholds: Codable, Sendable, Equatable {
    /// A request slower than this is slow, milliseconds; `nil` without control traffic to take it from.
    package var slowMs: Double?
    /// The control's median, milliseconds.
    package var medianMs: Double?
    /// A first token later than this is slow, milliseconds.
    package var ttftMs: Double?
    /// A request dearer than this is dear, nano-dollars.
    package var dearNanoUSD: Double?
    package var badBelow: Double
    /// The control's share of bad answers, and how many answers that is from.
    package var badAnswerRate: Double?
    package var answers: Int64
    /// The control's cost, nano-dollars, and quality.
    package var cost: Moments?
    package var quality: Moments?
    /// The control's share of failures, 0...1.
    package var failureRate: Double?
    /// What the whole route may spend a minute, nano-dollars.
    package var budgetPerMinute: Double?

    package init(slowMs: Double?, dearNanoUSD: Double?, badBelow: Double, badAnswerRate: Double?, answers: Int64) {
        self.slowMs = slowMs
        self.dearNanoUSD = dearNanoUSD
        self.badBelow = badBelow
        self.badAnswerRate = badAnswerRate
        self.answers = answers
    }

    enum CodingKeys: String, CodingKey {
        case answers, cost, quality
        case slowMs = "slow_ms"
        case medianMs = "median_ms"
        case ttftMs = "ttft_ms"
        case dearNanoUSD = "dear_nano_usd"
        case badBelow = "bad_below"
        case badAnswerRate = "bad_answer_rate"
        case failureRate = "failure_rate"
        case budgetPerMinute = "budget_nano_usd_per_minute"
    }
}

extension FrozenThresholds {
    /// Above this event rate a test of events alone wastes more of what the trials tell than blocks do, so that successes
    /// count too.
    package static let frequentRate = 0.2
    /// Answers from which the control's rate of bad answers is known well enough to plug in.
    package static let minimumAnswers: Int64 = 20

    /// Whether a guardrail has the threshold that it needs.
    func allow(_ guardrail: Guardrail) -> Bool {
        switch guardrail {
        case .slow: slowMs != nil
        case .slowMedian: medianMs != nil
        case .slowFirstToken: ttftMs != nil
        case .dear: dearNanoUSD != nil
        case .errors, .badAnswers, .cost, .timeouts, .refusals, .schemaFailures: true
        }
    }

    /// The plug-in rate for a guardrail's test; `nil` where events are rare or the rate is not known.
    func controlRate(for guardrail: Guardrail) -> Double? {
        switch guardrail {
        case .errors, .timeouts, .refusals, .schemaFailures, .slow, .slowFirstToken, .dear, .cost: nil
        case .slowMedian: 0.5
        case .badAnswers:
            answers >= Self.minimumAnswers
                ? badAnswerRate.flatMap { $0 > Self.frequentRate ? min($0, 0.95) : nil } : nil
        }
    }
}

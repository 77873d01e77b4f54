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

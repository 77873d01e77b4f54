/// The folded evidence of one rollout: counts for display and e-values for deciding, from the same panes.
package struct RolloutEvidence: Codable, Sendable, Equatable {
    package var thresholds: FrozenThresholds
    /// Whether the candidate gets copies of the control's requests, beside them; `nil` is no.
    package var isMirrored: Bool?
    /// One entry a step that had traffic, in order.
    package var steps: [StepEvidence] = []
    package var guardrails: [GuardrailEvidence] = []
    /// Last folded pane of each partition: partition to pane number. A pane is folded once.
    package var cursor: [Int: Int64] = [:]
    /// The first candidate requests, for the fast lane: how many, and how many of them failed.
    package var firstRequests = FirstRequests()

    package init(thresholds: FrozenThresholds) { self.thresholds = thresholds }

    package struct FirstRequests: Codable, Sendable, Equatable {
        package var requests: Int64 = 0
        package var failures: Int64 = 0
        package init() {}
    }

    enum CodingKeys: String, CodingKey {
        case thresholds, steps, guardrails, cursor
        case firstRequests = "first_requests"
        case isMirrored = "mirrored"
    }
}

/// Bounds taken from the control before the start; bounds are bucket bounds of the sketch, so counts above them are exact.
package struct FrozenThresholds: Codable, Sendable, Equatable {
    /// A request slower than this is slow, milliseconds; `nil` without control traffic to take it from.
    package var slowMs: Double?
    /// A request dearer than this is dear, nano-dollars.
    package var dearNanoUSD: Double?
    package var badBelow: Double
    /// The control's share of bad answers before the start, and how many answers that is from.
    package var badAnswerRate: Double?
    package var answers: Int64

    package init(slowMs: Double?, dearNanoUSD: Double?, badBelow: Double, badAnswerRate: Double?, answers: Int64) {
        self.slowMs = slowMs
        self.dearNanoUSD = dearNanoUSD
        self.badBelow = badBelow
        self.badAnswerRate = badAnswerRate
        self.answers = answers
    }

    enum CodingKeys: String, CodingKey {
        case answers
        case slowMs = "slow_ms"
        case dearNanoUSD = "dear_nano_usd"
        case badBelow = "bad_below"
        case badAnswerRate = "bad_answer_rate"
    }
}

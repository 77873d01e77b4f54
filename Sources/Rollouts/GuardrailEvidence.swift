import Core
package import Policy
package import Statistics

/// The sequential test of one guardrail that counts events: the evidence that the candidate has more of them than the
/// control, valid at every look.
package struct GuardrailEvidence: Codable, Sendable, Equatable {
    package let guardrail: Guardrail
    /// Its share of the rollout's alpha; the limit on the e-value is 1 / alpha.
    package let alpha: Double
    /// The events that count: of each session, key or user one.
    package private(set) var events = EventSplit()
    /// The test of events so frequent that one of events alone would waste half of what the trials tell; `nil` for rare
    /// ones.
    package private(set) var outcomes: OutcomeTest?
    /// Answers to the same requests, in place of events and outcomes; `nil` where the candidate gets requests of its own.
    package private(set) var pairs: PairedEvidence?
    /// The log of the e-value at which the candidate is rolled back.
    package let logLimit: Double
    /// Natural logarithm of the e-value. Kept, because a look is more frequent than an event.
    package private(set) var logEValue = 0.0
    /// The pairs that it is from.
    private var weighedPairs: Int64 = 0

    /// - Parameters:
    ///   - controlRate: the control's event rate before the start, where events are frequent.
    ///   - isMirrored: whether the candidate answers copies of the control's requests.
    package init(guardrail: Guardrail, alpha: Double, controlRate: Double?, isMirrored: Bool = false) {
        self.guardrail = guardrail
        self.alpha = alpha
        logLimit = -logarithm(alpha)
        if isMirrored, guardrail.isPaired {
            pairs = PairedEvidence()
        } else {
            outcomes = controlRate.map { OutcomeTest(controlRate: $0) }
        }
    }

    /// How many times as often the candidate has the event: the estimate, and what is not ruled out at `alpha` below and at
    /// `Rollout.harmAlpha` above.
    package var riskRatio: EventSplit.RiskRatio { events.riskRatio(alpha: alpha, upperAlpha: Rollout.harmAlpha) }

    /// Whether it has to know of trials without an event, too.
    var countsEveryTrial: Bool { outcomes != nil }

    /// Counts one trial. Which trials of a unit count is the caller's: the first one, or the first with an event.
    mutating func addTrial(isEvent: Bool, isCandidate: Bool, share: Double) {
        outcomes?.add(isEvent: isEvent, isCandidate: isCandidate)
        guard isEvent else { return }
        events.add(
            EventSplit.Stratum(
                share: share, candidateEvents: isCandidate ? 1 : 0, controlEvents: isCandidate ? 0 : 1))
        if outcomes == nil { weigh() }
    }

    /// Counts the score of one side of a pair.
    mutating func addScore(_ score: Double, pair: UInt32, isCandidate: Bool) {
        pairs?.add(score, pair: pair, isCandidate: isCandidate)
    }

    /// Ends a block of frequent events, and weighs the pairs that came in it.
    mutating func endBlock() {
        let hasNewPairs = pairs.map { $0.differences.count > weighedPairs } ?? false
        guard outcomes?.endBlock() == true || hasNewPairs else { return }
        weigh()
    }

    mutating func forgetSides() { pairs?.forgetSides() }

    private mutating func weigh() {
        if let differences = pairs?.differences {
            (logEValue, weighedPairs) = (differences.logE(below: 0), differences.count)
        } else {
            logEValue = outcomes?.logE ?? events.logE
        }
    }
}

extension GuardrailEvidence {
    enum CodingKeys: String, CodingKey { case guardrail, alpha, events, outcomes, pairs }

    /// One that was stored in an earlier form begins anew.
    package init(from decoder: any Decoder) throws {
        let c = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            guardrail: try c.decode(Guardrail.self, forKey: .guardrail),
            alpha: try c.decode(Double.self, forKey: .alpha), controlRate: nil)
        events = EventSplit(strata: try c.decodeIfPresent([EventSplit.Stratum].self, forKey: .events) ?? [])
        outcomes = try c.decodeIfPresent(OutcomeTest.self, forKey: .outcomes)
        pairs = try c.decodeIfPresent(PairedEvidence.self, forKey: .pairs)
        weigh()
    }

    package func encode(to encoder: any Encoder) throws {
        var c = encoder.container(keyedBy: CodingKeys.self)
        try c.encode(guardrail, forKey: .guardrail)
        try c.encode(alpha, forKey: .alpha)
        try c.encode(events.strata, forKey: .events)
        try c.encodeIfPresent(outcomes, forKey: .outcomes)
        try c.encodeIfPresent(pairs, forKey: .pairs)
    }
}

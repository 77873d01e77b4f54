import Foundation

/// What the two arms of a rollout showed between two looks.
package struct TwoArmCounts: Codable, Sendable, Equatable {
    package var candidateEvents: Int64
    package var candidateNonEvents: Int64
    package var controlEvents: Int64
    package var controlNonEvents: Int64

    package init(
        candidateEvents: Int64, candidateNonEvents: Int64 = 0, controlEvents: Int64, controlNonEvents: Int64 = 0
    ) {
        self.candidateEvents = candidateEvents
        self.candidateNonEvents = candidateNonEvents
        self.controlEvents = controlEvents
        self.controlNonEvents = controlNonEvents
    }

    enum CodingKeys: String, CodingKey {
        case candidateEvents = "candidate_events"
        case candidateNonEvents = "candidate_non_events"
        case controlEvents = "control_events"
        case controlNonEvents = "control_non_events"
    }
}

/// Tests of "the candidate has more events than the control" that hold at every look.
///
/// Each is an e-process for every point of `grid`; the evidence is their mean, `exp(logMeanExp(sums))`, and acting
/// where it reaches 1 / alpha has a false-alarm rate of at most alpha, however often one looks. A trial goes to the
/// candidate with probability `candidateShare`, which may change from look to look.
package enum SequentialTest: Sendable {
    /// Sees events only, so that whatever moves the base rate of both arms cancels. For rare events.
    ///
    /// Sequential tests of counts: Lindon and Malek, "Anytime-valid inference for multinomial count data", 2022. The
    /// alternative is a risk ratio of g × `tolerance` against one of `tolerance`.
    case eventsSplit(tolerance: Double)
    /// Sees every trial: which arm it went to, given its outcome. For frequent events, where it needs about half the
    /// trials. Uses the control's event rate from *earlier* looks; a wrong rate costs power, never validity.
    ///
    /// If both arms have the same rate, the arm is independent of the outcome and each factor has mean 1; if the
    /// candidate's is lower, less. The alternative is an odds ratio of g.
    case armGivenOutcome(controlRate: Double)

    /// Ratios of the alternative, from a small harm to total failure.
    package static let grid: [Double] = [1.25, 1.5, 2, 3, 5, 10, 20]

    /// What to add to the log e of each point of `grid`.
    package func increments(_ counts: TwoArmCounts, candidateShare: Double) -> [Double] {
        guard candidateShare > 0, candidateShare < 1 else { return Self.grid.map { _ in 0 } }
        return Self.grid.map { ratio in
            switch self {
            case .eventsSplit(let tolerance):
                Self.eventsSplit(counts, share: candidateShare, tolerance: tolerance, ratio: ratio)
            case .armGivenOutcome(let rate):
                Self.armGivenOutcome(counts, share: candidateShare, controlRate: rate, ratio: ratio)
            }
        }
    }

    private static func eventsSplit(_ counts: TwoArmCounts, share r: Double, tolerance: Double, ratio: Double) -> Double
    {
        let mass = eventMass(share: r, tolerance: tolerance, ratio: ratio)
        return Double(counts.candidateEvents) * (log(ratio) + mass) + Double(counts.controlEvents) * mass
    }

    /// What an event adds to ln e, whichever arm had it; the candidate's adds ln `ratio` on top: ln of theta(g l) / theta(l)
    /// and of its complement, theta(l) = r l / (r l + 1 - r).
    static func eventMass(share r: Double, tolerance l: Double, ratio g: Double) -> Double {
        log((r * l + 1 - r) / (r * l * g + 1 - r))
    }

    private static func armGivenOutcome(_ counts: TwoArmCounts, share r: Double, controlRate: Double, ratio: Double)
        -> Double
    {
        let p0 = min(max(controlRate, 1e-6), 1 - 1e-6)
        let p1 = ratio * p0 / (1 - p0 + ratio * p0)
        let event = r * p1 + (1 - r) * p0
        let nonEvent = 1 - event
        return Double(counts.candidateEvents) * log(p1 / event) + Double(counts.controlEvents) * log(p0 / event)
            + Double(counts.candidateNonEvents) * log((1 - p1) / nonEvent)
            + Double(counts.controlNonEvents) * log((1 - p0) / nonEvent)
    }
}

/// The sample-ratio test: whether assignment counts fit the weights they were drawn with.
package struct SampleRatioTest: Sendable, Equatable {
    package let counts: [Int64]
    /// Positive, summing to 1, one for each count.
    package let weights: [Double]

    package init(counts: [Int64], weights: [Double]) {
        self.counts = counts
        self.weights = weights
    }

    /// ln of the Dirichlet-multinomial e-value, prior k × weights: valid at every look (Lindon and Malek, 2022).
    package var logE: Double {
        let scale = Double(weights.count), n = Double(counts.reduce(0, +))
        return zip(counts, weights).reduce(logGamma(scale) - logGamma(scale + n)) { sum, arm in
            let prior = scale * arm.1, seen = Double(arm.0)
            return sum + logGamma(prior + seen) - logGamma(prior) - seen * log(arm.1)
        }
    }

    /// Pearson's statistic; once, not at every look.
    package var chiSquare: Double {
        let n = Double(counts.reduce(0, +))
        guard n > 0 else { return 0 }
        return zip(counts, weights).reduce(0) { sum, arm in
            let expected = n * arm.1
            return sum + (Double(arm.0) - expected) * (Double(arm.0) - expected) / expected
        }
    }

    package var chiSquareP: Double { chiSquareSurvival(chiSquare, degrees: max(1, counts.count - 1)) }
}

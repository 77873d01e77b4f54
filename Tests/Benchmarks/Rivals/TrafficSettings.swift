/// What is different about the candidate; the defaults are nothing.
package struct CandidateEffect: Sendable, Equatable {
    /// Factor on the error rate.
    package var errors = 1.0
    /// Every request fails.
    package var failsAlways = false
    /// Factor on latency and time to first token.
    package var latency = 1.0
    /// Share of answers, 0...1, that are slower by `tailFactor`.
    package var tailShare = 0.0
    package var tailFactor = 5.0
    /// Factor on cost, the length of the answer unchanged.
    package var cost = 1.0
    /// Subtracted from the mean quality.
    package var qualityLoss = 0.0

    package init(
        errors: Double = 1, failsAlways: Bool = false, latency: Double = 1, tailShare: Double = 0, cost: Double = 1,
        qualityLoss: Double = 0
    ) {
        (self.errors, self.failsAlways, self.latency, self.tailShare) = (errors, failsAlways, latency, tailShare)
        (self.cost, self.qualityLoss) = (cost, qualityLoss)
    }

    /// What is worse, seen by what is measured.
    package var harms: Set<Harm> {
        var harms: Set<Harm> = []
        if failsAlways || errors > 1 { harms.insert(.errors) }
        if latency > 1 || tailShare > 0 { harms.insert(.latency) }
        if cost > 1 { harms.insert(.cost) }
        if qualityLoss > 0 { harms.insert(.quality) }
        return harms
    }

    package var isHarmful: Bool { !harms.isEmpty }
}

/// What a candidate can be worse in, and a rule can watch.
package enum Harm: Sendable, CaseIterable { case errors, latency, cost, quality }

extension RolloutTraffic {
    package struct Step: Sendable, Equatable {
        /// The candidate's share of units, 0...1.
        package var share: Double
        /// Requests to both arms together.
        package var requests: Int

        package init(share: Double, requests: Int) { (self.share, self.requests) = (share, requests) }
    }

    /// Units that keep their arm, with popularity by rank (Zipf), and how much they differ: the sigma of log-normal
    /// factors with mean 1, drawn for each key.
    package struct Sticky: Sendable, Equatable {
        package var keys: Int
        package var exponent = 1.0
        package var errorSigma = 1.0
        package var latencySigma = 0.3
        package var costSigma = 0.5

        package init(keys: Int) { self.keys = keys }
    }

    package struct Settings: Sendable, Equatable {
        package var steps: [Step]
        /// Mean requests a second to both arms together; they come as a Poisson process.
        package var ratePerS = 28.0
        /// Share of failures of the control, 0...1.
        package var errorRate = 0.01
        package var latencyMedianMs = 1_000.0
        package var firstTokenMedianMs = 300.0
        package var latencySigma = 0.8
        package var tokensMedian = 300.0
        package var costMedianNanoUSD = 2_000_000.0
        package var costSigma = 1.2
        /// Mean quality of answers, 0...1; Beta distributed.
        package var quality = 0.8
        /// Share of successful answers with a quality, 0...1.
        package var feedbackShare = 0.2
        /// What errors, latency, length and cost of both arms grow by along the run, as a share.
        package var drift = 0.0
        /// `nil` assigns each request by itself.
        package var sticky: Sticky?
        package var effect = CandidateEffect()

        package init(steps: [Step]) { self.steps = steps }

        package var requests: Int { steps.reduce(0) { $0 + $1.requests } }
    }

    /// The kind of a failure, in the order and with the odds in which they are drawn.
    package enum Failure: Sendable, CaseIterable {
        case server, timeout, refusal, schema

        /// - Parameter position: 0..<1.
        static func of(_ position: Double) -> Failure {
            position < 0.5 ? .server : position < 0.7 ? .timeout : position < 0.9 ? .refusal : .schema
        }
    }

    /// One request's outcome.
    package struct Trial: Sendable {
        /// Since the start of the rollout.
        package var atMs: Int64
        package var isCandidate: Bool
        /// The candidate's share that was in force, 0...1.
        package var share: Double
        /// Index of the step.
        package var step: Int
        /// What assignment went by: a sticky key, or the request itself.
        package var unit: UInt64
        /// `nil` for an answer; a failure has no tokens, cost and quality, and its times say nothing.
        package var failure: Failure?
        package var latencyMs = 0.0
        package var firstTokenMs = 0.0
        package var tokens = 0.0
        package var costNanoUSD = 0.0
        /// 0...1; `nil` without feedback.
        package var quality: Double?

        package init(atMs: Int64, isCandidate: Bool, share: Double, step: Int = 0, unit: UInt64 = 0) {
            (self.atMs, self.isCandidate, self.share, self.step, self.unit) = (atMs, isCandidate, share, step, unit)
        }
    }
}

package import StreamProcessing

/// What the analyzers look at: one route, a span of event time, and the span before it.
package struct AnalysisInput: Codable, Sendable, Equatable {
    package var route: String
    /// The span that `current` covers.
    package var window: Window
    /// One for each model with traffic in the span.
    package var current: [TargetStatistics]
    /// The same of the span before, empty when there was none.
    package var previous: [TargetStatistics]
    package var objective: Limits

    package init(
        route: String, window: Window, current: [TargetStatistics], previous: [TargetStatistics], objective: Limits
    ) {
        self.route = route
        self.window = window
        self.current = current
        self.previous = previous
        self.objective = objective
    }

    /// The limits of the route's objective; `nil` is not limited.
    package struct Limits: Codable, Sendable, Equatable {
        package var latencyP95Ms: Double?
        package var ttftP95Ms: Double?
        /// Lowest mean quality, 0...1.
        package var qualityFloor: Double?
        package var budgetDayUSD: Double?

        package init(
            latencyP95Ms: Double? = nil, ttftP95Ms: Double? = nil, qualityFloor: Double? = nil,
            budgetDayUSD: Double? = nil
        ) {
            self.latencyP95Ms = latencyP95Ms
            self.ttftP95Ms = ttftP95Ms
            self.qualityFloor = qualityFloor
            self.budgetDayUSD = budgetDayUSD
        }
    }

    /// Models with statistics now and before.
    var pairs: [(now: TargetStatistics, before: TargetStatistics)] {
        current.compactMap { now in previous.first { $0.modelKey == now.modelKey }.map { (now, $0) } }
    }
}

/// When a difference is worth a person's time. Chosen so that traffic that does not change stays silent.
package struct AnalysisSettings: Codable, Sendable, Equatable {
    /// Probability that a statement must have before it is made, 0...1.
    package var confidence = 0.99
    /// Requests a model needs in each span that is compared.
    package var minRequests: Int64 = 100
    /// Answers with quality feedback a model needs in each span that is compared.
    package var minAnswers: Int64 = 50
    /// Failure share that is too high whatever it was before, 0...1.
    package var failureLimit = 0.05
    /// Rise of the failure share worth a finding, in points of 0...1.
    package var failureRise = 0.01
    /// Rise of the p95 latency worth a finding, as a share of it.
    package var latencyRise = 0.2
    /// Rise of the mean cost worth a finding, as a share of it.
    package var costRise = 0.05
    /// Drop of the mean quality worth a finding, in points of 0...1.
    package var qualityDrop = 0.01
    /// Share of answered requests without a known cost worth a finding, 0...1.
    package var unknownCostShare = 0.01
    /// Requests of a route after which the absence of any quality feedback is mentioned.
    package var requestsWithoutFeedback: Int64 = 500
    /// A day's spend is not told from a shorter span than this, milliseconds.
    package var budgetSpanMs: Int64 = 15 * 60_000

    package init() {}
}

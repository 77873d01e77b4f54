package import Analysis
package import Core
package import Policy

/// Everything a decision is made from, stored whole so that it can be made again.
package struct DecisionInput: Codable, Sendable, Equatable {
    package var now: Int64
    package var route: Route
    package var stable: RoutingPolicy
    package var baseline: RoutingPolicy?
    /// Targets the route may use, from the configuration and the route's `allowed`.
    package var catalog: [Target]
    package var prices: PriceBook
    /// One for each model with traffic in the look-back span, sorted by model key.
    package var statistics: [TargetStatistics]
    /// Newest first, at most 50.
    package var history: [RolloutHistory]
    package var settings: DecisionSettings
    package var seed: UInt64

    package init(
        now: Int64, route: Route, stable: RoutingPolicy, baseline: RoutingPolicy?, catalog: [Target], prices: PriceBook,
        statistics: [TargetStatistics], history: [RolloutHistory], settings: DecisionSettings, seed: UInt64
    ) {
        self.now = now
        self.route = route
        self.stable = stable
        self.baseline = baseline
        self.catalog = catalog
        self.prices = prices
        self.statistics = statistics
        self.history = history
        self.settings = settings
        self.seed = seed
    }
}

/// How an earlier rollout of the route ended: what hysteresis and cooldown go by.
package struct RolloutHistory: Codable, Sendable, Equatable {
    package var rollout: UUIDv7
    /// Model keys of the first targets before and after.
    package var fromModel: String
    package var toModel: String
    package var startedAt: Int64
    package var endedAt: Int64
    package var promoted: Bool
    /// Rolled back by a guardrail, as against aborted by a person or inconclusive.
    package var rolledBack: Bool
    /// Whether a decision started it; people's own rollouts do not count against a candidate.
    package var byDecision: Bool

    package init(
        rollout: UUIDv7, fromModel: String, toModel: String, startedAt: Int64, endedAt: Int64, promoted: Bool,
        rolledBack: Bool, byDecision: Bool
    ) {
        self.rollout = rollout
        self.fromModel = fromModel
        self.toModel = toModel
        self.startedAt = startedAt
        self.endedAt = endedAt
        self.promoted = promoted
        self.rolledBack = rolledBack
        self.byDecision = byDecision
    }

    enum CodingKeys: String, CodingKey {
        case rollout, promoted
        case fromModel = "from_model"
        case toModel = "to_model"
        case startedAt = "started_at"
        case endedAt = "ended_at"
        case rolledBack = "rolled_back"
        case byDecision = "by_decision"
    }
}

package struct DecisionSettings: Codable, Sendable, Equatable {
    /// Look-back span of the statistics, milliseconds.
    package var lookbackMs: Int64 = 24 * 3_600_000
    /// Answers with quality feedback a model needs before it can be chosen.
    package var minAnswers = 50
    package var nonInferiorProbability = 0.95
    package var betterProbability = 0.9
    /// A cost gain is worth a move from this share on (lower bound), 0...1.
    package var minCostGain = 0.03
    /// A quality gain is worth a move from this many points of 0...1 on (lower bound).
    package var minQualityGain = 0.005
    /// Share by which a latency may rise within a tier, 0...1.
    package var latencySlack = 0.1
    /// The same policy key is not touched again for max(this, twice the last rollout's length), milliseconds.
    package var cooldownMs: Int64 = 30 * 60_000
    /// After a rollback to the same model: first, second, third wait in milliseconds; then a person decides.
    package var rollbackCooldownsMs: [Int64] = [3_600_000, 4 * 3_600_000, 24 * 3_600_000]
    /// A to B to A within this span locks the key, milliseconds.
    package var oscillationMs: Int64 = 24 * 3_600_000

    package init() {}

    enum CodingKeys: String, CodingKey {
        case lookbackMs = "lookback_ms"
        case minAnswers = "min_answers"
        case nonInferiorProbability = "non_inferior_probability"
        case betterProbability = "better_probability"
        case minCostGain = "min_cost_gain"
        case minQualityGain = "min_quality_gain"
        case latencySlack = "latency_slack"
        case cooldownMs = "cooldown_ms"
        case rollbackCooldownsMs = "rollback_cooldowns_ms"
        case oscillationMs = "oscillation_ms"
    }
}

/// A proposed change with its forecast.
package struct Candidate: Codable, Sendable, Equatable {
    package var strategy: String
    package var modelKey: String
    package var edits: [PolicyEdit]
    package var forecast: Forecast

    package init(strategy: String, modelKey: String, edits: [PolicyEdit], forecast: Forecast) {
        self.strategy = strategy
        self.modelKey = modelKey
        self.edits = edits
        self.forecast = forecast
    }

    enum CodingKeys: String, CodingKey {
        case strategy, edits, forecast
        case modelKey = "model_key"
    }
}

/// Forecast objectives, each with a 95 % interval; `nil` is unknown and is never treated as good.
package struct Forecast: Codable, Sendable, Equatable {
    package var quality: Interval?
    /// US dollars per 1,000 requests.
    package var costPer1000: Interval?
    package var latencyP95Ms: Double?
    package var failureRate: Interval?
    /// Answers with feedback behind `quality`.
    package var answers: Int64 = 0

    package init() {}

    enum CodingKeys: String, CodingKey {
        case quality, answers
        case costPer1000 = "cost_per_1000_usd"
        case latencyP95Ms = "latency_p95_ms"
        case failureRate = "failure_rate"
    }
}

/// Why a candidate was not chosen, or that it was.
package struct Alternative: Codable, Sendable, Equatable {
    package var candidate: Candidate
    package var onFront: Bool
    package var verdict: Verdict
    /// One sentence with numbers.
    package var reason: String
    /// P(non-inferior quality), P(cheaper) and so on, by name.
    package var probabilities: [String: Double]

    package init(candidate: Candidate, onFront: Bool, verdict: Verdict, reason: String, probabilities: [String: Double])
    {
        self.candidate = candidate
        self.onFront = onFront
        self.verdict = verdict
        self.reason = reason
        self.probabilities = probabilities
    }

    enum CodingKeys: String, CodingKey {
        case candidate, verdict, reason, probabilities
        case onFront = "on_front"
    }

    package enum Verdict: String, Codable, Sendable {
        case chosen, incumbent, dominated, infeasible, inferior, cooldown
        case noEvidence = "no_evidence"
        case notBetter = "not_better"
        case unknownPrice = "unknown_price"
        case worseRank = "worse_rank"
    }
}

/// What the engine said: pure, and the same on every run with the same input and engine.
package struct DecisionOutcome: Codable, Sendable, Equatable {
    package var action: Action
    /// A stable reason code: `better`, `no_evidence`, `no_better`, `cooldown`, `oscillation`, `unknown_price`.
    package var code: String
    /// What a person reads: what was chosen, why, by how much, and what would change it.
    package var rationale: String
    package var alternatives: [Alternative]

    package init(action: Action, code: String, rationale: String, alternatives: [Alternative]) {
        self.action = action
        self.code = code
        self.rationale = rationale
        self.alternatives = alternatives
    }

    package enum Action: Codable, Sendable, Equatable {
        case none
        case change(Candidate)
    }

    /// The front as shown to people: incumbent and candidates that nothing confidently dominates.
    package var front: [Alternative] { alternatives.filter(\.onFront) }
}

/// A decision as kept.
package struct Decision: Codable, Sendable, Equatable {
    package var id: UUIDv7
    package var route: RouteName
    package var at: Int64
    /// `<version> <architecture>`: replay matches exactly on the same engine.
    package var engine: String
    package var status: Status
    package var input: DecisionInput
    package var outcome: DecisionOutcome
    /// The policy version and rollout it led to.
    package var policy: Int?
    package var rollout: UUIDv7?
    /// Who approved or rejected it, and when, milliseconds since the epoch.
    package var decidedBy: String?
    package var decidedAt: Int64?
    /// Why it waits for a person although its route is on `auto`; one sentence with what to do.
    package var waitsFor: String?

    package init(
        id: UUIDv7, route: RouteName, at: Int64, engine: String, status: Status, input: DecisionInput,
        outcome: DecisionOutcome
    ) {
        self.id = id
        self.route = route
        self.at = at
        self.engine = engine
        self.status = status
        self.input = input
        self.outcome = outcome
    }

    package enum Status: String, Codable, Sendable, CaseIterable {
        /// Nothing to do, or the route only observes.
        case noted
        /// Waits for a person.
        case proposed
        case approved, rejected
        /// A newer decision took its place.
        case superseded
    }

    enum CodingKeys: String, CodingKey {
        case id, route, at, engine, status, input, outcome, policy, rollout
        case decidedBy = "decided_by"
        case decidedAt = "decided_at"
        case waitsFor = "waits_for"
    }
}

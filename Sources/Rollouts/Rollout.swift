package import Core

/// A decision's or a person's canary of one policy version against another, with all its evidence.
///
/// Everything a verdict depends on is in here, so a restart at any point resumes with the same verdict.
package struct Rollout: Codable, Sendable, Equatable {
    package var id: UUIDv7
    package var route: RouteName
    /// Policy versions.
    package var stable: Int
    package var candidate: Int
    package var salt: UInt64
    package var createdAt: Int64
    /// A decision's id, or a person's token name.
    package var createdBy: String
    package var decision: UUIDv7?
    package var reason: String
    package var plan: RolloutPlan
    package var phase: RolloutPhase
    /// When the current step began; a pause moves it on.
    package var stepStartedAt: Int64
    package var endedAt: Int64?
    package var evidence: RolloutEvidence
    /// What happened, oldest first, at most `timelineLimit`.
    package var timeline: [TimelineEntry] = []

    package static let timelineLimit = 200

    package init(
        id: UUIDv7, route: RouteName, stable: Int, candidate: Int, salt: UInt64, createdAt: Int64, createdBy: String,
        decision: UUIDv7?, reason: String, plan: RolloutPlan, evidence: RolloutEvidence
    ) {
        self.id = id
        self.route = route
        self.stable = stable
        self.candidate = candidate
        self.salt = salt
        self.createdAt = createdAt
        self.createdBy = createdBy
        self.decision = decision
        self.reason = reason
        self.plan = plan
        phase = .progressing(step: 0)
        stepStartedAt = createdAt
        self.evidence = evidence
    }

    enum CodingKeys: String, CodingKey {
        case id, route, stable, candidate, salt, decision, reason, plan, phase, evidence, timeline
        case createdAt = "created_at"
        case createdBy = "created_by"
        case stepStartedAt = "step_started_at"
        case endedAt = "ended_at"
    }

    /// The candidate's share of eligible traffic in the current phase, 0...1.
    package var weight: Double {
        switch phase {
        case .progressing(let step), .paused(let step, _): plan.steps[min(step, plan.steps.count - 1)]
        case .promoted, .ended: 0
        }
    }

    package var isActive: Bool { phase.isActive }
}

package struct TimelineEntry: Codable, Sendable, Equatable {
    package var at: Int64
    package var event: String
    package var detail: String
    package init(at: Int64, event: String, detail: String) {
        self.at = at
        self.event = event
        self.detail = detail
    }
}

/// How far a rollout has come. `promoted` and `ended` are absorbing.
package enum RolloutPhase: Codable, Sendable, Equatable {
    /// Serving `plan.steps[step]`; steps count from 0.
    case progressing(step: Int)
    /// The weight stays, the clock of the step stands still; guardrails go on.
    case paused(step: Int, by: String)
    case promoted
    /// Weight 0 for good; a new try is a new rollout.
    case ended(EndReason)

    package var isActive: Bool {
        switch self {
        case .progressing, .paused: true
        case .promoted, .ended: false
        }
    }

    package var step: Int? {
        switch self {
        case .progressing(let step), .paused(let step, _): step
        case .promoted, .ended: nil
        }
    }

    /// Every `name` there is.
    package static let names = [
        "progressing", "paused", "promoted", "rolled_back", "aborted", "inconclusive", "no_data",
    ]

    /// One of `names`.
    package var name: String {
        switch self {
        case .progressing: "progressing"
        case .paused: "paused"
        case .promoted: "promoted"
        case .ended(let reason): reason.name
        }
    }
}

/// Why a rollout ended without promotion. Verdicts are never collapsed into one another.
package enum EndReason: Codable, Sendable, Equatable {
    /// A guardrail's evidence passed its limit.
    case guardrail(Guardrail)
    /// So many of the first requests failed that no statistics are needed.
    case fastLane(failures: Int, of: Int)
    case aborted(by: String)
    /// The deadline passed without proof of the promised gain.
    case inconclusive
    /// The deadline passed without enough requests to judge.
    case noData

    package var name: String {
        switch self {
        case .guardrail, .fastLane: "rolled_back"
        case .aborted: "aborted"
        case .inconclusive: "inconclusive"
        case .noData: "no_data"
        }
    }
}

package enum Guardrail: String, Codable, Sendable, CaseIterable, CodingKeyRepresentable {
    case errors, slow, dear
    case badAnswers = "bad_answers"
}

/// The steps of a rollout and what each must show.
package struct RolloutPlan: Codable, Sendable, Equatable {
    /// Candidate shares, rising, the last 1.
    package var steps: [Double] = [0.01, 0.05, 0.1, 0.25, 0.5, 1]
    package var minStepMs: Int64 = 5 * 60_000
    /// Candidate requests a step needs.
    package var minStepRequests: Int64 = 200
    /// A rollout that has not ended by itself so long after its start ends as inconclusive or no data.
    package var deadlineMs: Int64 = 7 * 24 * 3_600_000
    /// Time at 25 % or more before promotion, so that a daily cycle is seen; 0 for none.
    package var objectiveCycleMs: Int64 = 24 * 3_600_000
    /// What promotion needs.
    package var goal: Goal = .cheaper
    /// How much worse than the control the candidate may be and still be promoted.
    package var margins = Margins()

    package init() {}

    package enum Goal: String, Codable, Sendable, CaseIterable {
        /// Cost lower with P ≥ 0.9, nothing worse.
        case cheaper
        /// Quality higher with P ≥ 0.9, nothing worse.
        case better
        /// Nothing worse is enough; said beforehand.
        case neutral
    }

    package struct Margins: Codable, Sendable, Equatable {
        /// Points of failure rate, 0...1.
        package var failureRate = 0.01
        /// Points of mean quality, 0...1.
        package var quality = 0.02
        package init() {}
        enum CodingKeys: String, CodingKey {
            case quality
            case failureRate = "failure_rate"
        }
    }

    enum CodingKeys: String, CodingKey {
        case steps, goal, margins
        case minStepMs = "min_step_ms"
        case minStepRequests = "min_step_requests"
        case deadlineMs = "deadline_ms"
        case objectiveCycleMs = "objective_cycle_ms"
    }
}

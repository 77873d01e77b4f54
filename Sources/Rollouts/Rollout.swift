package import Core
package import Policy

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
    /// The rollout that this one tries once more, with a salt and evidence of its own.
    package var retryOf: UUIDv7?
    package var reason: String
    package var plan: RolloutPlan
    package var phase: RolloutPhase
    /// When the current step began; a pause moves it on.
    package var stepStartedAt: Int64
    package var endedAt: Int64?
    /// Whom it touches; `nil` is everyone.
    package var eligibility: Eligibility?
    /// How the gateways took its end up; `nil` before.
    package var acknowledgement: Acknowledgement?
    /// At most one a guardrail; `nil` is none.
    package var waivers: [Waiver]?
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
        case id, route, stable, candidate, salt, decision, reason, plan, phase, eligibility, acknowledgement, waivers
        case evidence, timeline
        case retryOf = "retry_of"
        case createdAt = "created_at"
        case createdBy = "created_by"
        case stepStartedAt = "step_started_at"
        case endedAt = "ended_at"
    }

    /// The candidate's share of eligible traffic in the current phase, 0...1.
    package var weight: Double {
        switch phase {
        case .progressing(let step), .paused(let step, _): plan.weight(step: step)
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

    /// The names of the phases that are not over.
    package static let activeNames = ["progressing", "paused"]

    /// Every `name` there is.
    package static let names = [
        "progressing", "paused", "promoted", "rolled_back", "aborted", "superseded", "passed", "inconclusive",
        "no_data",
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
    /// The candidate alone spent more than three times what the whole route may in a minute, US dollars.
    case overspent(usd: Double, budgetUSD: Double)
    case aborted(by: String)
    /// A shadow or an A/A showed what it promised, without harm to a guardrail.
    case passed
    /// Another rollout took its place; its evidence is not used again.
    case superseded(by: UUIDv7)
    /// The deadline passed without proof of the promised gain.
    case inconclusive
    /// The deadline passed without enough requests to judge.
    case noData

    package var name: String {
        switch self {
        case .guardrail, .fastLane, .overspent: "rolled_back"
        case .aborted: "aborted"
        case .superseded: "superseded"
        case .passed: "passed"
        case .inconclusive: "inconclusive"
        case .noData: "no_data"
        }
    }
}

/// The steps of a rollout and what each must show.
package struct RolloutPlan: Codable, Sendable, Equatable {
    /// Candidate shares, rising, the last 1: there the candidate serves everyone but the watch's control.
    package var steps: [Double] = [0.01, 0.05, 0.1, 0.25, 0.5, 1]
    package var minStepMs: Int64 = 5 * 60_000
    /// Candidate requests a step needs.
    package var minStepRequests: Int64 = 200
    /// How long the candidate serves at 100 % before it becomes stable, guardrails on and one step away from going back;
    /// 0 for no watch.
    package var watchMs: Int64 = 10 * 60_000
    /// The share that stays on the old policy during the watch, so that the guardrails have a concurrent control; 0...0.5.
    package var watchControl = 0.05
    /// A rollout that is not at its watch so long after its start ends as inconclusive or no data.
    package var deadlineMs: Int64 = 7 * 24 * 3_600_000
    /// Time at 25 % or more before promotion, so that a daily cycle is seen; 0 for none.
    package var objectiveCycleMs: Int64 = 24 * 3_600_000
    /// When nothing starts and no step is taken; guardrails and people go on.
    package var freeze: [FreezeWindow] = []
    /// Of the requests that a shadow gets copies of, 0...1; each costs what an answer of the candidate's costs.
    package var shadowShare = 0.2
    package var kind = Kind.canary
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

    /// How traffic moves to the candidate.
    package enum Kind: String, Codable, Sendable, CaseIterable {
        case canary
        /// All at once, then the watch.
        case blueGreen = "blue_green"
        /// The candidate gets copies whose answers no user sees; it passes or not, and is never promoted by itself.
        case shadow
        /// Stable against itself, half and half: whether assignment and measurement treat both arms alike.
        case aa

        /// Whether it only finds out, and never makes anything stable.
        package var isTrial: Bool { self == .shadow || self == .aa }
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
        case steps, freeze, kind, goal, margins
        case shadowShare = "shadow_share"
        case minStepMs = "min_step_ms"
        case minStepRequests = "min_step_requests"
        case watchMs = "watch_ms"
        case watchControl = "watch_control"
        case deadlineMs = "deadline_ms"
        case objectiveCycleMs = "objective_cycle_ms"
    }

    /// Reads also plans that were stored before there was a watch, as plans without one.
    package init(from decoder: any Decoder) throws {
        let c = try decoder.container(keyedBy: CodingKeys.self)
        steps = try c.decode([Double].self, forKey: .steps)
        minStepMs = try c.decode(Int64.self, forKey: .minStepMs)
        minStepRequests = try c.decode(Int64.self, forKey: .minStepRequests)
        watchMs = try c.decodeIfPresent(Int64.self, forKey: .watchMs) ?? 0
        watchControl = try c.decodeIfPresent(Double.self, forKey: .watchControl) ?? watchControl
        deadlineMs = try c.decode(Int64.self, forKey: .deadlineMs)
        objectiveCycleMs = try c.decode(Int64.self, forKey: .objectiveCycleMs)
        freeze = try c.decodeIfPresent([FreezeWindow].self, forKey: .freeze) ?? []
        shadowShare = try c.decodeIfPresent(Double.self, forKey: .shadowShare) ?? shadowShare
        kind = try c.decodeIfPresent(Kind.self, forKey: .kind) ?? .canary
        goal = try c.decode(Goal.self, forKey: .goal)
        margins = try c.decode(Margins.self, forKey: .margins)
    }
}

extension RolloutPlan {
    /// How many steps are served; passing the last promotes.
    package var servedSteps: Int { watchMs > 0 ? steps.count : max(1, steps.count - 1) }

    /// Whether a step is the watch at 100 %.
    package func isWatch(_ step: Int) -> Bool { !kind.isTrial && watchMs > 0 && step == steps.count - 1 }

    /// The candidate's share in a step, 0...1.
    package func weight(step: Int) -> Double {
        let share = steps[min(max(0, step), steps.count - 1)]
        return isWatch(step) ? min(share, 1 - watchControl) : share
    }

    /// The same plan for a kind of rollout. All at once needs a watch; without one it is a canary.
    package func of(_ kind: Kind) -> RolloutPlan {
        var plan = self
        switch kind {
        case .blueGreen where watchMs > 0: (plan.kind, plan.steps, plan.objectiveCycleMs) = (kind, [1], 0)
        case .shadow: (plan.kind, plan.steps, plan.objectiveCycleMs) = (kind, [shadowShare], 0)
        case .aa: (plan.kind, plan.steps, plan.objectiveCycleMs) = (kind, [0.5], 0)
        case .canary, .blueGreen: break
        }
        return plan
    }
}

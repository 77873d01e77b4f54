package import Core
package import Policy
package import Rollouts

/// What a person may ask of a route.
package enum Command: Sendable, Equatable {
    /// Starts a rollout of an existing policy version against stable.
    case startRollout(RolloutRequest)
    /// Tries an ended rollout's change once more, with a fresh salt and fresh evidence.
    case retry(rollout: UUIDv7, reason: String)
    case pause(rollout: UUIDv7)
    case resume(rollout: UUIDv7)
    /// To the next step at once; guardrails go on.
    case skip(rollout: UUIDv7)
    /// One guardrail stands back for so long, milliseconds, 0 to end that; audited.
    case waive(rollout: UUIDv7, guardrail: Guardrail, forMs: Int64, reason: String)
    /// To 100 % at once, whatever the evidence; audited.
    case promote(rollout: UUIDv7)
    /// Outranks everything; when nothing runs it is a no-op with a reason.
    case abort(rollout: UUIDv7, reason: String)
    case approve(decision: UUIDv7)
    case reject(decision: UUIDv7)
    /// Makes a policy version stable at once, without a canary; audited.
    case activate(policy: Int)
}

extension Command {
    /// The rollout that it names.
    package var rollout: UUIDv7? {
        switch self {
        case .retry(let id, _), .pause(let id), .resume(let id), .skip(let id), .promote(let id), .abort(let id, _),
            .waive(let id, _, _, _):
            id
        case .startRollout, .approve, .reject, .activate: nil
        }
    }

    /// Whether it needs to know the control's traffic and what else runs; an abort does not wait for such questions.
    package var startsRollout: Bool {
        switch self {
        case .startRollout, .retry, .approve: true
        case .pause, .resume, .skip, .waive, .promote, .abort, .reject, .activate: false
        }
    }
}

/// A rollout as a person asks for it.
package struct RolloutRequest: Sendable, Equatable {
    package var policy: Int
    package var goal: RolloutPlan.Goal
    package var kind: RolloutPlan.Kind
    /// Whom it touches; `nil` is everyone.
    package var eligibility: Eligibility?
    /// Whether one that runs on the route ends and makes way.
    package var supersedes: Bool
    package var reason: String

    package init(
        policy: Int, goal: RolloutPlan.Goal, kind: RolloutPlan.Kind = .canary, eligibility: Eligibility? = nil,
        supersedes: Bool = false, reason: String
    ) {
        self.policy = policy
        self.goal = goal
        self.kind = kind
        self.eligibility = eligibility
        self.supersedes = supersedes
        self.reason = reason
    }
}

/// What a command did, for the one who gave it.
package struct CommandResult: Sendable, Equatable {
    /// `false`: there was nothing to do, and `message` says why.
    package var changed: Bool
    package var message: String
    package var rollout: UUIDv7?

    package init(changed: Bool, message: String, rollout: UUIDv7? = nil) {
        self.changed = changed
        self.message = message
        self.rollout = rollout
    }
}

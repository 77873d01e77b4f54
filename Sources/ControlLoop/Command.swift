package import Core
package import Rollouts

/// What a person may ask of a route.
package enum Command: Sendable, Equatable {
    /// Starts a canary of an existing policy version against stable.
    case startRollout(policy: Int, goal: RolloutPlan.Goal, reason: String)
    case pause(rollout: UUIDv7)
    case resume(rollout: UUIDv7)
    /// To 100 % at once, whatever the evidence; audited.
    case promote(rollout: UUIDv7)
    /// Outranks everything; when nothing runs it is a no-op with a reason.
    case abort(rollout: UUIDv7, reason: String)
    case approve(decision: UUIDv7)
    case reject(decision: UUIDv7)
    /// Makes a policy version stable at once, without a canary; audited.
    case activate(policy: Int)
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

package import Analysis
import Core
package import Decisions
package import Policy
package import Rollouts
package import StreamProcessing

/// The closed loop as a pure function: what is known of a route goes in, what is to be written comes out.
///
/// It reads no clock, draws no randomness of its own and keeps nothing, so the server's timer, the control API and the
/// virtual clock drive the same code, and a restart at any point goes on with the same verdict.
package struct ControlLoop: Sendable {
    package var settings: ControlSettings

    package init(settings: ControlSettings) { self.settings = settings }
}

package struct ControlSettings: Sendable, Equatable {
    package var decisions = DecisionSettings()
    /// The plan of every rollout; its goal is set by who starts it.
    package var plan = RolloutPlan()
    /// Rollouts that may run at once, over all routes.
    package var maxActive = 3
    /// Whether `autonomy: auto` waits for a person until the route's latest rehearsal has passed.
    package var requireRehearsal = true
    /// Rest between a rollout's end and a new attempt at the same change, milliseconds.
    package var retryCooldownMs: Int64 = 600_000
    /// How long a gateway may serve a candidate without hearing from the control plane, milliseconds.
    package var leaseMs: Int64 = 30_000
    /// Every target that the configuration knows.
    package var catalog: [Target] = []
    /// `<version> <architecture>`, written into decisions.
    package var engine: String

    package init(engine: String) { self.engine = engine }
}

/// What a step looks at besides the route's own state.
package struct LoopInputs: Sendable {
    /// Panes of the active rollout that are not folded yet, as the store orders them.
    package var panes: [EvidencePane] = []
    /// Statistics of the look-back span; `nil` when a decision is not due.
    package var statistics: [TargetStatistics]?
    package var prices = PriceBook()
    /// The last decision made for the route: the same answer is not written again.
    package var lastDecision: Decision?
    /// What people have turned down of late, newest first.
    package var rejections: [Decision] = []
    /// Rollouts that run on all routes together.
    package var running = 0

    package init() {}
}

extension ControlLoop {
    /// One step of one route: acts on the evidence of its rollout, or decides on the next.
    package func step(
        _ state: RouteState, _ inputs: LoopInputs, now: Int64, using generator: inout some RandomNumberGenerator
    ) -> [ControlEffect] {
        guard let rollout = state.rollout else { return decide(state, inputs, now: now, using: &generator) }
        return advance(rollout, of: state, panes: inputs.panes, now: now, using: &generator)
    }

    func audit(
        _ action: String, _ state: RouteState, subject: String, detail: String, by actor: String = ControlLoop.actor,
        now: Int64, using generator: inout some RandomNumberGenerator
    ) -> ControlEffect {
        .audit(
            AuditEntry(
                id: UUIDv7(milliseconds: now, using: &generator), at: now, actor: actor, action: action,
                route: state.route.name, subject: subject, detail: detail))
    }

    /// The name in the audit trail of what the loop does by itself.
    package static let actor = "trimtab"
}

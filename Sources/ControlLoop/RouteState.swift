package import Analysis
package import Core
package import Decisions
package import Policy
package import Rollouts

/// All that a change to one route depends on.
package struct RouteState: Sendable, Equatable {
    package var route: Route
    package var pointer: RoutePointer
    /// The policies that the pointer, the pinned baseline, the active rollout and the open decision name, by version.
    package var policies: [Int: RoutingPolicy]
    /// The one rollout that is not over, if there is one.
    package var rollout: Rollout?
    /// The one decision that waits for a person, if there is one.
    package var proposal: Decision?
    /// Newest first, at most 50.
    package var history: [RolloutHistory]
    /// The highest version given so far.
    package var latestVersion: Int
    /// Of the latest rehearsal, if there was one.
    package var rehearsal: RehearsalVerdict?

    package init(
        route: Route, pointer: RoutePointer, policies: [Int: RoutingPolicy], rollout: Rollout? = nil,
        proposal: Decision? = nil, history: [RolloutHistory] = [], latestVersion: Int,
        rehearsal: RehearsalVerdict? = nil
    ) {
        self.route = route
        self.pointer = pointer
        self.policies = policies
        self.rollout = rollout
        self.proposal = proposal
        self.history = history
        self.latestVersion = latestVersion
        self.rehearsal = rehearsal
    }

    /// The policy the pointer calls stable. `state(of:)` never returns a state without it.
    package var stable: RoutingPolicy? { policies[pointer.stable] }
    package var baseline: RoutingPolicy? { route.baseline.flatMap { policies[$0] } }

    /// What the policies in force can send requests to, each model once, sorted by model key.
    package var servingTargets: [Target] {
        let targets = [pointer.stable, pointer.candidate].flatMap { $0.flatMap { policies[$0] }?.targets ?? [] }
        return Dictionary(targets.map { ($0.modelKey, $0) }, uniquingKeysWith: { first, _ in first })
            .sorted { $0.key < $1.key }.map(\.value)
    }
}

/// What is to be written, in order, in one transaction.
package enum ControlEffect: Sendable, Equatable {
    /// Insert; its version is already `latestVersion + 1`.
    case savePolicy(RoutingPolicy)
    /// Insert or replace by id.
    case saveRollout(Rollout)
    /// Replace. The store gives the epoch: one above the highest of all routes. Gateways are told.
    case setPointer(RoutePointer)
    /// Moves `lease_until` on without a new epoch.
    case renewLease(until: Int64)
    case saveDecision(Decision)
    /// Insert or replace by id.
    case saveFinding(FindingBook.Change)
    /// Replace what the analyzers know of the route.
    case saveAnalysis(StoredAnalysis)
    case setBaseline(Int)
    case audit(AuditEntry)
}

/// Who did what, when, and why.
package struct AuditEntry: Codable, Sendable, Equatable {
    package var id: UUIDv7
    package var at: Int64
    /// An operator token's name, or `trimtab` for the loop itself.
    package var actor: String
    /// `<noun>.<verb>`, for example `rollout.abort`.
    package var action: String
    package var route: RouteName?
    /// What was acted on: an id or version.
    package var subject: String
    package var detail: String

    package init(
        id: UUIDv7, at: Int64, actor: String, action: String, route: RouteName?, subject: String, detail: String
    ) {
        self.id = id
        self.at = at
        self.actor = actor
        self.action = action
        self.route = route
        self.subject = subject
        self.detail = detail
    }
}

extension RolloutHistory {
    /// What an ended rollout leaves for hysteresis and cooldown.
    package init(_ rollout: Rollout, fromModel: String, toModel: String) {
        self.init(
            rollout: rollout.id, fromModel: fromModel, toModel: toModel, startedAt: rollout.createdAt,
            endedAt: rollout.endedAt ?? rollout.createdAt, promoted: rollout.phase == .promoted,
            rolledBack: rollout.phase.name == "rolled_back", byDecision: rollout.decision != nil)
    }
}

package import Core
import Decisions
import Policy
package import Rollouts

/// Feeds the pure loop from a store: reads what a step needs, runs it under the route's lock, writes its effects.
/// The server's timer and the virtual clock both call `tick`; only the leader does.
package struct LoopDriver: Sendable {
    package let loop: ControlLoop
    package var store: any ControlStore
    /// Between two decisions of a route, milliseconds.
    package let decisionIntervalMs: Int64
    /// Told of everything the loop sees and does, for metrics.
    package var observe: @Sendable (LoopNews) -> Void = { _ in }
    private var nextDecision: [RouteName: Int64] = [:]
    /// The rollout of each route that was last seen running.
    private var lastRunning: [RouteName: UUIDv7] = [:]
    /// The ended rollout of each route of which no gateway's word is waited for any more.
    private var settled: [RouteName: UUIDv7] = [:]
    /// Rejected proposals that are remembered.
    private static let rejectionLimit = 20

    package init(loop: ControlLoop, store: any ControlStore, decisionIntervalMs: Int64) {
        self.loop = loop
        self.store = store
        self.decisionIntervalMs = decisionIntervalMs
    }

    /// One look at every route. A route that fails does not keep the others waiting; the first error is thrown at the end.
    package mutating func tick(now: Int64, seed: UInt64) async throws {
        var failure: (any Error)?
        for route in try await store.routes() {
            do {
                try await tick(route, now: now, seed: Hash64.hash(route.description, salt: seed))
            } catch {
                observe(.failed(route))
                failure = failure ?? error
            }
        }
        if let failure { throw failure }
    }

    private mutating func tick(_ route: RouteName, now: Int64, seed: UInt64) async throws {
        guard let state = try await store.state(of: route) else { return }
        observe(.looked(state))
        var inputs = LoopInputs()
        if let rollout = state.rollout {
            inputs.panes = try await store.evidence(of: rollout.id, after: rollout.evidence.cursor)
        }
        try await acknowledge(state, now: now)
        let next = nextDecision[route] ?? now
        // One that is further away than it can be was set by a clock that has been put back.
        let due = now >= next || next - now > decisionIntervalMs
        if due {
            try await addStatistics(to: &inputs, route: route, now: now)
            nextDecision[route] = now + decisionIntervalMs
        }
        guard due || state.rollout != nil else { return }
        let loop = loop
        let ready = inputs
        let effects = try await store.update(route) { state in
            var generator = SplitMix64(seed: seed)
            let effects = loop.step(state, ready, now: now, using: &generator)
            return (effects, effects)
        }
        observe(.wrote(route, effects))
    }

    /// Notes on the latest ended rollout when all gateways serve what its end changed.
    private mutating func acknowledge(_ state: RouteState, now: Int64) async throws {
        let route = state.route.name
        if let rollout = state.rollout { return lastRunning[route] = rollout.id }
        guard let latest = state.history.first, settled[route] != latest.rollout else { return }
        // One that ended long ago was acknowledged, or never will be: what gateways say now tells nothing of then.
        let isRecent = now - latest.endedAt <= 2 * loop.settings.leaseMs
        guard isRecent || lastRunning[route] == latest.rollout, var rollout = try await store.rollout(latest.rollout),
            rollout.acknowledgement == nil
        else { return settled[route] = latest.rollout }
        guard
            let acknowledgement = rollout.acknowledged(
                by: try await store.gateways(), epoch: state.pointer.epoch, leaseMs: loop.settings.leaseMs, now: now)
        else { return }
        rollout.acknowledgement = acknowledgement
        rollout.note("acknowledged", acknowledgement.detail, now: now)
        let done = rollout
        try await store.update(route) { _ in ([.saveRollout(done)], ()) }
        settled[route] = latest.rollout
        observe(.acknowledged(done))
    }

    private func running() async throws -> Int {
        var count = 0
        for state in RolloutPhase.activeNames {
            count += try await store.rollouts(PageQuery(state: state, limit: 500)).count
        }
        return count
    }

    private func addStatistics(to inputs: inout LoopInputs, route: RouteName, now: Int64) async throws {
        let start = now - loop.settings.decisions.lookbackMs
        inputs.statistics = try await store.statistics(route: route, in: start..<now)
        inputs.prices = try await store.prices()
        inputs.running = try await running()
        inputs.lastDecision = try await store.decisions(PageQuery(route: route, limit: 1)).first
        inputs.rejections = try await store.decisions(
            PageQuery(route: route, state: Decision.Status.rejected.rawValue, limit: Self.rejectionLimit))
    }

    /// Does what a person asks, under the same lock.
    package func handle(_ command: Command, route: RouteName, by actor: String, now: Int64, seed: UInt64) async throws
        -> CommandResult
    {
        var surroundings = ControlLoop.Surroundings()
        if let id = command.rollout { surroundings.rollout = try await store.rollout(id) }
        if command.startsRollout {
            let start = now - loop.settings.decisions.lookbackMs
            surroundings.statistics = try await store.statistics(route: route, in: start..<now)
            surroundings.running = try await running()
        }
        let (loop, known) = (loop, surroundings)
        let (effects, result) = try await store.update(route) { state in
            var generator = SplitMix64(seed: seed)
            let (effects, result) = try loop.handle(
                command, by: actor, state: state, known, now: now, using: &generator)
            return (effects, (effects, result))
        }
        observe(.wrote(route, effects))
        return result
    }
}

/// What a driver tells of its work.
package enum LoopNews: Sendable {
    /// A route as a step found it.
    case looked(RouteState)
    /// What was stored.
    case wrote(RouteName, [ControlEffect])
    /// All gateways have taken up a rollout's end, or their leases on its candidate have run out.
    case acknowledged(Rollout)
    case failed(RouteName)
}

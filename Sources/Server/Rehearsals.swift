import Analysis
import BlockingExecutors
package import ControlLoop
package import Core
import Decisions
import Policy
import Rollouts
package import Simulation
package import StateStore

/// Rehearses routes, one at a time, on a thread of its own: a rehearsal computes for seconds, and nobody else may wait.
package actor Rehearsals {
    private nonisolated let executor = ThreadExecutor(name: "rehearsal")
    package nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// The part of the look-back span that the present rate of requests is taken from: one in so many.
    private static let rateShare: Int64 = 10

    private let store: PostgresControlStore
    private let control: ControlRoleSettings
    private var isRunning = false

    package init(store: PostgresControlStore, control: ControlRoleSettings) {
        self.store = store
        self.control = control
    }

    deinit { executor.stop() }

    /// Rehearses the route's latest change and keeps the score.
    ///
    /// - Parameter traffic: `nil` takes what was measured.
    /// - Throws: `TrimtabError` `rehearsal.busy` while another one runs, `store.no_route`, or what the store says.
    package func rehearse(
        _ route: RouteName, by actor: String, traffic: RehearsalTraffic? = nil
    ) async throws -> RehearsalReport {
        guard !isRunning else {
            throw TrimtabError(
                "rehearsal.busy", "A rehearsal is running, and one runs at a time.",
                remedy: "Try again in some seconds.")
        }
        isRunning = true
        defer { isRunning = false }
        let now = currentMilliseconds()
        guard let state = try await store.state(of: route), let stable = state.stable else {
            throw TrimtabError(
                "store.no_route", "There is no route '\(route)'.", remedy: "List the routes with `trimtab routes`.")
        }
        var generator = SystemRandomNumberGenerator()
        let rehearsal = Rehearsal(
            route: state.route, stable: stable, candidate: try await candidate(of: state),
            traffic: try await measured(stable, now: now, or: traffic), control: control.loop, seed: generator.next())
        let report = try await rehearsal.run(id: UUIDv7(milliseconds: now, using: &generator), at: now)
        try await store.keep(report, by: actor)
        return report
    }

    /// The change under way, else the latest one made.
    private func candidate(of state: RouteState) async throws -> RoutingPolicy? {
        if let running = state.rollout?.candidate, let policy = state.policies[running] { return policy }
        guard state.latestVersion != state.pointer.stable else { return nil }
        return try await store.policy(state.route.name, version: state.latestVersion)
    }

    private func measured(_ stable: RoutingPolicy, now: Int64, or given: RehearsalTraffic?) async throws
        -> RehearsalTraffic
    {
        if let given { return given }
        let past = now - control.loop.decisions.lookbackMs..<now
        let statistics = try await store.statistics(route: stable.route, in: past)
        let recentMs = control.loop.decisions.lookbackMs / Self.rateShare
        let recent = try await store.statistics(route: stable.route, in: now - recentMs..<now)
        let rate = Double(recent.reduce(0) { $0 + $1.requests }) / Double(recentMs) * 1000
        return RehearsalTraffic(statistics, serving: stable, ratePerS: rate > 0 ? rate : nil)
    }
}

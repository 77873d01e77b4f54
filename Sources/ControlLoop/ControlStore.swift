package import Analysis
package import Core
package import Decisions
package import Policy
package import Rollouts
package import StreamProcessing

/// What the loop and the control API keep. PostgreSQL implements it, and memory does for the virtual clock;
/// both pass the same contract tests.
package protocol ControlStore: Sendable {
    // MARK: Routes and policies
    func routes() async throws -> [RouteName]
    /// All that a change to one route depends on; `nil` if there is no such route.
    func state(of route: RouteName) async throws -> RouteState?
    /// Reads the route's state under a lock on it, computes effects from it, and writes them, all or nothing.
    /// Concurrent updates of one route happen one after the other; `body` may be called again after a conflict.
    ///
    /// - Throws: `TrimtabError` `store.no_route`, whatever `body` throws, or the store's own errors. Nothing is written then.
    func update<Result: Sendable>(
        _ route: RouteName,
        _ body: @escaping @Sendable (RouteState) throws -> (effects: [ControlEffect], result: Result)
    ) async throws -> Result
    /// Makes a route with its first policy (version 1), pointer and audit entry; replaces the settings of one that exists
    /// (its policies and pointer stay).
    func apply(_ route: Route, firstPolicy: RoutingPolicy?, by actor: String, now: Int64) async throws
    func delete(_ route: RouteName, by actor: String, now: Int64) async throws
    func policies(of route: RouteName) async throws -> [RoutingPolicy]
    func policy(_ route: RouteName, version: Int) async throws -> RoutingPolicy?
    /// Gives the next free version, keeps it and returns it; the pointer stays.
    func create(_ policy: RoutingPolicy, now: Int64) async throws -> RoutingPolicy

    // MARK: What the stream measured
    /// Panes of a rollout after `cursor` (partition to last folded number), ordered by number, then partition: about
    /// `limit` at most, and all of a number and partition that has any. There may be more after them.
    func evidence(of rollout: UUIDv7, after cursor: [Int: Int64], limit: Int) async throws -> [EvidencePane]
    /// Statistics of one route over windows that start in `range`, one entry a model, sorted by model key.
    func statistics(route: RouteName, in range: Range<Int64>) async throws -> [TargetStatistics]
    /// Merged window results (all partitions), with their feedback, ordered by window, then key.
    func windows(_ query: WindowQuery) async throws -> [MergedWindow]
    func prices() async throws -> PriceBook
    /// What each gateway last said of itself, sorted by id.
    func gateways() async throws -> [GatewayStatus]

    // MARK: Reading what was decided
    func decisions(_ query: PageQuery) async throws -> [Decision]
    func decision(_ id: UUIDv7) async throws -> Decision?
    func rollouts(_ query: PageQuery) async throws -> [Rollout]
    func rollout(_ id: UUIDv7) async throws -> Rollout?
    func audit(_ query: PageQuery) async throws -> [AuditEntry]

    // MARK: Rehearsals
    /// Keeps a report with an audit entry `route.rehearse`; the newest `RehearsalReport.keptPerRoute` of a route stay.
    ///
    /// - Throws: `TrimtabError` `store.no_route`.
    func keep(_ report: RehearsalReport, by actor: String) async throws
    /// The query's `state` is not looked at.
    func rehearsals(_ query: PageQuery) async throws -> [RehearsalReport]
}

/// One page, newest first: entries of `route` (all if `nil`) with an id below `before`.
package struct PageQuery: Sendable {
    package var route: RouteName?
    /// Status (decisions), phase name (rollouts), or action (audit); `nil` is any.
    package var state: String?
    package var before: UUIDv7?
    /// 1...500.
    package var limit: Int

    package init(route: RouteName? = nil, state: String? = nil, before: UUIDv7? = nil, limit: Int = 50) {
        self.route = route
        self.state = state
        self.before = before
        self.limit = limit
    }
}

package struct WindowQuery: Sendable {
    package var route: RouteName
    /// Window starts, milliseconds since the epoch.
    package var range: Range<Int64>
    /// At most so many, the newest.
    package var limit: Int
    package init(route: RouteName, range: Range<Int64>, limit: Int = 5_000) {
        self.route = route
        self.range = range
        self.limit = limit
    }
}

extension ControlStore {
    /// As much evidence as one look takes in: what gathered while nobody looked is caught up with in several.
    package func evidence(of rollout: UUIDv7, after cursor: [Int: Int64]) async throws -> [EvidencePane] {
        try await evidence(of: rollout, after: cursor, limit: 1_000)
    }
}

extension [EvidencePane] {
    /// Without the last number and partition, of which a limit may have left something out; unless it is the only one.
    package func withoutLastGroup() -> [EvidencePane] {
        guard let last else { return self }
        let whole = Array(prefix { ($0.number, $0.partition) != (last.number, last.partition) })
        return whole.isEmpty ? self : whole
    }
}

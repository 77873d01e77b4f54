import Analysis
import ControlLoop
import Core
import Decisions
import Policy
import Rollouts
import StreamProcessing
import Synchronization

/// Holds what a test puts there; every write is kept as it is asked for.
final class FixtureStore: ControlStore, AdminStore, AnalysisStore {
    struct Content {
        var states: [RouteName: RouteState] = [:]
        var policies: [RouteName: [RoutingPolicy]] = [:]
        var windows: [MergedWindow] = []
        var prices = PriceBook()
        var decisions: [Decision] = []
        var rollouts: [Rollout] = []
        var panes: [EvidencePane] = []
        var findings: [Finding] = []
        var audit: [AuditEntry] = []
        var rehearsals: [RehearsalReport] = []
        var keys: [VirtualKey] = []
        var tokens: [OperatorToken] = []
        var gateways: [GatewayStatus] = []
        var problem: String?
        var listeners: [AsyncStream<Change>.Continuation] = []
    }
    let content = Mutex(Content())

    func tell(_ change: Change) {
        for listener in content.withLock({ $0.listeners }) { listener.yield(change) }
    }

    func edit(_ body: (inout Content) -> Void) { content.withLock { body(&$0) } }

    func routes() async throws -> [RouteName] { content.withLock { $0.states.keys.sorted() } }
    func state(of route: RouteName) async throws -> RouteState? { content.withLock { $0.states[route] } }

    func update<Result: Sendable>(
        _ route: RouteName,
        _ body: @escaping @Sendable (RouteState) throws -> (effects: [ControlEffect], result: Result)
    ) async throws -> Result {
        guard let state = try await state(of: route) else {
            throw TrimtabError("store.no_route", "There is no route '\(route)'.", remedy: "Make it first.")
        }
        return try body(state).result
    }

    func apply(_ route: Route, firstPolicy: RoutingPolicy?, by actor: String, now: Int64) async throws {
        edit { content in
            if content.states[route.name] != nil {
                content.states[route.name]?.route = route
            } else if var policy = firstPolicy {
                policy.version = 1
                content.policies[route.name] = [policy]
                content.states[route.name] = RouteState(
                    route: route, pointer: RoutePointer(route: route.name, stable: 1), policies: [1: policy],
                    latestVersion: 1)
            }
        }
    }

    func delete(_ route: RouteName, by actor: String, now: Int64) async throws {
        edit { $0.states[route] = nil }
    }

    func policies(of route: RouteName) async throws -> [RoutingPolicy] { content.withLock { $0.policies[route] ?? [] } }
    func policy(_ route: RouteName, version: Int) async throws -> RoutingPolicy? {
        content.withLock { $0.policies[route]?.first { $0.version == version } }
    }

    func create(_ policy: RoutingPolicy, now: Int64) async throws -> RoutingPolicy {
        var policy = policy
        edit { content in
            policy.version = (content.states[policy.route]?.latestVersion ?? 0) + 1
            content.states[policy.route]?.latestVersion = policy.version
            content.policies[policy.route, default: []].append(policy)
        }
        return policy
    }

    func evidence(of rollout: UUIDv7, after cursor: [Int: Int64], limit: Int) async throws -> [EvidencePane] {
        content.withLock { $0.panes }.filter { $0.number > cursor[$0.partition] ?? -1 }
    }
    func statistics(route: RouteName, in range: Range<Int64>) async throws -> [TargetStatistics] { [] }
    func windows(_ query: WindowQuery) async throws -> [MergedWindow] {
        content.withLock { $0.windows.filter { query.range.contains($0.window.start) } }
    }
    func prices() async throws -> PriceBook { content.withLock { $0.prices } }

    private func page<Item>(_ items: [Item], _ query: PageQuery, id: (Item) -> UUIDv7, keep: (Item) -> Bool) -> [Item] {
        Array(
            items.filter { item in keep(item) && (query.before.map { id(item) < $0 } ?? true) }
                .sorted { id($0) > id($1) }.prefix(query.limit))
    }

    func decisions(_ query: PageQuery) async throws -> [Decision] {
        page(content.withLock { $0.decisions }, query, id: \.id) {
            (query.route == nil || $0.route == query.route) && (query.state == nil || $0.status.rawValue == query.state)
        }
    }
    func decision(_ id: UUIDv7) async throws -> Decision? { content.withLock { $0.decisions.first { $0.id == id } } }
    func rollouts(_ query: PageQuery) async throws -> [Rollout] {
        page(content.withLock { $0.rollouts }, query, id: \.id) {
            (query.route == nil || $0.route == query.route) && (query.state == nil || $0.phase.name == query.state)
        }
    }
    func rollout(_ id: UUIDv7) async throws -> Rollout? { content.withLock { $0.rollouts.first { $0.id == id } } }
    func measuredThrough() async throws -> Int64? { nil }
    func measuredSince(_ route: RouteName) async throws -> Int64? { nil }
    func results(of definition: String, route: RouteName, endingIn range: Range<Int64>) async throws -> [MergedWindow] {
        content.withLock { $0.windows.filter { $0.key.window == definition && range.contains($0.window.end) } }
    }
    func probes(of models: [String], in range: Range<Int64>) async throws -> [StoredProbe] { [] }
    func keep(_ probe: StoredProbe) async throws {}
    func analysis(of route: RouteName) async throws -> StoredAnalysis? { nil }
    func findings(_ query: FindingQuery) async throws -> [Finding] {
        let pages = PageQuery(before: query.before, limit: query.limit)
        return page(content.withLock { $0.findings }, pages, id: \.id) { finding in
            (query.analyzer == nil || finding.analyzer == query.analyzer)
                && (query.code == nil || finding.code == query.code)
                && (query.status == nil || finding.status == query.status)
                && (query.severity == nil || finding.severity == query.severity)
        }
    }
    func finding(_ id: UUIDv7) async throws -> Finding? { content.withLock { $0.findings.first { $0.id == id } } }
    func audit(_ query: PageQuery) async throws -> [AuditEntry] {
        page(content.withLock { $0.audit }, query, id: \.id) { query.state == nil || $0.action == query.state }
    }
    func keep(_ report: RehearsalReport, by actor: String) async throws {
        edit { content in
            content.rehearsals.append(report)
            content.states[report.route]?.rehearsal = RehearsalVerdict(report)
        }
    }
    func rehearsals(_ query: PageQuery) async throws -> [RehearsalReport] {
        page(content.withLock { $0.rehearsals }, query, id: \.id) { query.route == nil || $0.route == query.route }
    }

    func keys() async throws -> [VirtualKey] { content.withLock { $0.keys } }
    func create(_ key: VirtualKey, by actor: String) async throws {
        let taken = content.withLock { content in
            let taken = content.keys.contains { $0.name == key.name }
            if !taken { content.keys.append(key) }
            return taken
        }
        if taken { throw TrimtabError("store.exists", "The key '\(key.name)' exists.", remedy: "Choose another name.") }
    }
    func revokeKey(_ name: String, by actor: String, now: Int64) async throws {
        let found = content.withLock { content in
            guard let index = content.keys.firstIndex(where: { $0.name == name }) else { return false }
            content.keys[index].revokedAt = now
            return true
        }
        if !found { throw TrimtabError("store.not_found", "There is no key '\(name)'.", remedy: "List them first.") }
    }

    func tokens() async throws -> [OperatorToken] { content.withLock { $0.tokens } }
    func token(digest: String) async throws -> OperatorToken? {
        content.withLock { $0.tokens.first { $0.digest == digest && $0.revokedAt == nil } }
    }
    func create(_ token: OperatorToken, by actor: String) async throws { edit { $0.tokens.append(token) } }
    func revokeToken(_ name: String, by actor: String, now: Int64) async throws {
        edit { content in
            for index in content.tokens.indices where content.tokens[index].name == name {
                content.tokens[index].revokedAt = now
            }
        }
    }

    func setPrices(_ prices: [String: TokenPrice?], by actor: String, now: Int64) async throws -> PriceBook {
        content.withLock { content in
            for (model, price) in prices { content.prices.prices[model] = price }
            content.prices.id = "2026-01-01#2"
            return content.prices
        }
    }

    func gateways() async throws -> [GatewayStatus] { content.withLock { $0.gateways } }
    func changes() async throws -> AsyncStream<Change> {
        let (stream, continuation) = AsyncStream.makeStream(of: Change.self)
        edit { $0.listeners.append(continuation) }
        return stream
    }
    func ping() async -> String? { content.withLock { $0.problem } }
}

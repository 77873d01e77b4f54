import Analysis
package import Core
import Decisions
package import Policy
import Rollouts
import Statistics
import StreamProcessing

/// The store in memory: for the virtual clock and for tests, under the same contract as PostgreSQL's.
package actor InMemoryControlStore: ControlStore {
    struct RouteRecord {
        var route: Route
        var pointer: RoutePointer
        var policies: [RoutingPolicy]
        var findings: [UUIDv7: Finding] = [:]
        var analysis: StoredAnalysis?
        /// Oldest first.
        var rehearsals: [RehearsalReport] = []
    }

    struct PartialID: Hashable {
        var window: Window
        var key: WindowKey
        var partition: Int
    }

    var records: [RouteName: RouteRecord] = [:]
    var epoch: Int64 = 0
    var decisions: [UUIDv7: Decision] = [:]
    var rollouts: [UUIDv7: Rollout] = [:]
    var auditEntries: [AuditEntry] = []
    var panes: [UUIDv7: [EvidencePane]] = [:]
    var partials: [RouteName: [PartialID: WindowResult]] = [:]
    var feedback: [RouteName: [WindowID: [String: Moments]]] = [:]
    var watermark: Int64?
    var probes: [StoredProbe] = []
    var book = PriceBook()
    // Administration, in InMemoryControlStore+Admin.swift.
    var virtualKeys: [String: VirtualKey] = [:]
    var operatorTokens: [String: OperatorToken] = [:]
    var gatewayStatus: [String: GatewayStatus] = [:]
    var listeners: [Int: AsyncStream<Change>.Continuation] = [:]
    var nextListener = 0

    package init() {}

    package func routes() -> [RouteName] { records.keys.sorted() }

    package func state(of route: RouteName) -> RouteState? {
        guard let record = records[route] else { return nil }
        let active = rollouts.values.first { $0.route == route && $0.isActive }
        let proposal = decisions.values.filter { $0.route == route && $0.status == .proposed }.max { $0.id < $1.id }
        let wanted = [
            record.pointer.stable, record.pointer.candidate, record.route.baseline, active?.stable, active?.candidate,
            proposal?.policy,
        ].compactMap { $0 }
        let policies = record.policies.filter { wanted.contains($0.version) }
        return RouteState(
            route: record.route, pointer: record.pointer,
            policies: Dictionary(policies.map { ($0.version, $0) }, uniquingKeysWith: { $1 }), rollout: active,
            proposal: proposal, history: history(of: record), latestVersion: record.policies.map(\.version).max() ?? 0,
            rehearsal: record.rehearsals.last.map { RehearsalVerdict($0) })
    }

    private func history(of record: RouteRecord) -> [RolloutHistory] {
        let ended = rollouts.values.filter { $0.route == record.route.name && !$0.isActive }.sorted { $0.id > $1.id }
        return ended.prefix(50).map { rollout in
            func model(_ version: Int) -> String {
                record.policies.first { $0.version == version }?.targets.first?.modelKey ?? ""
            }
            return RolloutHistory(rollout, fromModel: model(rollout.stable), toModel: model(rollout.candidate))
        }
    }

    package func update<Result: Sendable>(
        _ route: RouteName,
        _ body: @escaping @Sendable (RouteState) throws -> (effects: [ControlEffect], result: Result)
    ) throws -> Result {
        guard let state = state(of: route) else { throw Self.noRoute(route) }
        let (effects, result) = try body(state)
        for effect in effects { apply(effect, to: route) }
        return result
    }

    private func apply(_ effect: ControlEffect, to route: RouteName) {
        switch effect {
        case .savePolicy(let policy):
            records[route]?.policies.append(policy)
            tell(.policy, route, "\(policy.version)")
        case .saveRollout(let rollout):
            rollouts[rollout.id] = rollout
            tell(.rollout, route, rollout.id.description)
        case .setPointer(var pointer):
            epoch += 1
            pointer.epoch = epoch
            records[route]?.pointer = pointer
            tell(.pointer, route, "\(epoch)")
        case .renewLease(let until): records[route]?.pointer.leaseUntil = until
        case .saveDecision(let decision):
            decisions[decision.id] = decision
            tell(.decision, route, decision.id.description)
        case .saveFinding(let change):
            records[route]?.findings[change.finding.id] = change.finding
            tell(.finding, route, change.finding.id.description)
        case .saveAnalysis(let analysis): records[route]?.analysis = analysis
        case .setBaseline(let version):
            epoch += 1
            records[route]?.route.baseline = version
            records[route]?.pointer.epoch = epoch
            tell(.route, route, route.description)
        case .audit(let entry): auditEntries.append(entry)
        }
    }

    package func apply(_ route: Route, firstPolicy: RoutingPolicy?, by actor: String, now: Int64) throws {
        if records[route.name] != nil {
            var route = route
            route.baseline = route.baseline ?? records[route.name]?.route.baseline
            epoch += 1
            records[route.name]?.route = route
            records[route.name]?.pointer.epoch = epoch
        } else {
            guard var policy = firstPolicy else {
                throw TrimtabError(
                    "store.first_policy", "Route \(route.name) is new and has no policy.",
                    remedy: "Give it a first policy with at least one target.")
            }
            (policy.version, policy.route) = (1, route.name)
            epoch += 1
            var pointer = RoutePointer(route: route.name, stable: 1)
            pointer.epoch = epoch
            var route = route
            route.baseline = route.baseline ?? 1
            records[route.name] = RouteRecord(route: route, pointer: pointer, policies: [policy])
        }
        audit(actor, "route.apply", route: route.name, subject: route.name.description, now: now)
        tell(.route, route.name, route.name.description)
    }

    package func delete(_ route: RouteName, by actor: String, now: Int64) throws {
        guard records.removeValue(forKey: route) != nil else { throw Self.noRoute(route) }
        rollouts = rollouts.filter { $0.value.route != route }
        decisions = decisions.filter { $0.value.route != route }
        partials[route] = nil
        feedback[route] = nil
        epoch += 1
        audit(actor, "route.delete", route: route, subject: route.description, now: now)
        tell(.route, route, route.description)
    }

    package func policies(of route: RouteName) -> [RoutingPolicy] { records[route]?.policies ?? [] }

    package func policy(_ route: RouteName, version: Int) -> RoutingPolicy? {
        records[route]?.policies.first { $0.version == version }
    }

    package func create(_ policy: RoutingPolicy, now: Int64) throws -> RoutingPolicy {
        guard let record = records[policy.route] else { throw Self.noRoute(policy.route) }
        var policy = policy
        policy.version = (record.policies.map(\.version).max() ?? 0) + 1
        policy.createdAt = now
        records[policy.route]?.policies.append(policy)
        tell(.policy, policy.route, "\(policy.version)")
        return policy
    }

    package func keep(_ report: RehearsalReport, by actor: String) throws {
        guard records[report.route] != nil else { throw Self.noRoute(report.route) }
        records[report.route]?.rehearsals.append(report)
        let kept = (records[report.route]?.rehearsals ?? []).sorted { $0.id < $1.id }
        records[report.route]?.rehearsals = kept.suffix(RehearsalReport.keptPerRoute)
        audit(
            actor, "route.rehearse", route: report.route, subject: report.id.description, detail: report.summary,
            now: report.at)
        tell(.route, report.route, report.route.description)
    }

    /// Adds an entry whose id follows from what it says and how many came before it.
    func audit(
        _ actor: String, _ action: String, route: RouteName? = nil, subject: String, detail: String = "", now: Int64
    ) {
        let salt = UInt64(auditEntries.count)
        var generator = SplitMix64(seed: UInt64(bitPattern: now) ^ Hash64.hash(subject, salt: salt))
        auditEntries.append(
            AuditEntry(
                id: UUIDv7(milliseconds: now, using: &generator), at: now, actor: actor, action: action, route: route,
                subject: subject, detail: detail))
    }

    func tell(_ kind: Change.Kind, _ route: RouteName?, _ id: String) {
        for listener in listeners.values { listener.yield(Change(kind: kind, route: route, id: id)) }
    }

    static func noRoute(_ route: RouteName) -> TrimtabError {
        TrimtabError("store.no_route", "There is no route \(route).", remedy: "See `trimtab routes list`.")
    }
}

import Analysis
import ControlLoop
import Core
import Decisions
import Policy
import Rollouts
import StateStore
import Statistics
import StreamProcessing
import Telemetry
import TestSupport
import Testing

/// What every store promises: the one in memory and the one in PostgreSQL.
@Suite(.enabled(if: TestPostgres.missing == nil), .timeLimit(.minutes(2)))
struct ControlStoreContractTests {
    enum Kind: String, CaseIterable, CustomTestStringConvertible {
        case memory, postgres
        var testDescription: String { rawValue }

        func make() async throws -> any ControlStore & AdminStore {
            switch self {
            case .memory: InMemoryControlStore()
            case .postgres: PostgresControlStore(try await database())
            }
        }
    }

    private func withRoute(_ kind: Kind) async throws -> (any ControlStore & AdminStore, RouteName) {
        let store = try await kind.make()
        try await store.apply(Sample.route(), firstPolicy: Sample.policy(), by: "ann", now: Sample.now)
        return (store, try "support".routeName)
    }

    @Test(arguments: Kind.allCases)
    func aRouteBeginsWithItsFirstPolicy(kind: Kind) async throws {
        let (store, name) = try await withRoute(kind)
        let state = try #require(try await store.state(of: name))
        #expect(state.pointer.stable == 1)
        #expect(state.stable?.targets.first?.modelKey == "openai/gpt-4o")
        #expect(state.latestVersion == 1)
        #expect(try await store.routes() == [name])
        #expect(try await store.state(of: "other".routeName) == nil)
        let actions = try await store.audit(PageQuery()).map(\.action)
        #expect(actions == ["route.apply"])
    }

    @Test(arguments: Kind.allCases)
    func applyingAgainReplacesSettingsOnly(kind: Kind) async throws {
        let (store, name) = try await withRoute(kind)
        let before = try #require(try await store.state(of: name))
        var route = try Sample.route()
        route.holdout = 0.1
        try await store.apply(route, firstPolicy: Sample.policy("other"), by: "ann", now: Sample.now + 1)
        let after = try #require(try await store.state(of: name))
        #expect(after.route.holdout == 0.1)
        #expect(after.policies == before.policies)
        #expect(after.pointer.epoch > before.pointer.epoch, "gateways must see that something changed")
        await #expect(throws: TrimtabError.self) {
            try await store.apply(Route(name: "bare".routeName), firstPolicy: nil, by: "ann", now: 0)
        }
        #expect(try await store.routes() == [name])
    }

    @Test(arguments: Kind.allCases)
    func anUpdateWritesAllItsEffects(kind: Kind) async throws {
        let (store, name) = try await withRoute(kind)
        var ids = IDs()
        let (rollout, decision) = (try Sample.rollout(ids.next()), try Sample.decision(ids.next(), status: .proposed))
        var candidate = try Sample.policy("gpt-4o-mini")
        candidate.version = 2
        let result = try await store.update(name) { [candidate] state in
            var pointer = state.pointer
            pointer.candidate = 2
            pointer.weight = 0.05
            pointer.salt = .max
            pointer.rollout = rollout.id
            pointer.step = 1
            pointer.leaseUntil = 5
            pointer.eligibility = Eligibility(headers: ["x-beta": "yes"], keys: ["web-*"], tags: ["tier": "gold"])
            pointer.mode = .mirror
            return (
                [
                    .savePolicy(candidate), .saveRollout(rollout), .setPointer(pointer), .saveDecision(decision),
                    .setBaseline(1), .renewLease(until: 99),
                ], state.latestVersion
            )
        }
        #expect(result == 1)
        let state = try #require(try await store.state(of: name))
        #expect(state.pointer.salt == .max)
        #expect(state.pointer.leaseUntil == 99)
        #expect(state.pointer.rollout == rollout.id)
        #expect(state.pointer.eligibility?.tags == ["tier": "gold"] && state.pointer.mode == .mirror)
        #expect(state.policies[2] == candidate)
        #expect(state.baseline?.version == 1)
        #expect(state.rollout == rollout)
        #expect(state.proposal == decision)
        #expect(try await store.decision(decision.id) == decision)
        #expect(try await store.rollout(rollout.id) == rollout)
    }

    @Test(arguments: Kind.allCases)
    func aFailedUpdateWritesNothing(kind: Kind) async throws {
        struct Stop: Error {}
        let (store, name) = try await withRoute(kind)
        let before = try await store.state(of: name)
        await #expect(throws: Stop.self) {
            try await store.update(name) { _ -> (effects: [ControlEffect], result: Void) in throw Stop() }
        }
        #expect(try await store.state(of: name) == before)
        let missing = await #expect(throws: TrimtabError.self) {
            try await store.update("none".routeName) { _ in ([], ()) }
        }
        #expect(missing?.code == "store.no_route")
        #expect(try await store.audit(PageQuery()).count == 1)
    }

    @Test(arguments: Kind.allCases)
    func concurrentUpdatesLoseNothing(kind: Kind) async throws {
        let (store, name) = try await withRoute(kind)
        let epoch = try #require(try await store.state(of: name)).pointer.epoch
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<20 {
                group.addTask {
                    try await store.update(name) { state in
                        var pointer = state.pointer
                        pointer.step = (pointer.step ?? 0) + 1
                        return ([.setPointer(pointer)], ())
                    }
                }
            }
            try await group.waitForAll()
        }
        let pointer = try #require(try await store.state(of: name)).pointer
        #expect(pointer.step == 20)
        #expect(pointer.epoch == epoch + 20)
    }

    @Test(arguments: Kind.allCases)
    func endedRolloutsAreHistory(kind: Kind) async throws {
        let (store, name) = try await withRoute(kind)
        _ = try await store.create(Sample.policy("gpt-4o-mini"), now: Sample.now)
        var ids = IDs()
        let ends: [(RolloutPhase, Bool, Bool)] = [
            (.promoted, true, false), (.ended(.guardrail(.errors)), false, true), (.ended(.inconclusive), false, false),
        ]
        for (phase, _, _) in ends {
            var rollout = try Sample.rollout(ids.next(), decision: ids.next())
            try await store.update(name) { [rollout] _ in ([.saveRollout(rollout)], ()) }
            rollout.phase = phase
            rollout.endedAt = Sample.now + 9
            try await store.update(name) { [rollout] _ in ([.saveRollout(rollout)], ()) }
        }
        let state = try #require(try await store.state(of: name))
        #expect(state.rollout == nil)
        #expect(state.history.map(\.promoted) == ends.map(\.1).reversed())
        #expect(state.history.map(\.rolledBack) == ends.map(\.2).reversed())
        #expect(state.history.allSatisfy { $0.fromModel == "openai/gpt-4o" && $0.toModel == "openai/gpt-4o-mini" })
        #expect(state.history.map(\.byDecision) == [true, true, true])
        #expect(try await store.rollouts(PageQuery(state: "rolled_back")).count == 1)
    }

    @Test(arguments: Kind.allCases)
    func pagesGoBackInTime(kind: Kind) async throws {
        let (store, name) = try await withRoute(kind)
        var ids = IDs()
        let decisions = try (0..<7).map { try Sample.decision(ids.next(), status: $0 == 3 ? .rejected : .noted) }
        try await store.update(name) { _ in (decisions.map { .saveDecision($0) }, ()) }
        var seen: [UUIDv7] = []
        while true {
            let page = try await store.decisions(PageQuery(route: name, before: seen.last, limit: 3))
            if page.isEmpty { break }
            seen += page.map(\.id)
        }
        #expect(seen == decisions.map(\.id).reversed())
        #expect(try await store.decisions(PageQuery(state: "rejected")).map(\.id) == [decisions[3].id])
        #expect(try await store.decisions(PageQuery(route: "other".routeName)).isEmpty)
    }

    @Test(arguments: Kind.allCases)
    func aDeletedRouteIsGone(kind: Kind) async throws {
        let (store, name) = try await withRoute(kind)
        var ids = IDs()
        let rollout = try Sample.rollout(ids.next())
        _ = try await store.create(Sample.policy("gpt-4o-mini"), now: Sample.now)
        try await store.update(name) { _ in ([.saveRollout(rollout)], ()) }
        try await store.delete(name, by: "ann", now: Sample.now)
        #expect(try await store.state(of: name) == nil)
        #expect(try await store.rollouts(PageQuery()).isEmpty)
        #expect(try await store.audit(PageQuery(state: "route.delete")).count == 1)
        try await store.apply(Sample.route(), firstPolicy: Sample.policy(), by: "ann", now: Sample.now)
        #expect(try await store.policies(of: name).map(\.version) == [1])
    }

    @Test(arguments: Kind.allCases)
    func theNewestRehearsalsAreKeptAndTheLatestCounts(kind: Kind) async throws {
        let (store, name) = try await withRoute(kind)
        #expect(try await store.state(of: name)?.rehearsal == nil)
        var ids = IDs()
        var reports: [RehearsalReport] = []
        for number in 0..<(RehearsalReport.keptPerRoute + 3) {
            let report = try Sample.rehearsal(ids.next(), at: Sample.now + Int64(number), passed: number % 2 == 0)
            try await store.keep(report, by: "ann")
            reports.append(report)
        }
        let latest = try #require(reports.last)
        #expect(try await store.state(of: name)?.rehearsal == RehearsalVerdict(latest))
        let kept = try await store.rehearsals(PageQuery(route: name, limit: 500))
        #expect(kept == reports.suffix(RehearsalReport.keptPerRoute).reversed())
        let page = try await store.rehearsals(PageQuery(before: kept[1].id, limit: 2))
        #expect(page.map(\.id) == kept[2...3].map(\.id))
        #expect(try await store.rehearsals(PageQuery(route: "other".routeName)).isEmpty)
        let entry = try #require(try await store.audit(PageQuery(state: "route.rehearse", limit: 1)).first)
        #expect(entry.actor == "ann" && entry.subject == latest.id.description && entry.detail == latest.summary)
        let stray = try Sample.rehearsal(ids.next(), at: Sample.now, passed: true, route: "none")
        let missing = await #expect(throws: TrimtabError.self) { try await store.keep(stray, by: "ann") }
        #expect(missing?.code == "store.no_route")
        try await store.delete(name, by: "ann", now: Sample.now)
        #expect(try await store.rehearsals(PageQuery()).isEmpty)
    }

    @Test(arguments: Kind.allCases)
    func keysAndTokensAreUniqueAndRevocable(kind: Kind) async throws {
        let store = try await kind.make()
        let key = VirtualKey(name: "web", project: "shop", digest: "aa", createdAt: 1)
        let token = OperatorToken(name: "ann", role: .operator, digest: "bb", createdAt: 1)
        try await store.create(key, by: "ann")
        try await store.create(token, by: "ann")
        let twice = await #expect(throws: TrimtabError.self) { try await store.create(key, by: "ann") }
        #expect(twice?.code == "store.exists")
        #expect(try await store.keys() == [key])
        #expect(try await store.token(digest: "bb") == token)
        for _ in 0..<2 {
            try await store.revokeKey("web", by: "ann", now: 5)
            try await store.revokeToken("ann", by: "ann", now: 5)
        }
        #expect(try await store.keys().map(\.revokedAt) == [5])
        #expect(try await store.token(digest: "bb") == nil)
        let missing = await #expect(throws: TrimtabError.self) { try await store.revokeKey("x", by: "ann", now: 5) }
        #expect(missing?.code == "store.not_found")
        #expect(try await store.audit(PageQuery(state: "key.revoke")).count == 1)
    }

    @Test(arguments: Kind.allCases)
    func pricesHaveRevisions(kind: Kind) async throws {
        let store = try await kind.make()
        let price = TokenPrice(input: 150_000_000, output: 600_000_000)
        let first = try await store.setPrices(["a/x": price, "a/y": price], by: "ann", now: Sample.now)
        #expect(first.id == "2025-11-20#1")
        let second = try await store.setPrices(["a/y": TokenPrice?.none], by: "ann", now: Sample.now)
        #expect(second.id == "2025-11-20#2")
        #expect(try await store.prices() == second)
        #expect(second.prices == ["a/x": price])
    }

    @Test(arguments: Kind.allCases)
    func changesAreTold(kind: Kind) async throws {
        let store = try await kind.make()
        let changes = try await store.changes()
        try await store.apply(Sample.route(), firstPolicy: Sample.policy(), by: "ann", now: Sample.now)
        let first = await changes.first { _ in true }
        #expect(first == Change(kind: .route, route: try "support".routeName, id: "support"))
        #expect(await store.ping() == nil)
    }
}

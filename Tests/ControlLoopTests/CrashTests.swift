import Analysis
import ControlLoop
import Core
import Decisions
import Policy
import Rollouts
import StreamProcessing
import Synchronization
import Telemetry
import TestSupport
import Testing

/// The control plane dies at every single access to its store, before it happened and after, and comes back.
@Suite struct CrashTests {
    @Test(arguments: Story.all)
    func everyCrashLeadsToTheSameEnd(story: Story) async throws {
        let calm = try await story.play(on: try await World())
        #expect(calm.phases == story.end, "\(calm)")
        for happened in [false, true] {
            for access in 1...calm.accesses {
                let world = try await World()
                let store = InterruptedStore(world.store)
                store.plan.withLock { $0.crash = (access, happened) }
                let ended = try await story.play(on: world, through: store)
                #expect(ended.outcome == calm.outcome, "killed \(happened ? "after" : "before") access \(access)")
            }
        }
    }

    /// Two leaders for a while: what one reads the other has long changed when it writes.
    @Test(arguments: Story.all)
    func twoLeadersDoWhatOneDoes(story: Story) async throws {
        let calm = try await story.play(on: try await World())
        let world = try await World()
        let store = InterruptedStore(world.store)
        var second = world.driver
        second.store = world.store
        let other = Mutex(second)
        store.plan.withLock { plan in
            plan.beforeUpdate = { now in
                var driver = other.withLock { $0 }
                try? await driver.tick(now: now, seed: UInt64(now) + 1)
                let moved = driver
                other.withLock { $0 = moved }
            }
        }
        let ended = try await story.play(on: world, through: store)
        #expect(ended.outcome == calm.outcome)
    }
}

/// What happens to a route, by the clock.
struct Story: Sendable, CustomTestStringConvertible {
    enum Event: Sendable {
        case start, pause, resume
        case abort
        /// One pane of both arms in the step that runs, of whose candidate requests so many fail.
        case evidence(control: Int64, candidate: Int64, failures: Int64)
    }

    let testDescription: String
    let events: [Int64: Event]
    let end: [String]

    static let all = [
        Story(
            testDescription: "promoted",
            events: [
                10_000: .start, 10_500: .evidence(control: 950, candidate: 50, failures: 0),
                12_000: .evidence(control: 1_000, candidate: 1_000, failures: 0),
                14_000: .evidence(control: 50, candidate: 950, failures: 0),
            ], end: ["promoted"]),
        Story(
            testDescription: "rolled back",
            events: [
                10_000: .start, 10_500: .evidence(control: 950, candidate: 50, failures: 0),
                12_000: .evidence(control: 500, candidate: 500, failures: 200),
            ], end: ["rolled_back"]),
        Story(
            testDescription: "paused, resumed, aborted",
            events: [
                10_000: .start, 10_500: .pause, 11_000: .evidence(control: 950, candidate: 50, failures: 0),
                11_500: .resume, 12_500: .abort,
            ], end: ["aborted"]),
    ]

    /// How it ended.
    struct Ending: Sendable {
        var outcome: Outcome
        var accesses: Int
        var phases: [String] { outcome.rollouts.map(\.phase.name) }
    }

    struct Outcome: Sendable, Equatable {
        /// Without the audit's ids.
        var rollouts: [Rollout]
        var pointer: RoutePointer
    }

    func play(on world: World, through given: InterruptedStore? = nil) async throws -> Ending {
        let store = given ?? InterruptedStore(world.store)
        var number: Int64 = 0
        var driver = world.driver
        driver.store = store
        for now in stride(from: Int64(10_000), through: 20_000, by: 500) {
            if let event = events[now] { try await happen(event, in: world, &driver, store, &number, now) }
            // From here on another leader may be first; a person's command comes before both.
            store.plan.withLock { $0.lookAt = now }
            defer { store.plan.withLock { $0.lookAt = nil } }
            do {
                try await driver.tick(now: now, seed: UInt64(now))
            } catch is InterruptedStore.Killed {
                driver = world.driver
                driver.store = store
                try await driver.tick(now: now, seed: UInt64(now))
            }
        }
        var rollouts = await world.store.rollouts(PageQuery(limit: 10))
        // Ids and salts come from the command's seed; an epoch counts every change.
        for index in rollouts.indices { rollouts[index].timeline.removeAll { $0.event == "acknowledged" } }
        var pointer = try await world.state().pointer
        (pointer.epoch, pointer.leaseUntil) = (0, nil)
        let accesses = store.plan.withLock { $0.accesses }
        return Ending(outcome: Outcome(rollouts: rollouts, pointer: pointer), accesses: accesses)
    }

    private func happen(
        _ event: Event, in world: World, _ driver: inout LoopDriver, _ store: InterruptedStore, _ number: inout Int64,
        _ now: Int64
    ) async throws {
        let running = await world.store.rollouts(PageQuery(limit: 10)).first { $0.isActive }
        let command: Command
        switch event {
        case .start: command = .startRollout(RolloutRequest(policy: 2, goal: .neutral, reason: "try"))
        case .pause: command = .pause(rollout: try #require(running).id)
        case .resume: command = .resume(rollout: try #require(running).id)
        case .abort: command = .abort(rollout: try #require(running).id, reason: "no")
        case .evidence(let control, let candidate, let failures):
            let rollout = try #require(running)
            number += 1
            await world.evidence(
                rollout.id, step: try #require(rollout.phase.step), number: number, control: control,
                candidate: candidate, failures: failures)
            return
        }
        do {
            _ = try await driver.handle(command, route: world.route, by: "ann", now: now, seed: UInt64(now))
        } catch is InterruptedStore.Killed {
            // A person who got no answer says it again; that it happened already is no harm.
            driver = world.driver
            driver.store = store
            do {
                _ = try await driver.handle(command, route: world.route, by: "ann", now: now, seed: UInt64(now))
            } catch is TrimtabError {}
        }
    }
}

/// A store whose owner can be killed at any access, before it happened or after.
final class InterruptedStore: ControlStore {
    struct Killed: Error {}

    struct Plan: Sendable {
        var accesses = 0
        /// Which access, and whether it still happens.
        var crash: (access: Int, happened: Bool)?
        /// While the loop looks: when.
        var lookAt: Int64?
        var beforeUpdate: (@Sendable (Int64) async -> Void)?
    }

    let plan = Mutex(Plan())
    private let inner: InMemoryControlStore

    init(_ inner: InMemoryControlStore) { self.inner = inner }

    private func access<Value>(_ body: () async throws -> Value) async throws -> Value {
        let (access, crash) = plan.withLock { plan in
            plan.accesses += 1
            return (plan.accesses, plan.crash)
        }
        guard let crash, crash.access == access else { return try await body() }
        if crash.happened { _ = try await body() }
        throw Killed()
    }

    func routes() async throws -> [RouteName] { try await access { await inner.routes() } }
    func state(of route: RouteName) async throws -> RouteState? { try await access { await inner.state(of: route) } }
    func update<Result: Sendable>(
        _ route: RouteName,
        _ body: @escaping @Sendable (RouteState) throws -> (effects: [ControlEffect], result: Result)
    ) async throws -> Result {
        let (before, now) = plan.withLock { ($0.beforeUpdate, $0.lookAt) }
        if let now { await before?(now) }
        return try await access { try await inner.update(route, body) }
    }
    func apply(_ route: Route, firstPolicy: RoutingPolicy?, by actor: String, now: Int64) async throws {
        try await access { try await inner.apply(route, firstPolicy: firstPolicy, by: actor, now: now) }
    }
    func delete(_ route: RouteName, by actor: String, now: Int64) async throws {
        try await access { try await inner.delete(route, by: actor, now: now) }
    }
    func policies(of route: RouteName) async throws -> [RoutingPolicy] {
        try await access { await inner.policies(of: route) }
    }
    func policy(_ route: RouteName, version: Int) async throws -> RoutingPolicy? {
        try await access { await inner.policy(route, version: version) }
    }
    func create(_ policy: RoutingPolicy, now: Int64) async throws -> RoutingPolicy {
        try await access { try await inner.create(policy, now: now) }
    }
    func evidence(of rollout: UUIDv7, after cursor: [Int: Int64], limit: Int) async throws -> [EvidencePane] {
        try await access { await inner.evidence(of: rollout, after: cursor, limit: limit) }
    }
    func statistics(route: RouteName, in range: Range<Int64>) async throws -> [TargetStatistics] {
        try await access { await inner.statistics(route: route, in: range) }
    }
    func windows(_ query: WindowQuery) async throws -> [MergedWindow] {
        try await access { await inner.windows(query) }
    }
    func prices() async throws -> PriceBook { try await access { await inner.prices() } }
    func gateways() async throws -> [GatewayStatus] { try await access { await inner.gateways() } }
    func decisions(_ query: PageQuery) async throws -> [Decision] { try await access { await inner.decisions(query) } }
    func decision(_ id: UUIDv7) async throws -> Decision? { try await access { await inner.decision(id) } }
    func rollouts(_ query: PageQuery) async throws -> [Rollout] { try await access { await inner.rollouts(query) } }
    func rollout(_ id: UUIDv7) async throws -> Rollout? { try await access { await inner.rollout(id) } }
    func audit(_ query: PageQuery) async throws -> [AuditEntry] { try await access { await inner.audit(query) } }
    func keep(_ report: RehearsalReport, by actor: String) async throws {
        try await access { try await inner.keep(report, by: actor) }
    }
    func rehearsals(_ query: PageQuery) async throws -> [RehearsalReport] {
        try await access { await inner.rehearsals(query) }
    }
}

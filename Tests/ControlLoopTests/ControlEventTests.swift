import Analysis
import ControlLoop
import Core
import Decisions
import Policy
import Rollouts
import StreamProcessing
import Synchronization
import TestSupport
import Testing

/// What those outside hear of, and what they do not.
struct ControlEventTests {
    /// A world that keeps the effects of its last change.
    private struct Watched {
        var world: World
        private let written = Written()

        private final class Written: Sendable {
            let effects = Mutex<[ControlEffect]>([])
        }

        init(autonomy: Route.Autonomy = .auto) async throws {
            world = try await World(autonomy: autonomy)
            world.driver.observe = { [written] news in
                guard case .wrote(_, let effects) = news else { return }
                written.effects.withLock { $0 = effects }
            }
        }

        /// What a change tells.
        mutating func kinds(_ change: (inout World) async throws -> Void) async throws -> [ControlEvent.Kind] {
            written.effects.withLock { $0 = [] }
            let before = try await world.state()
            try await change(&world)
            return before.events(of: written.effects.withLock { $0 }).map(\.kind)
        }
    }

    @Test func aRolloutTellsEachChangeOfPhaseOnce() async throws {
        var watched = try await Watched()
        var id: UUIDv7?
        #expect(try await watched.kinds { id = try await $0.start() } == [.rolloutStarted])
        let rollout = try #require(id)
        func run(_ command: Command, at now: Int64) async throws -> [ControlEvent.Kind] {
            try await watched.kinds {
                _ = try await $0.driver.handle(command, route: $0.route, by: "ann", now: now, seed: 2)
            }
        }
        // New evidence is saved every second, and is no news.
        let kinds = try await watched.kinds {
            await $0.evidence(rollout, step: 0, number: 1, control: 95, candidate: 5)
            try await $0.driver.tick(now: 10_100, seed: 1)
        }
        #expect(kinds.isEmpty)
        #expect(try await run(.pause(rollout: rollout), at: 10_200) == [.rolloutPaused])
        #expect(try await run(.pause(rollout: rollout), at: 10_300).isEmpty)
        #expect(try await run(.resume(rollout: rollout), at: 10_400) == [.rolloutResumed])
        #expect(try await run(.pause(rollout: rollout), at: 10_500) == [.rolloutPaused])
        #expect(try await run(.skip(rollout: rollout), at: 10_600) == [.rolloutAdvanced])
        #expect(try await run(.promote(rollout: rollout), at: 10_700) == [.rolloutPromoted])
        // What is noted on it afterwards is no news either.
        let over = try #require(await watched.world.store.rollout(rollout))
        #expect(try await watched.world.state().events(of: [.saveRollout(over)]).isEmpty)
    }

    @Test func aRolloutThatFailsOrMakesWayTellsSo() async throws {
        var watched = try await Watched()
        var id: UUIDv7?
        _ = try await watched.kinds { id = try await $0.start() }
        var rollout = try #require(id)
        let superseding = try await watched.kinds {
            let request = RolloutRequest(policy: 2, goal: .neutral, supersedes: true, reason: "again")
            let result = try await $0.driver.handle(
                .startRollout(request), route: $0.route, by: "ann", now: 11_000, seed: 3)
            id = result.rollout
        }
        #expect(superseding == [.rolloutEnded, .rolloutStarted])
        rollout = try #require(id)
        let failing = try await watched.kinds {
            await $0.evidence(rollout, step: 0, number: 1, control: 950, candidate: 50, failures: 40)
            try await $0.driver.tick(now: 12_500, seed: 1)
        }
        #expect(failing == [.rolloutRolledBack])
    }

    @Test func aFindingTellsItsBeginningItsRiseAndItsEnd() async throws {
        let state = try await World().state()
        let finding = Self.finding(.warning)
        func kinds(_ change: FindingBook.Change) -> [ControlEvent.Kind] {
            state.events(of: [.saveFinding(change)]).map(\.kind)
        }
        #expect(kinds(.opened(finding)) == [.findingOpened])
        #expect(kinds(.updated(finding)).isEmpty)
        #expect(kinds(.raised(finding)) == [.findingRaised])
        #expect(kinds(.closed(finding)) == [.findingClosed])
        // One that was critical ends as one that was critical.
        var eased = Self.finding(.critical)
        eased.update(Self.observation(.info), at: 2)
        let closed = try #require(state.events(of: [.saveFinding(.closed(eased))]).first)
        #expect(eased.severity == .info && closed.severity == .critical)
    }

    @Test func aDecisionTellsWhatBecomesOfIt() async throws {
        let state = try await World().state()
        var generator = SplitMix64(seed: 1)
        var decision = try Self.decision(state, &generator)
        func kinds(_ state: RouteState) -> [ControlEvent.Kind] {
            state.events(of: [.saveDecision(decision)]).map(\.kind)
        }
        decision.status = .noted
        #expect(kinds(state).isEmpty)
        decision.status = .proposed
        #expect(kinds(state) == [.decisionProposed])
        var waiting = state
        waiting.proposal = decision
        #expect(kinds(waiting).isEmpty)
        for (status, kind) in [
            (Decision.Status.approved, ControlEvent.Kind.decisionApproved), (.rejected, .decisionRejected),
            (.superseded, .decisionSuperseded),
        ] {
            decision.status = status
            #expect(kinds(waiting) == [kind])
        }
    }

    static func observation(_ severity: Finding.Severity) -> Observation {
        Observation(
            .performance, "performance.errors", .model("openai/gpt-4o"),
            "openai/gpt-4o fails 8.1 % of requests, usually 0.4 %.", severity: severity, confidence: 0.999,
            magnitude: Interval(estimate: 0.081, lower: 0.062, upper: 0.104),
            window: Window(start: 1_763_650_200_000, end: 1_763_650_260_000),
            evidence: ["failures": 49, "requests": 605], objective: .availability,
            action: "Look at the provider's status.")
    }

    static func finding(_ severity: Finding.Severity) -> Finding {
        Finding(
            observation(severity), id: UUIDv7(high: 0x019a_a1bb_a2a2_7e42, low: 0x9758_35de_1c97_56ce),
            route: "support-chat", at: 1_763_650_260_000)
    }

    static func decision(_ state: RouteState, _ generator: inout SplitMix64) throws -> Decision {
        let candidate = Candidate(strategy: "cheaper", modelKey: "sim/cheap", edits: [], forecast: Forecast())
        return Decision(
            id: UUIDv7(milliseconds: 1_763_650_300_000, using: &generator), route: state.route.name,
            at: 1_763_650_300_000, engine: "test", status: .proposed,
            input: DecisionInput(
                now: 1_763_650_300_000, route: state.route, stable: try #require(state.stable), baseline: nil,
                catalog: [], prices: PriceBook(), statistics: [], history: [], settings: DecisionSettings(), seed: 1),
            outcome: DecisionOutcome(
                action: .change(candidate), code: "better",
                rationale: "sim/cheap costs 90 % less than sim/strong at the same quality.", alternatives: []))
    }
}

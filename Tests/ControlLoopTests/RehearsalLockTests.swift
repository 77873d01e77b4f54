import ControlLoop
import Core
import Decisions
import Policy
import Rollouts
import Testing

/// `autonomy: auto` acts by itself only once the route's guardrails have been seen to work.
@Suite struct RehearsalLockTests {
    private func report(_ route: Route, passed: Bool, at: Int64 = 1) -> RehearsalReport {
        var generator = SplitMix64(seed: UInt64(at))
        let scores = RehearsalFault.allCases.map { fault in
            RehearsalScore(fault: fault, outcome: fault == .none ? .unharmed : passed ? .caught : .missed)
        }
        return RehearsalReport(
            id: UUIDv7(milliseconds: at, using: &generator), route: route.name, at: at, engine: "test", seed: 1,
            stable: 1,
            candidate: 2, terms: RehearsalTerms(route), traffic: "made up", scores: scores)
    }

    private func proposals(_ world: World) async -> [Decision] {
        await world.store.decisions(PageQuery(state: "proposed"))
    }

    @Test func autoWaitsForAPersonUntilTheRehearsalHasPassed() async throws {
        var world = try await World(requireRehearsal: true)
        await DecisionLoopTests.traffic(world)
        for second in 10..<13 { try await world.driver.tick(now: Int64(second) * 1_000, seed: 1) }
        let waiting = await proposals(world)
        #expect(waiting.count == 1, "it is asked once")
        #expect(waiting.first?.waitsFor == "Not rehearsed yet: run `trimtab rehearse chat`.")
        #expect(try await world.state().rollout == nil)

        // One that did not pass changes the reason, and nothing else.
        let route = try await world.state().route
        try await world.store.keep(report(route, passed: false, at: 12_500), by: "ann")
        for second in 13..<15 { try await world.driver.tick(now: Int64(second) * 1_000, seed: 1) }
        let again = await proposals(world)
        #expect(again.count == 1 && again.first?.waitsFor?.contains("did not pass") == true)

        try await world.store.keep(report(route, passed: true, at: 15_500), by: "ann")
        try await world.driver.tick(now: 16_000, seed: 1)
        #expect(try await world.state().rollout?.candidate == 3)
        #expect(await proposals(world).isEmpty)
    }

    /// What was tried is not what serves any more.
    @Test func aRehearsalHoldsForItsGuardrailsOnly() async throws {
        var world = try await World(requireRehearsal: true)
        var route = try await world.state().route
        try await world.store.keep(report(route, passed: true), by: "ann")
        #expect(try await world.state().missingRehearsal == nil)
        route.holdout = 0.05
        try await world.store.apply(route, firstPolicy: nil, by: "ann", now: 2)
        #expect(try await world.state().missingRehearsal == nil)
        route.guardrails[.errors] = 0
        try await world.store.apply(route, firstPolicy: nil, by: "ann", now: 3)
        #expect(try await world.state().missingRehearsal?.contains("guardrails have changed") == true)
        await DecisionLoopTests.traffic(world)
        try await world.driver.tick(now: 10_000, seed: 1)
        #expect(try await world.state().rollout == nil)
    }

    @Test func aPersonCanApproveWhatWaits() async throws {
        var world = try await World(requireRehearsal: true)
        await DecisionLoopTests.traffic(world)
        try await world.driver.tick(now: 10_000, seed: 1)
        let id = try #require(await proposals(world).first?.id)
        let result = try await world.driver.handle(
            .approve(decision: id), route: world.route, by: "ann", now: 11_000, seed: 2)
        #expect(try await world.state().rollout?.id == result.rollout)
    }

    /// What can be seen on every route has to be caught; the rest may be unseen, and is named.
    @Test(arguments: [
        (RehearsalFault.priceRise, RehearsalScore.Outcome.unseen, true), (.priceRise, .missed, false),
        (.errorRise, .missed, false), (.rateLimitStorm, .missed, false), (.errorRise, .unseen, false),
        (.none, .falseAlarm, false), (.qualityDrop, .unseen, true),
    ])
    func whatPasses(_ fault: RehearsalFault, _ outcome: RehearsalScore.Outcome, _ passes: Bool) async throws {
        var report = report(try await World().state().route, passed: true)
        #expect(report.passed)
        for index in report.scores.indices where report.scores[index].fault == fault {
            report.scores[index].outcome = outcome
        }
        #expect(report.passed == passes)
        #expect(outcome == .falseAlarm || report.summary.contains("1 \(outcome.rawValue) (\(fault.rawValue))"))
    }
}

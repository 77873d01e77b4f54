import Core
import Policy
import Rollouts
import Statistics
import StreamProcessing
import Telemetry
import TestSupport
import Testing

/// A rollout at 5 % with one guardrail, as the tests need it.
func makeRollout(
    guardrails: Route.Guardrails = .init(only: [.errors: 1]), plan: RolloutPlan = .quick,
    thresholds: FrozenThresholds = .init(
        slowMs: 100, dearNanoUSD: 1000, badBelow: 0.5, badAnswerRate: 0.214, answers: 500),
    now: Int64 = 0
) -> Rollout {
    var generator = SplitMix64(seed: 1)
    return Rollout(
        id: UUIDv7(milliseconds: 1_000, using: &generator), route: RouteName("chat") ?? fatalRoute, stable: 1,
        candidate: 2,
        salt: 7, createdAt: now, createdBy: "test", decision: nil, reason: "", plan: plan,
        evidence: RolloutEvidence(thresholds: thresholds, guardrails: guardrails))
}

/// Never reached: "chat" is a route name.
var fatalRoute: RouteName { RouteName("x").unsafelyUnwrapped }

extension RolloutPlan {
    static var quick: RolloutPlan {
        var plan = RolloutPlan()
        plan.steps = [0.05, 0.25, 1]
        plan.minStepMs = 8_000
        plan.minStepRequests = 50
        plan.objectiveCycleMs = 0
        plan.watchMs = 0
        plan.deadlineMs = 3_600_000
        plan.goal = .neutral
        return plan
    }
}

extension RolloutEvidence {
    mutating func fold(_ trials: [Trial], arm: Arm, step: Int, weight: Double) {
        for trial in trials { fold(trial, arm: arm, step: step, weight: weight) }
    }

    func logE(_ guardrail: Guardrail) -> Double { findings.first { $0.guardrail == guardrail }?.logE ?? .nan }
}

@Suite struct PhaseTests {
    static let events: [RolloutEvent] = [
        .stepPassed, .skip(by: "a"), .pause(by: "a"), .resume, .promote, .end(.aborted(by: "a")),
        .end(.guardrail(.errors)),
    ]

    @Test func stepsLeadToPromotionAndPausesHoldTheStep() {
        var phase = RolloutPhase.progressing(step: 0)
        for event in [RolloutEvent.stepPassed, .pause(by: "ann"), .resume, .stepPassed] {
            phase = phase.successor(on: event, steps: 3) ?? phase
        }
        #expect(phase == .progressing(step: 2))
        #expect(phase.successor(on: .stepPassed, steps: 3) == .promoted)
    }

    /// A failed rollout that later looks good stays failed, whatever comes in whatever order.
    @Test(arguments: 0..<200) func endedAndPromotedAreAbsorbing(seed: Int) {
        var generator = SplitMix64(seed: UInt64(seed))
        var phase = RolloutPhase.progressing(step: 0)
        var final: RolloutPhase?
        for _ in 0..<30 {
            let event = Self.events[Int(generator.next() % UInt64(Self.events.count))]
            if let next = phase.successor(on: event, steps: 4) { phase = next }
            if let final { #expect(phase == final) }
            if !phase.isActive { final = final ?? phase }
        }
    }

    @Test(arguments: [RolloutPhase.progressing(step: 1), .paused(step: 1, by: "ann")])
    func abortWorksInEveryActivePhase(phase: RolloutPhase) {
        #expect(phase.successor(on: .end(.aborted(by: "ann")), steps: 3) == .ended(.aborted(by: "ann")))
    }
}

@Suite struct EvaluationTests {
    @Test func totalFailureNeedsThreeRequests() {
        // So small an alpha that the guardrail alone would need more.
        var guardrails = Route.Guardrails(only: [.errors: 1])
        guardrails.alpha = 1e-6
        var rollout = makeRollout(guardrails: guardrails)
        rollout.evidence.fold(.requests(57), arm: .stable, step: 0, weight: 0.05)
        rollout.evidence.fold(.requests(2, failures: 2), arm: .candidate, step: 0, weight: 0.05)
        #expect(rollout.evaluate(now: 1_000) == .hold("Step 1 has run 1 of 8 s."))
        rollout.evidence.fold(.requests(1, failures: 1), arm: .candidate, step: 0, weight: 0.05)
        #expect(rollout.evaluate(now: 1_000) == .end(.fastLane(failures: 3, of: 3)))
    }

    /// An outage of both arms is not the candidate's fault.
    @Test func fastLaneWaitsWhileTheControlIsIll() {
        var rollout = makeRollout()
        rollout.evidence.fold(.requests(60, failures: 50), arm: .stable, step: 0, weight: 0.05)
        rollout.evidence.fold(.requests(3, failures: 3), arm: .candidate, step: 0, weight: 0.05)
        guard case .hold = rollout.evaluate(now: 1_000) else {
            Issue.record("rolled back for an outage of both arms")
            return
        }
    }

    @Test func aStepNeedsItsTimeAndItsRequests() {
        var rollout = makeRollout()
        rollout.evidence.fold(.requests(950), arm: .stable, step: 0, weight: 0.05)
        rollout.evidence.fold(.requests(49), arm: .candidate, step: 0, weight: 0.05)
        #expect(rollout.evaluate(now: 9_000) == .hold("Step 1 has 49 of 50 candidate requests."))
        rollout.evidence.fold(.requests(1), arm: .candidate, step: 0, weight: 0.05)
        #expect(rollout.evaluate(now: 9_000) == .stepPassed)
        #expect(rollout.evaluate(now: 7_999) == .hold("Step 1 has run 7 of 8 s."))
    }

    @Test func noDataIsItsOwnVerdictAndNeverGood() {
        var rollout = makeRollout()
        #expect(rollout.evaluate(now: 3_600_000) == .end(.noData))
        rollout.evidence.fold(.requests(60), arm: .candidate, step: 0, weight: 0.05)
        #expect(rollout.evaluate(now: 3_600_000) == .end(.inconclusive))
    }

    /// Nothing to compare with is no proof of anything: it holds in every step, and ends as inconclusive.
    @Test func aControlWithoutTrafficHoldsAndPromotesNothing() {
        var plan = RolloutPlan.quick
        plan.watchMs = 10_000
        for step in 0..<3 {
            var rollout = makeRollout(plan: plan)
            for _ in 0..<step { rollout.apply(RolloutEvent.stepPassed, now: 0) }
            rollout.evidence.fold(.requests(1_000), arm: .candidate, step: step, weight: plan.weight(step: step))
            guard case .hold(let reason) = rollout.evaluate(now: 15_000) else {
                Issue.record("went on without a control in step \(step)")
                continue
            }
            #expect(reason.hasPrefix("The candidate got 1.000 of the sessions"))
            #expect(rollout.evaluate(now: plan.deadlineMs) == .end(.inconclusive))
        }
    }

    @Test func guardrailsRunWhilePaused() {
        var rollout = makeRollout()
        rollout.apply(RolloutEvent.pause(by: "ann"), now: 0)
        rollout.evidence.fold(.requests(2_000, failures: 10), arm: .stable, step: 0, weight: 0.05)
        rollout.evidence.fold(.requests(100, failures: 20), arm: .candidate, step: 0, weight: 0.05)
        #expect(rollout.evaluate(now: 1_000) == .end(.guardrail(.errors)))
    }

    @Test func missingQualityHoldsFromAQuarterOn() {
        var rollout = makeRollout(guardrails: .init(only: [.errors: 0.5, .badAnswers: 0.5]))
        rollout.apply(RolloutEvent.stepPassed, now: 0)
        rollout.evidence.fold(.requests(3_000), arm: .stable, step: 1, weight: 0.25)
        rollout.evidence.fold(.requests(1_000), arm: .candidate, step: 1, weight: 0.25)
        #expect(
            rollout.evaluate(now: 10_000)
                == .hold(
                    "Quality feedback for both arms is needed, 200 answers each; an unknown is not treated as good."))
    }

    @Test func promotionNeedsTheGoal() {
        var plan = RolloutPlan.quick
        plan.goal = .cheaper
        var thresholds = FrozenThresholds(
            slowMs: 100, dearNanoUSD: 2000, badBelow: 0.5, badAnswerRate: 0.2, answers: 500)
        thresholds.cost = Moments(n: 100, sum: 105_000, sumOfSquares: 110_333_000)
        var rollout = makeRollout(plan: plan, thresholds: thresholds)
        rollout.apply(RolloutEvent.stepPassed, now: 0)
        // The first costs of a new policy do not count: its cache at the provider is cold.
        let same = (0..<3_000).map { 1_000 + Int64($0 % 100) }
        rollout.evidence.fold(.requests(1_000, costs: same), arm: .candidate, step: 1, weight: 0.25)
        rollout.evidence.fold(.requests(3_000, costs: same, at: 1_000), arm: .stable, step: 1, weight: 0.25)
        #expect(rollout.evaluate(now: 10_000) == .hold("Not yet shown to be cheaper."))
        let cheap = same.map { $0 / 10 }
        rollout.evidence.fold(.requests(1_000, costs: cheap, at: 4_000), arm: .candidate, step: 1, weight: 0.25)
        rollout.evidence.fold(.requests(3_000, costs: same, at: 5_000), arm: .stable, step: 1, weight: 0.25)
        #expect(rollout.evaluate(now: 10_000) == .promote)
    }

    /// Same panes, any order: same verdict and same e-values.
    @Test(arguments: 0..<20) func evidenceDoesNotDependOnOrder(seed: Int) {
        var generator = SplitMix64(seed: UInt64(seed))
        var parts: [([Trial], Arm)] = (0..<40).map { _ in
            let count = Int64(generator.next() % 50)
            let arm: Arm = generator.next() % 5 == 0 ? .candidate : .stable
            return (.requests(count, failures: Int64(generator.next() % 3)), arm)
        }
        var first = makeRollout(), second = makeRollout()
        for (part, arm) in parts { first.evidence.fold(part, arm: arm, step: 0, weight: 0.05) }
        parts.shuffle(using: &generator)
        for (part, arm) in parts { second.evidence.fold(part, arm: arm, step: 0, weight: 0.05) }
        #expect(first.evidence.findings == second.evidence.findings)
        #expect(first.evidence.steps == second.evidence.steps)
    }
}

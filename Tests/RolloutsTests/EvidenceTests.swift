import Core
import Foundation
import Policy
import Rollouts
import Statistics
import StreamProcessing
import Telemetry
import TestSupport
import Testing

/// What a trial counts for, and what it does not.
@Suite struct EvidenceTests {
    private static let all = Route.Guardrails()

    private static var thresholds: FrozenThresholds {
        var thresholds = FrozenThresholds(
            slowMs: 1_000, dearNanoUSD: 5_000, badBelow: 0.5, badAnswerRate: 0.1, answers: 500)
        (thresholds.medianMs, thresholds.ttftMs) = (400, 300)
        thresholds.cost = Moments(n: 1_000, sum: 2_000_000, sumOfSquares: 5_000_000_000)
        return thresholds
    }

    private func evidence(_ guardrails: Route.Guardrails = all) -> RolloutEvidence {
        RolloutEvidence(thresholds: Self.thresholds, guardrails: guardrails)
    }

    private func request(
        _ marks: Trial.Marks = [], unit: UInt32? = nil, at: Int64 = 0, latencyMs: Float? = nil, ttftMs: Float? = nil,
        cost: Int64? = nil
    ) -> Trial {
        Trial(
            unit: unit, at: at, .request(Trial.Answer(marks, latencyMs: latencyMs, ttftMs: ttftMs, cost: cost)))
    }

    @Test func everyGuardrailHasItsEvents() {
        let cases: [(Guardrail, Trial, Trial)] = [
            (.errors, request(.failed), request()),
            (.timeouts, request([.failed, .timedOut]), request(.failed)),
            (.refusals, request([.refusalChecked, .refused]), request(.refusalChecked)),
            (.schemaFailures, request([.schemaChecked, .malformed]), request(.schemaChecked)),
            (.slow, request(latencyMs: 1_001), request(latencyMs: 1_000)),
            (.slowMedian, request(latencyMs: 401), request(latencyMs: 400)),
            (.slowFirstToken, request(latencyMs: 1, ttftMs: 301), request(latencyMs: 1, ttftMs: 300)),
            (.badAnswers, Trial(at: 0, .quality(0.49)), Trial(at: 0, .quality(0.5))),
        ]
        for (guardrail, event, other) in cases {
            var evidence = evidence()
            evidence.fold(event, arm: .candidate, step: 0, weight: 0.5)
            evidence.fold(other, arm: .candidate, step: 0, weight: 0.5)
            let counts = evidence.totals.candidate.counts[guardrail]
            #expect(counts == (1, 2), "\(guardrail)")
            // Frequent events are compared within blocks that have both arms.
            evidence.fold(other, arm: .stable, step: 0, weight: 0.5)
            evidence.endBlock()
            #expect(evidence.logE(guardrail) != 0, "\(guardrail)")
        }
        // Checks that were not made are not passed.
        var evidence = evidence()
        evidence.fold(request(), arm: .candidate, step: 0, weight: 0.5)
        #expect(evidence.totals.candidate.counts[.refusals].trials == 0)
    }

    /// A few very slow answers end a rollout whose usual answer is faster: nothing averages them away.
    @Test func aSlowTailIsHarmWhateverTheRestDoes() {
        var evidence = evidence()
        for index in 0..<600 {
            let isSlow = index % 10 == 0
            evidence.fold(request(latencyMs: isSlow ? 9_000 : 100), arm: .candidate, step: 0, weight: 0.1)
            for other in 0..<9 {
                evidence.fold(request(latencyMs: other % 2 == 0 ? 300 : 500), arm: .stable, step: 0, weight: 0.1)
            }
            evidence.endBlock()
        }
        #expect(evidence.shownHarm(under: .neutral) == .guardrail(.slow))
        #expect(evidence.logE(.slowMedian) < 0)
        #expect(evidence.totals.candidate.requests == 600)
    }

    @Test func alphaIsSpentOnWhatCanBeTested() {
        let whole = evidence().findings
        #expect(whole.map(\.guardrail) == Guardrail.allCases)
        #expect(abs(whole.reduce(0) { $0 + $1.alpha } - 0.01) < 1e-12)
        let errors = whole.first { $0.guardrail == .errors }
        #expect(errors.map { $0.alpha > 0.0039 } == true)
        let unknown = RolloutEvidence(
            thresholds: .init(slowMs: nil, dearNanoUSD: nil, badBelow: 0.5, badAnswerRate: nil, answers: 0),
            guardrails: Self.all)
        #expect(
            unknown.findings.map(\.guardrail) == [.errors, .badAnswers, .cost, .timeouts, .refusals, .schemaFailures])
        #expect(abs(unknown.findings.reduce(0) { $0 + $1.alpha } - 0.01) < 1e-12)
    }

    /// One user whose every request fails is one failure.
    @Test func aUnitFailsOnce() {
        var evidence = evidence(.init(only: [.errors: 1]))
        for index in 0..<1_000 as Range<Int64> {
            evidence.fold(request(.failed, unit: 7, at: index), arm: .candidate, step: 0, weight: 0.1)
        }
        let once = evidence.logE(.errors)
        #expect(once < log(20.0))
        #expect(evidence.totals.candidate.failures == 1_000)
        #expect(evidence.totals.candidate.units == 1)
        for unit in 0..<20 as Range<UInt32> {
            evidence.fold(request(.failed, unit: unit, at: 0), arm: .candidate, step: 0, weight: 0.1)
        }
        #expect(evidence.logE(.errors) > log(1_000_000.0))
    }

    /// Where every other answer is an event, the first one of nearly every unit is: only outcomes tell the arms apart.
    @Test func ofFrequentEventsTheFirstOutcomeOfAUnitCounts() {
        var evidence = evidence(.init(only: [.slowMedian: 1]))
        for unit in 0..<400 as Range<UInt32> {
            let isCandidate = unit % 10 == 0
            for turn in 0..<5 as Range<UInt32> {
                let isSlow = isCandidate ? (unit / 10 + turn) % 20 != 0 : (unit + turn) % 2 == 0
                evidence.fold(
                    request(unit: unit, at: Int64(unit), latencyMs: isSlow ? 500 : 300),
                    arm: isCandidate ? .candidate : .stable, step: 0, weight: 0.1)
            }
            if unit % 20 == 19 { evidence.endBlock() }
        }
        // Forty outcomes of the candidate, 38 of them slow, beside 360 of which 160 are.
        #expect(evidence.shownHarm(under: .neutral) == .guardrail(.slowMedian))
        let ratio = evidence.guardrails[0].riskRatio
        #expect(abs((ratio.estimate ?? 0) - 9 * 38 / 160) < 1e-6 && ratio.lowerBound < 2)
        #expect(evidence.totals.candidate.counts[.slowMedian].trials == 200)
    }

    @Test func unitMemoryIsBoundedAndReadsBack() throws {
        var evidence = evidence(.init(only: [.errors: 1]))
        for unit in 0..<50_000 as Range<UInt32> {
            evidence.fold(request(.failed, unit: unit &* 2_654_435_761), arm: .candidate, step: 0, weight: 0.5)
        }
        let bytes = try JSONEncoder().encode(evidence)
        #expect(bytes.count < 200_000)
        let again = try JSONDecoder().decode(RolloutEvidence.self, from: bytes)
        #expect(again == evidence)
    }

    /// A new prompt begins with a cold cache at the provider: its first answers cost more, and that is no fault.
    @Test func costsCountOnceTheCacheIsWarm() {
        var evidence = evidence(.init(only: [.cost: 0.5, .dear: 0.5]))
        for index in 0..<RolloutEvidence.coldRequests {
            evidence.fold(request(at: index, cost: 90_000), arm: .candidate, step: 0, weight: 0.5)
            evidence.fold(request(at: index, cost: 2_000), arm: .stable, step: 0, weight: 0.5)
        }
        #expect(evidence.logE(.dear) < 1 && evidence.logE(.cost) == 0)
        #expect(evidence.totals.candidate.cost.n == RolloutEvidence.coldRequests)
        for index in 0..<400 as Range<Int64> {
            evidence.fold(request(at: 1_000 + index, cost: 4_000 + index), arm: .candidate, step: 0, weight: 0.5)
            evidence.fold(request(at: 1_000 + index, cost: 2_000 + index), arm: .stable, step: 0, weight: 0.5)
        }
        #expect(evidence.logE(.cost) > log(1_000.0))
        // Time warms it, too.
        var slow = self.evidence(.init(only: [.dear: 1]))
        slow.fold(request(at: 0, cost: 90_000), arm: .candidate, step: 0, weight: 0.5)
        #expect(slow.totals.candidate.counts[.dear].trials == 0)
        slow.fold(request(at: RolloutEvidence.coldMs, cost: 90_000), arm: .candidate, step: 0, weight: 0.5)
        #expect(slow.totals.candidate.counts[.dear].trials == 1)
    }

    /// Where both arms draw on one limit, a 429 tells of the load of both; where they do not, of the candidate.
    @Test func aNeighboursLoadIsKeptApart() {
        for shared in [true, false] {
            var evidence = evidence(.init(only: [.errors: 1]))
            evidence.sharesQuota = shared
            for index in 0..<50 as Range<Int64> {
                evidence.fold(request([.failed, .overQuota], at: index), arm: .candidate, step: 0, weight: 0.1)
            }
            #expect((evidence.logE(.errors) > log(1_000.0)) == !shared)
            #expect(evidence.totals.candidate.contended == (shared ? 50 : 0))
            #expect(evidence.totals.candidate.failures == 50)
        }
    }

    @Test func aRunawayCandidateIsStoppedByItsSpend() {
        var thresholds = Self.thresholds
        thresholds.budgetPerMinute = 1e9
        var rollout = makeRollout(guardrails: .init(only: [.errors: 1]), thresholds: thresholds)
        rollout.evidence.fold(request(at: 60_000, cost: 2_900_000_000), arm: .candidate, step: 0, weight: 0.05)
        rollout.evidence.fold(request(at: 120_000, cost: 200_000_000), arm: .candidate, step: 0, weight: 0.05)
        guard case .hold = rollout.evaluate(now: 1_000) else {
            Issue.record("two minutes were taken for one")
            return
        }
        rollout.evidence.fold(request(at: 121_000, cost: 2_900_000_000), arm: .candidate, step: 0, weight: 0.05)
        #expect(rollout.evaluate(now: 1_000) == .end(.overspent(usd: 3.1, budgetUSD: 1)))
        #expect(rollout.phase.isActive)
        let ended = rollout.apply(rollout.evaluate(now: 1_000), now: 1_000)
        #expect(ended && rollout.phase.name == "rolled_back")
    }

    @Test func anUnevenSplitHoldsAndNeverRollsBack() {
        var rollout = makeRollout()
        rollout.evidence.fold(.requests(1_000), arm: .stable, step: 0, weight: 0.05)
        rollout.evidence.fold(.requests(150), arm: .candidate, step: 0, weight: 0.05)
        guard case .hold(let reason) = rollout.evaluate(now: 9_000) else {
            Issue.record("went on with a split that nobody asked for")
            return
        }
        #expect(reason.contains("0.130") && reason.contains("0.050 was meant"))
        // The rest comes late, and it goes on.
        rollout.evidence.fold(.requests(1_850), arm: .stable, step: 0, weight: 0.05)
        #expect(rollout.evaluate(now: 10_000) == .stepPassed)
    }

    @Test func aHandfulOfUsersIsNoSample() {
        var rollout = makeRollout()
        for index in 0..<1_000 as Range<Int64> {
            let unit = UInt32(index % 20)
            rollout.evidence.fold(
                request(unit: unit, at: index), arm: unit == 0 ? .candidate : .stable, step: 0, weight: 0.05)
        }
        guard case .hold(let reason) = rollout.evaluate(now: 9_000) else {
            Issue.record("judged by 20 units")
            return
        }
        #expect(reason.hasPrefix("Only 20 sessions, keys or users so far") && reason.contains("`sticky: request`"))
    }

    /// A fix must not wait for what it mends.
    @Test func aBrokenControlDoesNotHoldItsMending() {
        var plan = RolloutPlan.quick
        plan.goal = .cheaper
        for sound in [true, false] {
            var rollout = makeRollout(guardrails: .init(only: [.errors: 0.5, .badAnswers: 0.5]), plan: plan)
            rollout.apply(RolloutEvent.stepPassed, now: 0)
            rollout.evidence.fold(.requests(300, failures: 280), arm: .stable, step: 1, weight: 0.25)
            rollout.evidence.fold(.requests(100, failures: sound ? 2 : 60), arm: .candidate, step: 1, weight: 0.25)
            let verdict = rollout.evaluate(now: 10_000)
            #expect((verdict == .promote) == sound, "\(verdict)")
        }
    }

    /// Who asked for better answers is told that they cost more, and decides.
    @Test func aHigherPriceOfABetterModelIsATrade() {
        for goal in [RolloutPlan.Goal.better, .neutral] {
            var plan = RolloutPlan.quick
            plan.goal = goal
            var rollout = makeRollout(guardrails: .init(only: [.cost: 1]), plan: plan, thresholds: Self.thresholds)
            rollout.apply(RolloutEvent.stepPassed, now: 0)
            for index in 0..<4_000 as Range<Int64> {
                let isCandidate = index % 4 == 0
                let (arm, cost): (Arm, Int64) = isCandidate ? (.candidate, 4_000) : (.stable, 2_000)
                rollout.evidence.fold(request(at: index, cost: cost + index % 7), arm: arm, step: 1, weight: 0.25)
            }
            let verdict = rollout.evaluate(now: 10_000)
            if goal == .neutral {
                #expect(verdict == .end(.guardrail(.cost)))
            } else {
                #expect(
                    verdict
                        == .hold(
                            "A trade: mean cost of a request went up. A person promotes it, or waives the guardrail."))
            }
        }
    }

    /// What an earlier release stored is read: its counts, and tests that begin anew.
    @Test func earlierEvidenceIsRead() throws {
        let stored = """
            {"thresholds":{"slow_ms":820,"bad_below":0.5,"answers":9},"cursor":{"0":17},
             "first_requests":{"requests":20,"failures":1},
             "steps":[{"step":0,"weight":0.05,
              "control":{"requests":90,"failures":1,"timed":89,"slow":4,"dear":0,"bad":2,
               "cost":{"n":0,"sum":0,"sum_of_squares":0},"quality":{"n":0,"sum":0,"sum_of_squares":0}},
              "candidate":{"requests":5,"failures":0,"timed":5,"slow":0,"dear":0,"bad":0,
               "cost":{"n":0,"sum":0,"sum_of_squares":0},"quality":{"n":0,"sum":0,"sum_of_squares":0}}}],
             "guardrails":[{"guardrail":"errors","alpha":0.004,"log_e":[1,1,1,1,1,1,1]}]}
            """
        let evidence = try JSONDecoder().decode(RolloutEvidence.self, from: Data(stored.utf8))
        #expect(evidence.totals.control.requests == 90 && evidence.cursor == [0: 17])
        #expect(evidence.logE(.errors) == 0 && evidence.findings.first?.alpha == 0.004)
    }
}

import Core
import Policy
import Rollouts
import StreamProcessing
import Telemetry
import TestSupport
import Testing

/// 2026-11-20 was a Friday.
private let friday: Int64 = 1_795_132_800_000
private let hour: Int64 = 3_600_000

@Suite struct FreezeTests {
    @Test(arguments: [
        ("Fri 16:00 - Mon 08:00", friday + 15 * hour, false), ("Fri 16:00 - Mon 08:00", friday + 16 * hour, true),
        ("Fri 16:00 - Mon 08:00", friday + 48 * hour, true), ("Fri 16:00 - Mon 08:00", friday + 80 * hour, false),
        ("Fri 09:30 - Fri 10:00", friday + 9 * hour + hour / 2, true),
        ("Fri 09:30 - Fri 10:00", friday + 10 * hour, false), ("Thu 00:00 - Thu 01:00", 0, true),
        ("Wed 23:00 - Thu 00:00", -1, true),
    ])
    func aWindowHoldsInItsSpanOfEveryWeek(text: String, now: Int64, holds: Bool) throws {
        let window = try #require(FreezeWindow(text))
        #expect(window.contains(now) == holds)
        #expect(window.contains(now + 7 * 24 * hour) == holds)
        #expect(window.description == text)
    }

    @Test(arguments: [
        "", "Fri", "Fri 16:00", "Fri 16:00 - ", "Fri 24:00 - Mon 08:00", "Fri 16:60 - Mon 08:00",
        "fri 16:00 - Mon 8:00",
        "Fri 16:00 - Fri 16:00", "Fri 16:00 - Mon 08:00 - Tue 09:00", "Fri 4pm - Mon 08:00",
    ])
    func otherTextsAreRefused(text: String) { #expect(FreezeWindow(text) == nil) }

    @Test func aFreezeHoldsStepsAndNotGuardrails() throws {
        var plan = RolloutPlan.quick
        plan.freeze = [try #require(FreezeWindow("Fri 00:00 - Sat 00:00"))]
        var rollout = makeRollout(plan: plan, now: friday)
        rollout.evidence.fold(.requests(950), arm: .stable, step: 0, weight: 0.05)
        rollout.evidence.fold(.requests(60), arm: .candidate, step: 0, weight: 0.05)
        #expect(rollout.evaluate(now: friday + 9_000) == .hold("Frozen: Fri 00:00 - Sat 00:00 UTC."))
        rollout.evidence.fold(.requests(60, failures: 50), arm: .candidate, step: 0, weight: 0.05)
        #expect(rollout.evaluate(now: friday + 10_000) == .end(.guardrail(.errors)))
    }
}

@Suite struct WatchTests {
    /// A rollout at its watch: 100 % but for the control.
    private func watched(_ plan: RolloutPlan) -> Rollout {
        var rollout = makeRollout(plan: plan)
        while let step = rollout.phase.step, !plan.isWatch(step) { rollout.apply(RolloutEvent.stepPassed, now: 1_000) }
        return rollout
    }

    private var plan: RolloutPlan {
        var plan = RolloutPlan.quick
        plan.watchMs = 60_000
        return plan
    }

    @Test func aWatchKeepsAControlAndPromotesAtItsEnd() {
        var rollout = watched(plan)
        #expect(rollout.weight == 0.95)
        rollout.evidence.fold(.requests(500), arm: .stable, step: 2, weight: 0.95)
        rollout.evidence.fold(.requests(9_500), arm: .candidate, step: 2, weight: 0.95)
        #expect(rollout.evaluate(now: 60_999) == .hold("Step 3 has run 59 of 60 s."))
        #expect(rollout.evaluate(now: 61_000) == .promote)
    }

    @Test func aRegressionDuringTheWatchGoesBackInOneStep() {
        var rollout = watched(plan)
        rollout.evidence.fold(.requests(500, failures: 1), arm: .stable, step: 2, weight: 0.95)
        rollout.evidence.fold(.requests(9_500, failures: 2_000), arm: .candidate, step: 2, weight: 0.95)
        let verdict = rollout.evaluate(now: 5_000)
        #expect(verdict == .end(.guardrail(.errors)))
        let applied = rollout.apply(verdict, now: 5_000)
        #expect(applied)
        #expect(rollout.weight == 0)
    }

    @Test func aWatchWithoutTrafficEndsAsNoData() {
        let rollout = watched(plan)
        guard case .hold = rollout.evaluate(now: 120_000) else {
            Issue.record("promoted without a request")
            return
        }
        #expect(rollout.evaluate(now: 121_000) == .end(.noData))
    }

    @Test func allAtOnceIsAWatchFromTheStart() {
        let plan = plan.of(.blueGreen)
        #expect(plan.kind == .blueGreen && plan.weight(step: 0) == 0.95)
        var rollout = makeRollout(plan: plan)
        rollout.evidence.fold(.requests(500), arm: .stable, step: 0, weight: 0.95)
        rollout.evidence.fold(.requests(9_500), arm: .candidate, step: 0, weight: 0.95)
        guard case .hold = rollout.evaluate(now: 59_000) else {
            Issue.record("promoted before the watch was over")
            return
        }
        #expect(rollout.evaluate(now: 60_000) == .promote)
    }
}

@Suite struct AcknowledgementTests {
    private func ended(at now: Int64) -> Rollout {
        var rollout = makeRollout()
        rollout.apply(RolloutEvent.end(.aborted(by: "ann")), now: now)
        return rollout
    }

    @Test func theLastGatewayDecidesHowLongARollbackTook() {
        let rollout = ended(at: 100_000)
        var reports = [
            GatewayStatus(id: "a", epoch: 7, epochAt: 100_040, seenAt: 100_040),
            GatewayStatus(id: "b", epoch: 6, epochAt: 90_000, seenAt: 99_900),
        ]
        #expect(rollout.acknowledged(by: reports, epoch: 7, leaseMs: 30_000, now: 100_300) == nil)
        reports[1] = GatewayStatus(id: "b", epoch: 7, epochAt: 100_250, seenAt: 100_250)
        #expect(
            rollout.acknowledged(by: reports, epoch: 7, leaseMs: 30_000, now: 100_300)
                == Acknowledgement(ms: 250, gateways: 2))
    }

    /// A gateway that never acknowledges serves stable once its lease has run out, and is named.
    @Test func aGatewayThatNeverAcknowledgesIsNamedWhenItsLeaseIsOver() {
        let rollout = ended(at: 100_000)
        let reports = [
            GatewayStatus(id: "a", epoch: 7, epochAt: 100_040, seenAt: 100_040),
            GatewayStatus(id: "cut-off", epoch: 6, epochAt: 90_000, seenAt: 99_000),
            GatewayStatus(id: "long-gone", epoch: 2, epochAt: 1_000, seenAt: 50_000),
        ]
        #expect(rollout.acknowledged(by: reports, epoch: 7, leaseMs: 30_000, now: 130_000) == nil)
        let late = rollout.acknowledged(by: reports, epoch: 7, leaseMs: 30_000, now: 130_001)
        #expect(late == Acknowledgement(ms: 40, gateways: 2, missing: ["cut-off"]))
    }

    /// Until a gateway has spoken by the new time, what it said by the old one must not pass for long ago.
    @Test func aClockThatWasSetBackMakesNoGatewayOld() {
        let rollout = ended(at: 100_000)
        let reports = [GatewayStatus(id: "a", epoch: 6, epochAt: 20_000, seenAt: 40_000)]
        #expect(rollout.acknowledged(by: reports, epoch: 7, leaseMs: 30_000, now: 40_100) == nil)
    }
}

import Policy
import Rollouts
import Statistics
import StreamProcessing
import Telemetry
import TestSupport
import Testing

/// A person's word for one guardrail, for a while.
@Suite struct WaiverTests {
    private func waiver(_ guardrail: Guardrail, from: Int64 = 0, until: Int64) -> Waiver {
        Waiver(guardrail: guardrail, from: from, until: until, by: "ann", reason: "known, ticket 7")
    }

    /// A candidate that fails often, and its healthy control.
    private func failing(_ guardrails: Route.Guardrails = .init(only: [.errors: 1])) -> Rollout {
        var rollout = makeRollout(guardrails: guardrails)
        rollout.evidence.fold(.requests(950), arm: .stable, step: 0, weight: 0.05)
        rollout.evidence.fold(.requests(40), arm: .candidate, step: 0, weight: 0.05)
        rollout.evidence.fold(.requests(20, failures: 20), arm: .candidate, step: 0, weight: 0.05)
        return rollout
    }

    @Test func itHoldsBackOneGuardrailUntilItHasRunOut() {
        var rollout = failing()
        #expect(rollout.evaluate(now: 9_000) == .end(.guardrail(.errors)))
        rollout.waive(waiver(.errors, from: 9_000, until: 60_000), now: 9_000)
        #expect(rollout.evaluate(now: 9_000) == .stepPassed)
        #expect(rollout.evaluate(now: 59_999) == .stepPassed)
        #expect(rollout.evaluate(now: 60_000) == .end(.guardrail(.errors)))
        #expect(rollout.timeline.last?.event == "waived")
        #expect(rollout.timeline.last?.detail == "errors for 51 s, by ann: known, ticket 7")
    }

    /// A clock that is set back does not bring one to life before it was given.
    @Test func itDoesNotActBeforeItWasGiven() {
        var rollout = failing()
        rollout.waive(waiver(.errors, from: 9_000, until: 60_000), now: 9_000)
        #expect(rollout.evaluate(now: 8_999) == .end(.guardrail(.errors)))
    }

    @Test func theOthersGoOn() {
        var rollout = failing(.init(only: [.errors: 1, .timeouts: 1]))
        rollout.waive(waiver(.timeouts, until: 60_000), now: 0)
        #expect(rollout.evaluate(now: 9_000) == .end(.guardrail(.errors)))
    }

    @Test func whatNeedsNoStatisticsIsNotWaived() {
        var rollout = makeRollout()
        rollout.waive(waiver(.errors, until: 60_000), now: 0)
        rollout.evidence.fold(.requests(100), arm: .stable, step: 0, weight: 0.05)
        rollout.evidence.fold(.requests(3, failures: 3), arm: .candidate, step: 0, weight: 0.05)
        #expect(rollout.evaluate(now: 1_000) == .end(.fastLane(failures: 3, of: 3)))
    }

    /// Its margin stands back as well: failures need not be shown to be no worse.
    @Test func itsMarginStandsBackToo() {
        var rollout = makeRollout()
        rollout.apply(RolloutEvent.stepPassed, now: 0)
        rollout.evidence.fold(.requests(900, failures: 9), arm: .stable, step: 1, weight: 0.25)
        rollout.evidence.fold(.requests(294), arm: .candidate, step: 1, weight: 0.25)
        rollout.evidence.fold(.requests(6, failures: 6), arm: .candidate, step: 1, weight: 0.25)
        guard case .hold(let reason) = rollout.evaluate(now: 9_000) else {
            Issue.record("a step passed without proof")
            return
        }
        #expect(reason.hasPrefix("Failures are not yet shown"))
        rollout.waive(waiver(.errors, from: 9_000, until: 60_000), now: 9_000)
        #expect(rollout.evaluate(now: 9_000) == .promote)
    }

    @Test func aNewOneTakesThePlaceAndOneOfNoLengthEndsIt() {
        var rollout = failing()
        rollout.waive(waiver(.errors, until: 60_000), now: 0)
        rollout.waive(waiver(.errors, until: 90_000), now: 0)
        #expect(rollout.waivers?.count == 1 && rollout.waived(at: 70_000) == [.errors])
        rollout.waive(waiver(.errors, from: 1_000, until: 1_000), now: 1_000)
        #expect(rollout.waived(at: 1_000).isEmpty)
        let again = rollout.waive(waiver(.errors, from: 1_000, until: 1_000), now: 1_000)
        #expect(!again)
        #expect(rollout.evaluate(now: 1_000) == .end(.guardrail(.errors)))
    }

    @Test func whatIsOverIsNotWaived() {
        var rollout = failing()
        rollout.apply(RolloutEvent.end(.guardrail(.errors)), now: 1_000)
        let again = rollout.waive(waiver(.errors, from: 1_000, until: 60_000), now: 1_000)
        #expect(!again)
        #expect(rollout.phase == .ended(.guardrail(.errors)))
    }
}

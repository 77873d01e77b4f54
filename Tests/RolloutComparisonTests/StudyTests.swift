import RolloutComparison
import Statistics
import Testing

/// A study gives every rule the same trials and counts what it says.
@Suite struct StudyTests {
    /// Says one thing after a number of canary requests, and nothing before.
    private struct Scripted: RolloutRule {
        var verdict: RuleVerdict
        var after: Int
        var seen = 0

        mutating func observe(_ trial: RolloutTraffic.Trial) -> RuleVerdict {
            seen += trial.isCandidate ? 1 : 0
            return seen >= after ? verdict : .carryOn
        }
    }

    private func scenario(_ effect: CandidateEffect = .init()) -> RolloutScenario {
        var traffic = RolloutTraffic.Settings(steps: [.init(share: 0.5, requests: 1_000)])
        traffic.effect = effect
        return RolloutScenario("small", traffic)
    }

    private func study(runs: Int = 9, _ verdict: RuleVerdict, after: Int = 20) -> RolloutStudy {
        RolloutStudy(
            [.init("scripted", watches: [.errors]) { _ in Scripted(verdict: verdict, after: after) }], runs: runs)
    }

    @Test func rollbackIsWrongOnlyWithoutHarm() async {
        let harmless = await study(.rollBack).run(scenario())[0]
        #expect(harmless.wrong == Proportion(events: 9, trials: 9))
        let harmful = await study(.rollBack).run(scenario(.init(failsAlways: true)))[0]
        #expect(harmful.wrong == Proportion(events: 0, trials: 9))
        #expect(harmful.canaryRequests(quantile: 0.95) == 20)
        #expect((19...20).contains(harmful.extraFailures(quantile: 0.5) ?? 0))
    }

    @Test func promotionOfAHarmIsAMissAndAFalsePromotion() async {
        let result = await study(.promote).run(scenario(.init(errors: 3)))[0]
        #expect(result.wrong.events == 9 && result.falsePromotion.events == 9)
        #expect(result.canaryRequests(quantile: 0.5) == nil)
    }

    @Test func aHoldIsNoRollback() async {
        let result = await study(.hold).run(scenario())[0]
        #expect(result.tally.held == 9 && result.wrong.events == 0)
    }

    @Test func aRuleWithoutAMetricFindsNothing() async {
        let result = await study(.rollBack).run(scenario(.init(qualityLoss: 0.1)))[0]
        #expect(result.isBlind && result.wrong.events == 9)
    }

    @Test func sameSeedSameTable() async {
        let study = RolloutStudy(RolloutStudy.Entry.rivals, runs: 3)
        let first = await study.run(scenario()), second = await study.run(scenario())
        #expect(StudyTable(first).markdown == StudyTable(second).markdown)
        #expect(first.count == RolloutStudy.Entry.rivals.count)
    }
}

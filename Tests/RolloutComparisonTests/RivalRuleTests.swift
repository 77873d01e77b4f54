import RolloutComparison
import Statistics
import Testing

/// The rules behave as measured elsewhere: bands are exact 99.9 % intervals of these runs around the published shares.
@Suite struct RivalRuleTests {
    /// A candidate that is no worse, in traffic of its own.
    private func harmless(
        requests: Int, share: Double, perSecond rate: Double, errors: Double
    ) -> RolloutScenario {
        var traffic = RolloutTraffic.Settings(steps: [.init(share: share, requests: requests)])
        (traffic.ratePerS, traffic.errorRate, traffic.feedbackShare) = (rate, errors, 0)
        return RolloutScenario("anchor", traffic)
    }

    private func rolledBack(
        _ scenario: RolloutScenario, runs: Int, _ make: @escaping @Sendable (RolloutScenario) -> any RolloutRule
    ) async -> Proportion {
        var study = RolloutStudy([.init("rule", watches: [.errors], make)], runs: runs, seed: 11)
        study.historyRequests = 0
        let tally = await study.run(scenario)[0].tally
        return Proportion(events: tally.rolledBack, trials: tally.runs)
    }

    private func agrees(_ found: Proportion, with published: Double) -> Bool {
        found.clopperPearson(confidence: 0.999).contains(published)
    }

    @Test func oneFailedMinuteOfFiveRollsBackMostHealthyChanges() async {
        let traffic = harmless(requests: 4_000, share: 0.1, perSecond: 10, errors: 0.005)
        let found = await rolledBack(traffic, runs: 1_000) { _ in
            FixedThresholdRule([.init(.errorRate, atMost: 0.01)], measurements: 5)
        }
        #expect(agrees(found, with: 0.78), "\(StudyTable.share(found))")
    }

    @Test func fiveFailedMinutesOfTenRollBackAThirdOfHealthyChanges() async {
        let traffic = harmless(requests: 7_000, share: 0.1, perSecond: 10, errors: 0.008)
        let found = await rolledBack(traffic, runs: 1_000) { _ in
            FailedCheckCountRule([.init(.errorRate, atMost: 0.01)], threshold: 5, measurements: 10)
        }
        #expect(agrees(found, with: 0.31), "\(StudyTable.share(found))")
    }

    @Test func ranksOfMinutesNeedEqualVolumes() async {
        @Sendable func rule(_: RolloutScenario) -> any RolloutRule {
            RankComparisonRule([.init(.latency(0.95), direction: .either)])
        }
        let uneven = await rolledBack(
            harmless(requests: 4_400, share: 1 / 6, perSecond: 1.2, errors: 0.01), runs: 400, rule)
        let even = await rolledBack(
            harmless(requests: 7_400, share: 0.5, perSecond: 2, errors: 0.01), runs: 400, rule)
        #expect(agrees(uneven, with: 0.43), "\(StudyTable.share(uneven))")
        #expect((even.rate ?? 1) <= 0.02, "\(StudyTable.share(even))")
    }

    /// The published 2 % and 0 % come back with a control of the canary's own volume; with one of nine times the volume the
    /// rule finds twice the errors in most runs, and five times the errors of a sparse canary in none, still.
    @Test func ranksOfMinutesMissErrorsThatAreFew() async {
        @Sendable func rule(_: RolloutScenario) -> any RolloutRule {
            RankComparisonRule([.init(.errorRate, replacesNoData: true)])
        }
        func found(_ errors: Double, requests: Int, share: Double, perSecond rate: Double) async -> Double {
            var scenario = harmless(requests: requests, share: share, perSecond: rate, errors: 0.01)
            scenario.traffic.effect = .init(errors: errors)
            return await rolledBack(scenario, runs: 200, rule).rate ?? 1
        }
        #expect(await found(2, requests: 7_300, share: 0.5, perSecond: 2) <= 0.1)
        #expect(await found(5, requests: 1_460, share: 0.5, perSecond: 0.4) <= 0.03)
        #expect(await found(5, requests: 7_300, share: 0.1, perSecond: 2) <= 0.03)
        #expect((0.45...0.85).contains(await found(2, requests: 36_500, share: 0.1, perSecond: 10)))
    }

    @Test func aTestRepeatedEveryFiftyRequestsRollsBackHealthyChanges() async {
        let traffic = harmless(requests: 100_000, share: 0.5, perSecond: 28, errors: 0.01)
        let found = await rolledBack(traffic, runs: 400) { _ in RepeatedTestRule([.errors], limit: 2.576) }
        #expect(agrees(found, with: 0.13), "\(StudyTable.share(found))")
    }

    @Test func aTestAtFivePercentRepeatedFourHundredTimesIsWrongHalfTheTime() async {
        let traffic = harmless(requests: 80_000, share: 0.5, perSecond: 28, errors: 0.01)
        let found = await rolledBack(traffic, runs: 300) { _ in
            RepeatedTestRule([.errors], limit: 1.96, isTwoSided: true, every: 200)
        }
        #expect((0.36...0.56).contains(found.rate ?? 0), "\(StudyTable.share(found))")
    }
}

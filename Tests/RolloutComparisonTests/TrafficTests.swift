import Core
import RolloutComparison
import Statistics
import Testing

/// Traffic has the shape it is said to have, and is the same from the same seed.
@Suite struct TrafficTests {
    private func trials(_ settings: RolloutTraffic.Settings, seed: UInt64 = 7) -> [RolloutTraffic.Trial] {
        var traffic = RolloutTraffic(settings, seed: seed)
        var all: [RolloutTraffic.Trial] = []
        while let trial = traffic.next() { all.append(trial) }
        return all
    }

    private func near(_ value: Double?, _ expected: Double, within share: Double) -> Bool {
        value.map { abs($0 - expected) <= share * expected } ?? false
    }

    @Test func sameSeedSameTrials() {
        let a = trials(RolloutScenario.usual), b = trials(RolloutScenario.usual)
        #expect(a.count == 100_000)
        #expect(zip(a, b).allSatisfy { $0.unit == $1.unit && $0.latencyMs == $1.latencyMs && $0.atMs == $1.atMs })
    }

    @Test func latenciesAreLogNormalFarIntoTheTail() throws {
        let logs = trials(RolloutScenario.usual).map { logarithm($0.latencyMs / 1_000) / 0.8 }
        var moments = Moments()
        for value in logs { moments.add(value) }
        #expect(abs(try #require(moments.mean)) < 0.015)
        #expect(near(moments.variance, 1, within: 0.02))
        for z in [-3.6, -2, -1, -0.3, 0, 0.5, 1.5, 2.5, 3, 3.6] {
            let share = Proportion(events: Int64(logs.count { $0 <= z }), trials: Int64(logs.count))
            #expect(share.clopperPearson(confidence: 0.9999).contains(normalCDF(z)), "at \(z)")
        }
    }

    @Test func ratesSharesAndTimesAreAsSet() throws {
        let all = trials(RolloutScenario.usual)
        let canary = all.filter(\.isCandidate), answers = all.filter { $0.failure == nil }
        #expect(near(Double(canary.count), 10_000, within: 0.04))
        #expect(near(Double(all.count - answers.count), 1_000, within: 0.12))
        #expect(near(Double(try #require(all.last).atMs) / 1_000, 100_000 / 28, within: 0.02))
        for kind in RolloutTraffic.Failure.allCases { #expect(all.contains { $0.failure == kind }) }
        let scored = answers.compactMap(\.quality)
        #expect(near(Double(scored.count), 0.2 * Double(answers.count), within: 0.03))
        #expect(near(scored.reduce(0, +) / Double(scored.count), 0.8, within: 0.01))
        #expect(scored.allSatisfy { (0...1).contains($0) })
        #expect(near(quantile(0.5, ofSorted: answers.map(\.costNanoUSD).sorted()), 2_000_000, within: 0.02))
    }

    @Test func anEffectMovesTheCandidateAndNothingElse() throws {
        var settings = RolloutScenario.usual
        settings.steps = [.init(share: 0.5, requests: 100_000)]
        settings.effect = .init(errors: 5, latency: 1.5, cost: 1.2, qualityLoss: 0.08)
        let all = trials(settings)
        func mean(_ arm: Bool, _ value: (RolloutTraffic.Trial) -> Double?) -> Double {
            let values = all.filter { $0.isCandidate == arm }.compactMap(value)
            return values.reduce(0, +) / Double(values.count)
        }
        func ratio(_ value: (RolloutTraffic.Trial) -> Double?) -> Double { mean(true, value) / mean(false, value) }
        #expect(near(ratio { $0.failure == nil ? 0 : 1 }, 5, within: 0.2))
        #expect(near(ratio(\.latencyMs), 1.5, within: 0.03))
        #expect(near(ratio { $0.failure == nil ? $0.costNanoUSD : nil }, 1.2, within: 0.06))
        #expect(near(ratio { $0.failure == nil ? $0.tokens : nil }, 1, within: 0.06))
        #expect(near(ratio(\.quality), 0.9, within: 0.01))
    }

    @Test func driftRaisesBothArmsAlongTheRun() {
        var settings = RolloutScenario.usual
        settings.drift = 0.3
        let all = trials(settings)
        func mean(_ part: ArraySlice<RolloutTraffic.Trial>) -> Double {
            part.reduce(0) { $0 + $1.latencyMs } / Double(part.count)
        }
        #expect(near(mean(all.suffix(20_000)) / mean(all.prefix(20_000)), 1.27 / 1.03, within: 0.04))
    }

    @Test func aLargerShareOnlyAddsKeys() {
        var settings = RolloutScenario.usual
        settings.steps = [0.05, 0.1, 0.25, 0.5].map { .init(share: $0, requests: 20_000) }
        settings.sticky = .init(keys: 200)
        let all = trials(settings)
        var entered: Set<UInt64> = []
        for trial in all {
            if trial.isCandidate { entered.insert(trial.unit) } else { #expect(!entered.contains(trial.unit)) }
        }
        #expect(near(Double(entered.count), 100, within: 0.25))
        // Popularity by rank: of 200 keys the first has a sixth of the traffic.
        let counts = Dictionary(grouping: all, by: \.unit).values.map(\.count).sorted(by: >)
        #expect(near(Double(counts[0]), Double(all.count) / 5.878, within: 0.05))
    }

    @Test func extraFailuresAreThoseTheCandidateCaused() {
        var settings = RolloutScenario.usual
        settings.effect = .init(errors: 2)
        var traffic = RolloutTraffic(settings, seed: 3)
        while traffic.next() != nil {}
        #expect(near(Double(traffic.extraFailures), 100, within: 0.4))
        var harmless = RolloutTraffic(RolloutScenario.usual, seed: 3)
        while harmless.next() != nil {}
        #expect(harmless.extraFailures == 0)
    }

    @Test func historyIsTheControlBeforeTheStart() {
        var traffic = RolloutTraffic(RolloutScenario.usual, seed: 1)
        let history = traffic.history(1_000)
        #expect(history.count == 1_000)
        #expect(history.allSatisfy { !$0.isCandidate && $0.atMs <= 0 })
    }
}

import Core
import Statistics
import Testing

struct SequentialTestTests {
    /// Candidate trials until the evidence reaches 100, looked at after every trial; `nil` if it never does.
    private static func detection(
        _ test: SequentialTest, share: Double, control: Double, candidate: Double, trials: Int, seed: UInt64
    ) -> Int? {
        var random = SplitMix64(seed: seed)
        var logE = SequentialTest.grid.map { _ in 0.0 }
        // The increments of the four kinds of trial, computed once.
        func one(_ ce: Int64, _ cn: Int64, _ e: Int64, _ n: Int64) -> [Double] {
            let counts = TwoArmCounts(
                candidateEvents: ce, candidateNonEvents: cn, controlEvents: e, controlNonEvents: n)
            return test.increments(counts, candidateShare: share)
        }
        let steps = [one(1, 0, 0, 0), one(0, 1, 0, 0), one(0, 0, 1, 0), one(0, 0, 0, 1)]
        let limit = 4.605_170_185_988_091  // ln 100
        var seen = 0
        for _ in 0..<trials {
            let isCandidate = random.unit() < share
            let isEvent = random.unit() < (isCandidate ? candidate : control)
            if isCandidate { seen += 1 }
            let step = steps[(isCandidate ? 0 : 2) + (isEvent ? 0 : 1)]
            var highest = -Double.infinity
            for index in logE.indices {
                logE[index] += step[index]
                highest = max(highest, logE[index])
            }
            if highest >= limit, logMeanExp(logE) >= limit { return seen }
        }
        return nil
    }

    /// Under A/A, checked after every trial, at most alpha (1 %) of the runs may alarm; 2,000 runs leave room for
    /// chance: 33 is beyond the 99.7th percentile of a true 1 %.
    @Test(
        "A harmless candidate is blamed in at most 1 % of runs, looked at every time",
        arguments: [
            (SequentialTest.eventsSplit(tolerance: 1), 0.1, 0.05), (.eventsSplit(tolerance: 1), 0.5, 0.2),
            (.armGivenOutcome(controlRate: 0.2), 0.1, 0.2), (.armGivenOutcome(controlRate: 0.2), 0.5, 0.2),
            // The rate it was told is wrong: power is lost, validity is not.
            (.armGivenOutcome(controlRate: 0.05), 0.1, 0.3), (.armGivenOutcome(controlRate: 0.6), 0.1, 0.3),
        ])
    func falseAlarms(test: SequentialTest, share: Double, rate: Double) {
        let alarms = (0..<2_000).count { seed in
            Self.detection(test, share: share, control: rate, candidate: rate, trials: 2_000, seed: UInt64(seed)) != nil
        }
        #expect(alarms <= 33)
    }

    @Test("A better candidate is blamed even less")
    func betterCandidate() {
        let alarms = (0..<500).count { seed in
            Self.detection(
                .armGivenOutcome(controlRate: 0.3), share: 0.2, control: 0.3, candidate: 0.2, trials: 2_000,
                seed: UInt64(seed)) != nil
        }
        #expect(alarms <= 5)
    }

    @Test("A frequent harm, .214 to .736 of bad answers, shows after about a dozen of the candidate's answers")
    func detectionDelay() throws {
        func median(_ test: SequentialTest) throws -> Int {
            let delays = (0..<400).map {
                Self.detection(test, share: 0.05, control: 0.214, candidate: 0.736, trials: 20_000, seed: UInt64($0))
            }
            let found = delays.compactMap { $0 }.sorted()
            try #require(found.count == delays.count)
            return found[found.count / 2]
        }
        let all = try median(.armGivenOutcome(controlRate: 0.214)), eventsOnly = try median(.eventsSplit(tolerance: 1))
        #expect(all <= 12)
        #expect(all < eventsOnly)
    }

    @Test("Looking at a pane at once gives what looking at each trial gives")
    func additive() {
        let test = SequentialTest.armGivenOutcome(controlRate: 0.2)
        let pane = test.increments(
            .init(candidateEvents: 3, candidateNonEvents: 2, controlEvents: 5, controlNonEvents: 40),
            candidateShare: 0.1)
        let parts = [
            test.increments(.init(candidateEvents: 3, controlEvents: 1), candidateShare: 0.1),
            test.increments(
                .init(candidateEvents: 0, candidateNonEvents: 2, controlEvents: 4, controlNonEvents: 40),
                candidateShare: 0.1),
        ]
        for (index, value) in pane.enumerated() { #expect(abs(value - parts[0][index] - parts[1][index]) < 1e-12) }
        #expect(test.increments(.init(candidateEvents: 9, controlEvents: 9), candidateShare: 1).allSatisfy { $0 == 0 })
    }
}

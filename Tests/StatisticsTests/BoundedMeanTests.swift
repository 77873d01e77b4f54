import Core
import Statistics
import Testing

struct BoundedMeanTests {
    /// Of 400 runs at 5 %, 35 misses are the 99.9th percentile.
    @Test("The interval holds the mean at every look, whatever the values are like", arguments: [0.5, 0.1, 0.02])
    func coverage(mean: Double) {
        var misses = [0, 0]
        for seed in 0..<400 as Range<UInt64> {
            var random = SplitMix64(seed: seed), empirical = BoundedMeanSequence()
            var test = BettingTest(null: mean, tunedFor: 0.05), missed = [false, false]
            for _ in 0..<500 {
                // All or nothing in every second run, spread out in the others.
                let x = seed % 2 == 0 ? (random.unit() < mean ? 1 : 0) : 2 * mean * random.unit()
                empirical.add(x)
                test.add(x)
                missed[0] = missed[0] || !empirical.interval(alpha: 0.05).contains(mean)
                missed[1] = missed[1] || test.logE >= 2.995_732_273_553_991  // ln 20
            }
            for index in 0..<2 where missed[index] { misses[index] += 1 }
        }
        #expect(misses.allSatisfy { $0 <= 35 })
    }

    @Test("Another range only changes the scale")
    func scale() {
        var random = SplitMix64(seed: 5), unit = BoundedMeanSequence(), wide = BoundedMeanSequence(range: -1...1)
        var up = BettingTest(null: 0.5), down = BettingTest(null: 0, below: true, range: -1...1)
        for _ in 0..<300 {
            let x = random.unit()
            unit.add(x)
            wide.add(2 * x - 1)
            up.add(x)
            down.add(1 - 2 * x)
        }
        let a = unit.interval(alpha: 0.05), b = wide.interval(alpha: 0.05)
        #expect(abs(2 * a.lowerBound - 1 - b.lowerBound) < 1e-12 && abs(2 * a.upperBound - 1 - b.upperBound) < 1e-12)
        #expect(abs(up.logE - down.logE) < 1e-9)
        #expect(a.contains(0.5))
    }

    @Test("Nothing seen is the whole range; what is no number leaves no trace; the rest is brought into the range")
    func edges() {
        var sequence = BoundedMeanSequence(), test = BettingTest(null: 0.5)
        for _ in 0..<3 {
            #expect(sequence.interval(alpha: 0.05) == 0...1 && sequence.estimate == nil)
            #expect(test.logE == 0)
            sequence.add(.nan)
            test.add(.nan)
        }
        for _ in 0..<2_000 {
            sequence.add(7)
            test.add(.infinity)
        }
        #expect(sequence.interval(alpha: 0.05).upperBound == 1 && sequence.interval(alpha: 0.05).lowerBound > 0.95)
        #expect(test.logE > 100)
    }

    @Test("The quantile lies between its ranks at every look; few values leave it open")
    func quantileRanks() {
        var misses = 0
        for seed in 0..<300 as Range<UInt64> {
            var random = SplitMix64(seed: seed), below: Int64 = 0, missed = false
            for count in 1...1_000 as ClosedRange<Int64> {
                if random.unit() <= 0.9 { below += 1 }
                let ranks = QuantileSequence(p: 0.9, alpha: 0.05).ranks(count: count)
                missed = missed || !ranks.contains(below)
            }
            if missed { misses += 1 }
        }
        #expect(misses <= 28, "the 99.9th percentile of 5 % of 300")
        #expect(QuantileSequence(p: 0.99, alpha: 0.05).interval(ofSorted: [3, 4]).upperBound == .infinity)
        #expect(QuantileSequence(p: 0.5, alpha: 0.05).interval(ofSorted: []) == -.infinity ... .infinity)
        let values = (1...1_000).map(Double.init)
        let median = QuantileSequence(p: 0.5, alpha: 0.05).interval(ofSorted: values)
        #expect(median.contains(500.5) && median.lowerBound > 430 && median.upperBound < 570)
    }
}

import Core
import Foundation
import Statistics
import Testing

/// Answers to the same request, scored on both sides: tests that hold at every look, whatever the order of the pairs.
struct PairedDifferencesTests {
    /// Scores in 0...1 of both arms on one prompt: what the prompt is like shows in both.
    struct Pairs {
        var random: SplitMix64
        /// Correlation of the two arms' scores.
        var correlation = 0.6
        /// Right or wrong, instead of a score on a scale.
        var isBinary = false

        mutating func next(gain: Double) -> (candidate: Double, control: Double) {
            let prompt = correlation.squareRoot() * random.normal(), own = (1 - correlation).squareRoot()
            func score(_ mean: Double) -> Double {
                let score = mean + 0.25 * (prompt + own * random.normal())
                return isBinary ? (score > 0.5 ? 1 : 0) : min(max(score, 0), 1)
            }
            let control = score(0.5)
            return (score(0.5 + gain), control)
        }
    }

    private func parts(_ score: Double) -> Int { Int((score * Double(PairedDifferences.scale)).rounded()) }

    private func add(_ pair: (candidate: Double, control: Double), to all: inout PairedDifferences) {
        all.add(candidate: parts(pair.candidate), control: parts(pair.control))
    }

    /// Of 400 runs of 2,000 pairs without a difference, looked at every 40th pair.
    @Test("Without a difference an alarm is as rare as promised", arguments: [false, true])
    func falseAlarms(isBinary: Bool) {
        var greatest: [(harm: Double, gain: Double)] = []
        for seed in 0..<400 as Range<UInt64> {
            var pairs = Pairs(random: SplitMix64(seed: seed), isBinary: isBinary), all = PairedDifferences()
            var seen = (harm: 0.0, gain: 0.0)
            for count in 1...2_000 {
                add(pairs.next(gain: 0), to: &all)
                guard count % 40 == 0 else { continue }
                seen = (max(seen.harm, all.logE(below: 0)), max(seen.gain, all.logE(above: 0)))
            }
            greatest.append(seen)
        }
        for alpha in [0.01, 0.05] {
            // Not above alpha, as far as 400 runs can tell.
            for logE in [greatest.map(\.harm), greatest.map(\.gain)] {
                let alarms = Proportion(events: Int64(logE.count { $0 >= -log(alpha) }), trials: 400)
                #expect(alarms.clopperPearson().lowerBound <= alpha)
            }
        }
    }

    /// Pairs until a drop of 0.05 is found at 0.1 %, half of the time.
    private func median(correlation: Double, isPaired: Bool = true) -> (mixture: Int, plugIn: Int) {
        var needed = (mixture: [Int](), plugIn: [Int]())
        let limit = log(1_000.0)
        for seed in 0..<60 as Range<UInt64> {
            var pairs = Pairs(random: SplitMix64(seed: seed), correlation: correlation), all = PairedDifferences()
            var plugIn = BettingTest(null: 0, below: true, range: -1...1, tunedFor: 0.001), found = (0, 0)
            var count = 0
            while count < 6_000, found.0 == 0 || found.1 == 0 {
                count += 1
                let pair = pairs.next(gain: -0.05), other = isPaired ? pair : pairs.next(gain: -0.05)
                add((pair.candidate, other.control), to: &all)
                plugIn.add(pair.candidate - other.control)
                if found.0 == 0, count % 5 == 0, all.logE(below: 0) >= limit { found.0 = count }
                if found.1 == 0, plugIn.logE >= limit { found.1 = count }
            }
            needed.mixture.append(found.0 == 0 ? count : found.0)
            needed.plugIn.append(found.1 == 0 ? count : found.1)
        }
        return (needed.mixture.sorted()[30], needed.plugIn.sorted()[30])
    }

    @Test("A drop is found in fewer pairs than answers to different requests take, and as soon as by bets that adapt")
    func power() {
        let paired = median(correlation: 0.6), unpaired = median(correlation: 0.6, isPaired: false)
        #expect(paired.mixture < 450 && 2 * paired.mixture < unpaired.mixture)
        #expect(paired.mixture <= paired.plugIn)
    }

    @Test("The order of the pairs changes nothing, to the last bit", arguments: 0..<5 as Range<UInt64>)
    func order(seed: UInt64) throws {
        var pairs = Pairs(random: SplitMix64(seed: seed)), random = SplitMix64(seed: seed + 100)
        var all = (0..<500).map { _ in pairs.next(gain: -0.02) }
        var first = PairedDifferences(), second = PairedDifferences()
        for pair in all { add(pair, to: &first) }
        all.shuffle(using: &random)
        for pair in all { add(pair, to: &second) }
        #expect(first == second && first.logE(below: 0) == second.logE(below: 0))
        #expect(first.lowerBound(alpha: 0.05) == second.lowerBound(alpha: 0.05))
        #expect(try JSONDecoder().decode(PairedDifferences.self, from: JSONEncoder().encode(first)) == first)
    }

    /// What is shown and what decides are one statistic.
    @Test("A bound is past a value exactly when the test against it has fired", arguments: [-0.05, 0, 0.02])
    func duality(gain: Double) throws {
        for (seed, alpha) in [(1, 0.05), (2, 0.001)] as [(UInt64, Double)] {
            var pairs = Pairs(random: SplitMix64(seed: seed)), all = PairedDifferences()
            for count in 1...1_500 {
                add(pairs.next(gain: gain), to: &all)
                guard count % 50 == 0 else { continue }
                let (low, high) = (all.lowerBound(alpha: alpha), all.upperBound(alpha: alpha))
                let mean = try #require(all.mean)
                #expect(low < high && (low...high).contains(mean))
                for null in [-0.1, -0.02, 0, 0.01] where abs(low - null) > 1e-5 && abs(high - null) > 1e-5 {
                    #expect((low > null) == (all.logE(above: null) >= -log(alpha)))
                    #expect((high < null) == (all.logE(below: null) >= -log(alpha)))
                }
            }
            #expect((all.lowerBound(alpha: alpha)...all.upperBound(alpha: alpha)).contains(gain))
        }
    }

    @Test("Nothing seen says nothing; scores are brought into their range; the extremes are bounded")
    func edges() {
        var all = PairedDifferences()
        #expect(all.mean == nil && all.logE(below: 0) == 0 && all.logE(above: -0.02) == 0)
        #expect(all.lowerBound(alpha: 0.05) == -1 && all.upperBound(alpha: 0.05) == 1)
        for _ in 0..<100 { all.add(candidate: -5, control: 7_000) }
        #expect(all.mean == -1 && all.logE(below: 0) > 50 && all.logE(above: 0) < -2)
        #expect(all.lowerBound(alpha: 0.05) == -1 && all.upperBound(alpha: 0.05) < -0.8)
        var twins = PairedDifferences()
        for _ in 0..<1_000 { twins.add(candidate: 1_000, control: 1_000) }
        #expect(twins.logE(below: 0) == 0 && twins.logE(above: -0.02) >= -log(0.05))
    }
}

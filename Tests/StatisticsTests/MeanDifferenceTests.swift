import Core
import Foundation
import Statistics
import Testing

/// Costs as they come: log-normal, some of the spread between units, perhaps drifting up along a ramp.
private struct CostStream {
    var spread = 1.2
    /// Sticky units with Zipf traffic; 0 assigns each request anew.
    var units = 0
    /// The candidate's shares, each for the same number of trials.
    var ramp = [0.1]
    var drift = 0.0
    var lift = 1.0
    var trials = 20_000

    static let centre = exp(0.72)
    var cap: Double { exp(spread * 3.090_232_306_167_813) }

    /// Calls `look` after every trial with the evidence so far, until it says to stop.
    func run(seed: UInt64, look: (MeanDifference) -> Bool) {
        var random = SplitMix64(seed: seed)
        var evidence = MeanDifference(centre: exp(spread * spread / 2), cap: cap)
        let between = units > 0 ? 0.5 : 0.0, within = (spread * spread - between * between).squareRoot()
        let levels = (0..<units).map { _ in between * random.normal() }
        var zipf = (0..<units).map { 1 / Double($0 + 1) }
        for index in zipf.indices.dropFirst() { zipf[index] += zipf[index - 1] }
        for trial in 0..<trials {
            let share = ramp[trial * ramp.count / trials]
            var hash = random.next(), level = 0.0
            if units > 0 {
                let at = random.unit() * (zipf.last ?? 1)
                let unit = zipf.partitioningIndex { $0 > at }
                hash = Hash64.hash("unit-\(unit)", salt: seed)
                level = levels[unit]
            }
            let isCandidate = Hash64.unit(hash) < share
            var value = exp(level + within * random.normal()) * (1 + drift * Double(trial) / Double(trials))
            if isCandidate { value *= lift }
            evidence.add(value, isCandidate: isCandidate, share: share, unit: UInt32(truncatingIfNeeded: hash))
            if look(evidence) { return }
        }
    }

    /// In how many of `runs` zero ever left each bound: 5 % two-sided, 1 % below, 1 % above.
    func misses(runs: Int) -> [Int] {
        var misses = [0, 0, 0]
        for seed in 0..<runs {
            var missed = [false, false, false]
            run(seed: UInt64(seed)) { evidence in
                guard let low = evidence.lowerBound(alpha: 0.01), let high = evidence.upperBound(alpha: 0.01),
                    let both = evidence.interval(alpha: 0.05)
                else { return false }
                if !both.contains(0) { missed[0] = true }
                if low > 0 { missed[1] = true }
                if high < 0 { missed[2] = true }
                return false
            }
            for index in 0..<3 where missed[index] { misses[index] += 1 }
        }
        return misses
    }
}

extension Array {
    fileprivate func partitioningIndex(where isSecond: (Element) -> Bool) -> Int {
        var low = 0, high = count
        while low < high {
            let middle = (low + high) / 2
            if isSecond(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return Swift.min(low, count - 1)
    }
}

struct MeanDifferenceTests {
    /// Limits are the 99.9th percentiles of the nominal rates over 200 runs: 21 for 5 %, 8 for 1 %.
    @Test(
        "With no difference the bounds miss no more than they may, looked at after every trial",
        arguments: [
            CostStream(), CostStream(ramp: [0.01, 0.05, 0.1, 0.25, 0.5], drift: 0.3), CostStream(units: 200),
            CostStream(units: 2_000), CostStream(units: 2_000, ramp: [0.01, 0.05, 0.1, 0.25, 0.5], drift: 0.3),
        ])
    private func noDifference(stream: CostStream) {
        let misses = stream.misses(runs: 200)
        #expect(misses[0] <= 21)
        #expect(misses[1] <= 8)
        #expect(misses[2] <= 8)
    }

    @Test("A cost 20 % higher shows after about a thousand of the candidate's requests at 10 %")
    func detection() throws {
        let stream = CostStream(lift: 1.2, trials: 60_000)
        let delays = (0..<200 as Range<UInt64>).map { seed in
            var delay = Int64.max
            stream.run(seed: seed) { evidence in
                guard let low = evidence.lowerBound(alpha: 0.01), low > 0 else { return false }
                delay = evidence.candidate.n
                return true
            }
            return delay
        }.sorted()
        #expect((900...1_200).contains(delays[100]))
    }
}

import Core
import Foundation
import Statistics
import Testing

/// Costs as they come: log-normal, some of the spread between units, perhaps drifting up along a ramp.
struct CostStream {
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
        let hashes = (0..<units).map { Hash64.hash("unit-\($0)", salt: seed) }
        var zipf = (0..<units).map { 1 / Double($0 + 1) }
        for index in zipf.indices.dropFirst() { zipf[index] += zipf[index - 1] }
        for trial in 0..<trials {
            let share = ramp[trial * ramp.count / trials]
            var hash = random.next(), level = 0.0
            if units > 0 {
                let at = random.unit() * (zipf.last ?? 1)
                let unit = zipf.partitioningIndex { $0 > at }
                hash = hashes[unit]
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
                // The narrowest of the three: while it holds, the others do.
                guard let both = evidence.interval(alpha: 0.05), !both.contains(0) else { return false }
                missed[0] = true
                if let low = evidence.lowerBound(alpha: 0.01), low > 0 { missed[1] = true }
                if let high = evidence.upperBound(alpha: 0.01), high < 0 { missed[2] = true }
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
    /// The lower bound, which stops a rollout, keeps its rate: 8 misses are the 99.9th percentile of 1 % of 200. The
    /// upper bound and the interval do not where skewed values meet a small share: over 400 runs the upper bound missed
    /// in 3.8 % (10 % share) and 4.5 % (ramp) at a nominal 1 %, the interval in 6.0 % and 7.8 % at a nominal 5 %.
    @Test(
        "With no difference the lower bound misses no more than it may, looked at after every trial",
        arguments: [
            CostStream(), CostStream(ramp: [0.01, 0.05, 0.1, 0.25, 0.5], drift: 0.3), CostStream(units: 200),
            CostStream(units: 2_000), CostStream(units: 2_000, ramp: [0.01, 0.05, 0.1, 0.25, 0.5], drift: 0.3),
        ])
    func noDifference(stream: CostStream) {
        let misses = stream.misses(runs: 200)
        #expect(misses[1] <= 8)
        withKnownIssue("Skewed values: too narrow upwards", isIntermittent: true) {
            #expect(misses[0] <= 10)
            #expect(misses[2] <= 2)
        }
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

    private struct Trial {
        var value: Double, isCandidate: Bool, share: Double, unit: UInt32
    }

    private static func trials(_ seed: UInt64, _ count: Int = 3_000, isShare: Bool = false) -> [Trial] {
        var random = SplitMix64(seed: seed)
        return (0..<count).map { index in
            let share = [0.1, 0.3, 0.5][index * 3 / count], isCandidate = random.unit() < share
            let value = isShare ? (random.unit() < 0.3 ? 1 : 0) : exp(random.normal()) * (isCandidate ? 1.5 : 1)
            return Trial(value: value, isCandidate: isCandidate, share: share, unit: UInt32(random.next() % 500))
        }
    }

    private static func evidence(
        _ trials: some Sequence<Trial>, centre: Double = 1.6, cap: Double = 30, kind: MeanDifference.Kind = .mean
    ) -> MeanDifference {
        trials.reduce(into: MeanDifference(centre: centre, cap: cap, kind: kind)) {
            $0.add($1.value, isCandidate: $1.isCandidate, share: $1.share, unit: $1.unit)
        }
    }

    private func expectClose(_ a: Double?, _ b: Double?, _ tolerance: Double = 1e-10) {
        guard let a, let b else {
            #expect(a == nil && b == nil)
            return
        }
        #expect(abs(a - b) <= tolerance * max(1, abs(b)))
    }

    @Test(
        "The same trials in any order, and merged in any parts, give the same", arguments: 1...10 as ClosedRange<UInt64>
    )
    func order(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        let trials = Self.trials(seed), whole = Self.evidence(trials)
        let shuffled = Self.evidence(trials.shuffled(using: &random))
        let parts = (0..<5).map { part in
            Self.evidence(trials.enumerated().filter { $0.offset % 5 == part }.map(\.element))
        }
        let merged = parts.shuffled(using: &random).reduce(into: MeanDifference(centre: 1.6, cap: 30)) { $0.merge($1) }
        for other in [shuffled, merged] {
            #expect(other.candidate.n == whole.candidate.n && other.control.n == whole.control.n)
            expectClose(other.estimate, whole.estimate)
            for margin in [MeanDifference.Margin.none, .relative(0.1), .absolute(0.2)] {
                expectClose(
                    other.lowerBound(alpha: 0.01, margin: margin), whole.lowerBound(alpha: 0.01, margin: margin))
                expectClose(
                    other.upperBound(alpha: 0.01, margin: margin), whole.upperBound(alpha: 0.01, margin: margin))
            }
        }
    }

    @Test("A margin relative to the control is the control scaled; an absolute one moves the bounds")
    func margins() throws {
        let trials = Self.trials(3)
        // Scaled before it is added, and centred where that scaled control lies, the same difference is found.
        let scaled = Self.evidence(
            trials.map {
                Trial(
                    value: min($0.value, 30) * ($0.isCandidate ? 1 : 1.2), isCandidate: $0.isCandidate,
                    share: $0.share, unit: $0.unit)
            }, cap: .infinity)
        let plain = Self.evidence(trials)
        let low = try #require(plain.lowerBound(alpha: 0.01, margin: .relative(0.2)))
        let high = try #require(plain.upperBound(alpha: 0.01, margin: .relative(0.2)))
        let direct = try #require(scaled.estimate)
        #expect(low < high)
        #expect(abs((low + high) / 2 - direct) < 0.05 * (high - low), "only the centre's noise lies between")
        let moved = try #require(plain.lowerBound(alpha: 0.01, margin: .absolute(0.25)))
        expectClose(plain.lowerBound(alpha: 0.01), moved + 0.25)
        expectClose(plain.lowerBound(alpha: 0.01, margin: .relative(0)), moved + 0.25)
    }

    @Test("The evidence reaches its limit exactly where the lower bound reaches 0", arguments: [0.01, 0.0008])
    func evidenceIsDualToTheBound(alpha: Double) throws {
        var fired = 0
        for seed in 1...20 as ClosedRange<UInt64> {
            var evidence = MeanDifference(centre: 1.6, cap: 30), random = SplitMix64(seed: seed)
            for index in 0..<4_000 as Range<UInt32> {
                let isCandidate = random.unit() < 0.3
                let value = random.unit() * (isCandidate ? 3.6 : 3.2)
                evidence.add(value, isCandidate: isCandidate, share: 0.3, unit: index)
                guard index % 50 == 0, let low = evidence.lowerBound(alpha: alpha) else { continue }
                #expect((evidence.logE(alpha: alpha) >= -log(alpha)) == (low >= 0))
                fired += low >= 0 ? 1 : 0
            }
        }
        #expect(fired > 100)
        #expect(MeanDifference(centre: 0).logE(alpha: alpha) == 0)
    }

    @Test("Before 200 trials in each arm, or with one unit alone, there are no bounds")
    func tooFew() {
        var evidence = MeanDifference(centre: 0)
        #expect(evidence.estimate == nil)
        for index in 0..<4_000 {
            evidence.add(Double(index % 7), isCandidate: index % 20 == 0, share: 0.05, unit: UInt32(index))
            #expect((evidence.lowerBound(alpha: 0.01) != nil) == (index / 20 + 1 >= 200))
        }
        var alone = MeanDifference(centre: 0)
        for index in 0..<1_000 { alone.add(Double(index % 7), isCandidate: index % 2 == 0, share: 0.5, unit: 9) }
        #expect(alone.isReady && alone.interval(alpha: 0.05) == nil)
    }

    @Test("Values that are no number, and shares that leave no choice, leave no trace")
    func ignored() {
        var evidence = MeanDifference(centre: 1, cap: 5)
        for (value, share) in [(Double.nan, 0.5), (.infinity, 0.5), (1, 0), (1, 1), (1, .nan), (1, -3)] {
            evidence.add(value, isCandidate: true, share: share, unit: 1)
        }
        #expect(evidence == MeanDifference(centre: 1, cap: 5))
        evidence.add(1e9, isCandidate: true, share: 0.5, unit: 1)
        #expect(evidence.candidate.mean == 5, "capped")
        let before = evidence
        let merged = evidence.merge(MeanDifference(centre: 2, cap: 5))
        #expect(!merged && evidence == before)
    }

    @Test("No event yet is no certainty")
    func noEvents() throws {
        var share = MeanDifference(centre: 0, kind: .share), mean = MeanDifference(centre: 0)
        for index in 0..<2_000 {
            share.add(0, isCandidate: index % 2 == 0, share: 0.5, unit: UInt32(index))
            mean.add(0, isCandidate: index % 2 == 0, share: 0.5, unit: UInt32(index))
        }
        let high = try #require(share.upperBound(alpha: 0.01)), low = try #require(share.lowerBound(alpha: 0.01))
        #expect(high > 0.003 && high < 0.02 && low < -0.003)
        #expect(mean.upperBound(alpha: 0.01) == 0, "what values of any size would say")
    }

    @Test("Written and read back it is the same", arguments: [true, false])
    func coding(isCapped: Bool) throws {
        let evidence = Self.evidence(Self.trials(5), cap: isCapped ? 30 : .infinity)
        let data = try JSONEncoder().encode(evidence)
        let restored = try JSONDecoder().decode(MeanDifference.self, from: data)
        #expect(restored == evidence && restored.cap == evidence.cap)
        let text = String(decoding: data, as: UTF8.self)
        let broken = text.replacing(/"bucket_overlap":\[[^\]]*\]/, with: "\"bucket_overlap\":[1,2]")
        #expect(broken != text)
        #expect(throws: DecodingError.self) { try JSONDecoder().decode(MeanDifference.self, from: Data(broken.utf8)) }
    }
}

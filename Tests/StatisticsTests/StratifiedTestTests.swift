import Core
import Foundation
import Statistics
import Testing

struct StratifiedTestTests {
    private static let shares = [0.01, 0.05, 0.1, 0.25, 0.5, 0.9]

    /// Events of both arms at each share, the candidate's `ratio` times as likely.
    private static func strata(_ seed: UInt64, ratio: Double, events: Int = 60) -> [EventSplit.Stratum] {
        var random = SplitMix64(seed: seed)
        return shares.map { share in
            let odds = share * ratio / (1 - share), count = Int(random.next() % UInt64(events))
            let candidate = (0..<count).count { _ in random.unit() < odds / (1 + odds) }
            return .init(share: share, candidateEvents: Int64(candidate), controlEvents: Int64(count - candidate))
        }
    }

    @Test("Counts give what the events give one by one, in any order", arguments: 1...20 as ClosedRange<UInt64>)
    func order(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        let strata = Self.strata(seed, ratio: 1.5), whole = EventSplit(tolerance: 1.1, strata: strata)
        let events = strata.flatMap { stratum in
            (0..<stratum.candidateEvents).map { _ in
                EventSplit.Stratum(share: stratum.share, candidateEvents: 1, controlEvents: 0)
            }
                + (0..<stratum.controlEvents).map { _ in
                    EventSplit.Stratum(share: stratum.share, candidateEvents: 0, controlEvents: 1)
                }
        }
        let shuffled = EventSplit(tolerance: 1.1, strata: events.shuffled(using: &random))
        if !events.isEmpty, shuffled.strata.count == whole.strata.count { #expect(shuffled == whole) }
        #expect(shuffled.logE == whole.logE, "to the last bit")
        let sums = events.reduce(SequentialTest.grid.map { _ in 0.0 }) { sums, event in
            let counts = TwoArmCounts(candidateEvents: event.candidateEvents, controlEvents: event.controlEvents)
            let test = SequentialTest.eventsSplit(tolerance: 1.1)
            return zip(sums, test.increments(counts, candidateShare: event.share)).map(+)
        }
        #expect(abs(logMeanExp(sums) - whole.logE) < 1e-9 * max(1, abs(whole.logE)))
        #expect(EventSplit(strata: strata).logE(tolerance: 1.1) == whole.logE)
    }

    @Test("The lower bound is above the tolerance exactly where the test has fired", arguments: [0.5, 1, 2, 4])
    func dual(ratio: Double) {
        for seed in 0..<100 as Range<UInt64> {
            let split = EventSplit(strata: Self.strata(seed, ratio: ratio))
            for alpha in [0.01, 0.05] {
                let interval = split.riskRatio(alpha: alpha)
                for tolerance in [0.8, 1, 1.1, 1.2, 2] {
                    #expect((interval.lowerBound > tolerance) == (split.logE(tolerance: tolerance) >= -log(alpha)))
                }
                #expect(interval.lowerBound < interval.upperBound)
                if let estimate = interval.estimate {
                    #expect(estimate >= interval.lowerBound && estimate <= interval.upperBound)
                }
            }
        }
    }

    /// Of 300 runs at 5 % on each side, 28 misses are the 99.9th percentile.
    @Test("The interval holds the ratio at every look", arguments: [0.7, 1, 3])
    func coverage(ratio: Double) {
        let alpha = 0.05
        var low = 0, high = 0
        for seed in 0..<300 as Range<UInt64> {
            var random = SplitMix64(seed: seed)
            var split = EventSplit(tolerance: ratio), mirror = EventSplit(tolerance: 1 / ratio)
            var missed = (low: false, high: false)
            for step in 0..<300 {
                let share = Self.shares[step / 50], odds = share * ratio / (1 - share)
                let mine: Int64 = random.unit() < odds / (1 + odds) ? 1 : 0
                split.add(.init(share: share, candidateEvents: mine, controlEvents: 1 - mine))
                mirror.add(.init(share: 1 - share, candidateEvents: 1 - mine, controlEvents: mine))
                missed.low = missed.low || split.logE >= -log(alpha)
                missed.high = missed.high || mirror.logE >= -log(alpha)
            }
            // The bounds themselves, at the last look.
            let interval = split.riskRatio(alpha: alpha)
            #expect((interval.lowerBound > ratio) == (split.logE >= -log(alpha)))
            #expect((interval.upperBound < ratio) == (mirror.logE >= -log(alpha)))
            if missed.low { low += 1 }
            if missed.high { high += 1 }
        }
        #expect(low <= 28 && high <= 28)
    }

    @Test("The estimate is the ratio of rates where one share was in force; nothing seen bounds nothing")
    func estimate() throws {
        let split = EventSplit(strata: [.init(share: 0.2, candidateEvents: 30, controlEvents: 60)])
        #expect(abs(try #require(split.riskRatio(alpha: 0.05).estimate) - 2) < 1e-9)
        let nothing = EventSplit().riskRatio(alpha: 0.05)
        #expect(nothing.estimate == nil && nothing.lowerBound == 0 && nothing.upperBound == .infinity)
        #expect(EventSplit().logE == 0)
        let candidateOnly = EventSplit(strata: [.init(share: 0.2, candidateEvents: 9, controlEvents: 0)])
        let one = candidateOnly.riskRatio(alpha: 0.05)
        #expect(one.estimate == .infinity && one.lowerBound > 1 && one.upperBound == .infinity)
        let controlOnly = EventSplit(strata: [.init(share: 0.2, candidateEvents: 0, controlEvents: 90)])
        let other = controlOnly.riskRatio(alpha: 0.05, upperAlpha: 0.01)
        #expect(other.estimate == 0 && other.lowerBound == 0 && other.upperBound < 1)
        #expect(other.upperBound > controlOnly.riskRatio(alpha: 0.05).upperBound)
    }

    @Test("Shares that leave no choice and negative counts are ignored")
    func ignored() {
        let bad: [EventSplit.Stratum] = [(0, 1, 1), (1, 1, 1), (.nan, 1, 1), (0.5, -1, 1), (0.5, 1, -1)].map {
            .init(share: $0.0, candidateEvents: $0.1, controlEvents: $0.2)
        }
        #expect(EventSplit(strata: bad) == EventSplit())
    }

    /// - Parameter delay: how many trials later those of the candidate are seen.
    private static func outcomes(_ rates: (candidate: Double, control: Double), delay: Int, seed: UInt64)
        -> OutcomeTest
    {
        var random = SplitMix64(seed: seed), test = OutcomeTest(controlRate: 0.2), late: [(at: Int, isEvent: Bool)] = []
        for at in 0..<20_000 {
            let isCandidate = random.unit() < 0.3
            let isEvent = random.unit() < (isCandidate ? rates.candidate : rates.control)
            if isCandidate {
                late.append((at + delay, isEvent))
            } else {
                test.add(isEvent: isEvent, isCandidate: false)
            }
            while let first = late.first, first.at <= at {
                test.add(isEvent: late.removeFirst().isEvent, isCandidate: true)
            }
            test.endBlock()
            if test.logE >= log(1_000.0) { break }
        }
        return test
    }

    @Test("Answers that come late, and records that are missing, are no evidence of harm")
    func lateness() {
        for delay in [0, 500] {
            let alarms = (1...100).count { Self.outcomes((0.2, 0.2), delay: delay, seed: $0).logE >= log(1_000.0) }
            #expect(alarms == 0, "with a delay of \(delay)")
            let found = (1...100).count { Self.outcomes((0.3, 0.2), delay: delay, seed: $0).logE >= log(1_000.0) }
            #expect(found == 100, "with a delay of \(delay)")
        }
        var alone = OutcomeTest(controlRate: 0.2)
        for _ in 0..<1_000 {
            alone.add(isEvent: false, isCandidate: false)
            alone.endBlock()
        }
        #expect(alone.logE == 0)
    }
}

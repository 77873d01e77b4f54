import Analysis
import Core
import Foundation
import Testing

private let minute: Int64 = 60_000

/// Points of one series, a minute apart.
private struct Feed {
    var detector = AnomalyDetector()
    var at: Int64 = 0
    var random: SplitMix64

    init(first: Double, seed: UInt64 = 1) {
        random = SplitMix64(seed: seed)
        _ = detector.add(first, at: 0)
    }

    @discardableResult
    mutating func add(_ value: Double) -> AnomalyDetector.Judgement? {
        at += minute
        return detector.add(value, at: at)
    }

    /// Alarms among `count` normal values.
    mutating func noise(_ count: Int, mean: Double, deviation: Double) -> Int {
        (0..<count).count { _ in add(mean + deviation * random.normal())?.isAlarm ?? false }
    }
}

struct AnomalyDetectorTests {
    @Test(arguments: [0, 1, -17.25, 1e12, 1e-300])
    func constantSeriesNeverStandsOut(value: Double) {
        var feed = Feed(first: value)
        for _ in 0..<30_000 {
            let judgement = feed.add(value)
            #expect(judgement?.score == 0 && judgement?.isAlarm == false)
        }
    }

    @Test func roundingOfConstantSeriesIsNoNews() {
        var feed = Feed(first: 0.1)
        for index in 0..<5_000 {
            let judgement = feed.add(0.1 * (1 + Double(index % 7) * 1e-12))
            #expect(judgement?.score == 0 && judgement?.isAlarm == false)
        }
    }

    @Test func changeOfConstantSeriesIsAlarm() {
        var feed = Feed(first: 5)
        for _ in 0..<500 { feed.add(5) }
        #expect(feed.add(6)?.isAlarm == true)
    }

    @Test(arguments: [-1.0, 1.0], [300, 5_000, 40_000])
    func shiftOfSixDeviationsIsAlarmWithinThreePoints(direction: Double, after: Int) {
        for seed in UInt64(1)...5 {
            var feed = Feed(first: 100, seed: seed)
            _ = feed.noise(after, mean: 100, deviation: 10)
            #expect(feed.noise(3, mean: 100 + direction * 60, deviation: 10) > 0, "seed \(seed)")
        }
    }

    @Test func healthyMonthsAreQuiet() {
        var alarms = 0
        for seed in UInt64(1)...20 {
            // The logarithm of the median of 300 log-normal latencies.
            var feed = Feed(first: 7, seed: seed)
            alarms += feed.noise(43_200, mean: 7, deviation: 0.058)
        }
        #expect(alarms <= 3)
    }

    @Test func oneEventIsOneAlarm() {
        var feed = Feed(first: 100)
        _ = feed.noise(2_000, mean: 100, deviation: 10)
        #expect(feed.noise(150, mean: 200, deviation: 10) == 1)
    }

    @Test func worseFollowsSmallAlarm() {
        var feed = Feed(first: 100)
        _ = feed.noise(2_000, mean: 100, deviation: 10)
        #expect(feed.noise(20, mean: 170, deviation: 10) == 1)
        #expect(feed.noise(3, mean: 500, deviation: 10) == 1)
    }

    @Test func gapIsNoAnomaly() {
        // A daily course; hours are missing in which the level has moved far.
        func level(_ at: Int64) -> Double { 100 + 80 * sin(2 * .pi * Double(at) / Double(24 * 60 * minute)) }
        for seed in UInt64(1)...5 {
            var feed = Feed(first: level(0), seed: seed)
            var alarms = 0
            for _ in 0..<4 * 1_440 {
                let value = level(feed.at + minute) + 2 * feed.random.normal()
                if feed.add(value)?.isAlarm == true { alarms += 1 }
            }
            for hours in [6, 9, 12, 30] {
                feed.at += Int64(hours) * 60 * minute
                let first = feed.add(level(feed.at + minute) + 2 * feed.random.normal())
                #expect(first?.score == 0)
                for _ in 0..<300 {
                    let value = level(feed.at + minute) + 2 * feed.random.normal()
                    if feed.add(value)?.isAlarm == true { alarms += 1 }
                }
            }
            #expect(alarms == 0, "seed \(seed)")
        }
    }

    @Test func otherHourOfWeekStandsOut() {
        // Busy from nine to five, quiet else; in the third week one night is busy.
        func level(_ index: Int) -> Double { (9..<17).contains(index / 60 % 24) ? 200 : 100 }
        var feed = Feed(first: 100)
        for index in 1..<14 * 1_440 + 120 { feed.add(level(index) + 3 * feed.random.normal()) }
        let night = (0..<30).map { _ in feed.add(200 + 3 * feed.random.normal()) }
        #expect(night.contains { $0?.aspect == .season && ($0?.score ?? 0) > AnomalyDetector.notable })
    }

    @Test func valuesThatAreNoNumbersAreLeftOut() {
        var feed = Feed(first: 1)
        var other = feed
        for index in 0..<1_000 {
            let value = Double(index % 13)
            #expect(feed.add(value) == other.add(value))
            #expect(feed.detector.add([.nan, .infinity, -.infinity][index % 3], at: feed.at + 1) == nil)
        }
        #expect(feed.detector == other.detector)
    }

    @Test func extremeValuesKeepScoresInRange() {
        var feed = Feed(first: 0)
        let values = [0, 1e308, -1e308, 1e-307, 1, .greatestFiniteMagnitude, -0.0, 3e150]
        for index in 0..<5_000 {
            guard let judgement = feed.add(values[index * index % values.count]) else { continue }
            #expect((0...1).contains(judgement.score) && judgement.shift.isFinite)
        }
        #expect(throws: Never.self) { try JSONEncoder().encode(feed.detector) }
    }

    @Test func firstTwoPointsCloseTogetherAreNoMeasureOfGaps() {
        var feed = Feed(first: 100)
        feed.at = 1 - minute
        _ = feed.noise(2_000, mean: 100, deviation: 10)
        #expect(feed.noise(3, mean: 200, deviation: 10) == 1)
    }

    @Test func timesInAnyOrderDoNoHarm() {
        var feed = Feed(first: 0)
        for at in [0, .max, .min, 5, -1, .max, 0] as [Int64] {
            let judgement = feed.detector.add(1, at: at)
            #expect(judgement != nil)
        }
    }

    @Test func restoredStateJudgesTheSame() throws {
        var feed = Feed(first: 10)
        _ = feed.noise(12_000, mean: 10, deviation: 1)
        let data = try JSONEncoder().encode(feed.detector)
        #expect(data.count < 30_000)
        var other = feed
        other.detector = try JSONDecoder().decode(AnomalyDetector.self, from: data)
        #expect(other.detector == feed.detector)
        for index in 0..<2_000 {
            let value = 10 + feed.random.normal() + (index > 1_500 ? 5 : 0)
            #expect(feed.add(value) == other.add(value))
        }
    }
}

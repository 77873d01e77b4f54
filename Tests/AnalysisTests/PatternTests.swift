import Analysis
import Core
import Foundation
import Statistics
import StreamProcessing
import Testing

/// What a route's traffic is like by minute, hour and week.
struct PatternTests {
    private struct Diary {
        var analyzer = PatternAnalyzer()
        let context = RouteContext(route: "chat")
        var random: SplitMix64
        var index = 0

        init(seed: UInt64) { random = SplitMix64(seed: seed) }

        @discardableResult
        mutating func minute(_ mean: Double) -> [Observation] {
            let requests = random.poisson(mean)
            defer { index += 1 }
            return analyzer.observe(
                Minutes.minute(index, ["a/b": Minutes.users(requests: requests)]), context)
        }

        mutating func days(_ days: Int, _ mean: Double, rhythm: Bool = true) -> [Observation] {
            var said: [Observation] = []
            for _ in 0..<(days * Minutes.perDay) { said = minute(rhythm ? Minutes.daily(mean, index) : mean) }
            return said
        }
    }

    @Test func aDailyRhythmIsFoundAndForecast() throws {
        var diary = Diary(seed: 1), held = 0, days = 0
        _ = diary.days(7, 100)
        for _ in 0..<20 {
            let said = diary.minute(Minutes.daily(100, diary.index))
            let found = try #require(said.first { $0.code == "pattern.seasonality" })
            #expect(found.severity == .info && found.magnitude.lower > 0.5)
            let peak = try #require(found.evidence["peak_hour_utc"])
            #expect((10...13).contains(peak))
            let lower = try #require(found.evidence["peak_requests_per_minute_lower"])
            let upper = try #require(found.evidence["peak_requests_per_minute_upper"])
            // What that hour then was.
            var sum = 0.0
            for ofDay in 1..<Minutes.perDay {
                let mean = Minutes.daily(100, diary.index)
                diary.minute(mean)
                if ofDay / 60 == Int(peak) { sum += mean }
            }
            days += 1
            if (lower...upper).contains(sum / 60) { held += 1 }
        }
        #expect(held >= days * 9 / 10)
    }

    @Test func trafficWithoutARhythmHasNone() {
        var diary = Diary(seed: 2)
        for _ in 0..<(28 * Minutes.perDay) { #expect(diary.minute(100).isEmpty) }
    }

    @Test func growthHasAnInterval() throws {
        var diary = Diary(seed: 3)
        #expect(!diary.days(14, 100).contains { $0.code == "pattern.growth" })
        let said = diary.days(7, 130) + [diary.minute(65)].flatMap { $0 }
        let growth = try #require(said.last { $0.code == "pattern.growth" })
        #expect(growth.magnitude.lower <= 0.31 && growth.magnitude.upper >= 0.29 && growth.magnitude.lower > 0.2)
        #expect(growth.statement.hasPrefix("The requests grew by"))
    }

    @Test func aBurstIsToldAndPasses() throws {
        var diary = Diary(seed: 4)
        for _ in 0..<(2 * Minutes.perDay) {
            #expect(!diary.minute(Minutes.daily(100, diary.index)).contains { $0.code == "pattern.burst" })
        }
        _ = diary.minute(1_000)
        let said = diary.minute(1_000)
        let burst = try #require(said.first { $0.code == "pattern.burst" })
        #expect(burst.severity == .info && burst.evidence["peak_requests_per_minute"] ?? 0 > 800)
        for _ in 0..<61 { diary.minute(Minutes.daily(100, diary.index)) }
        #expect(!diary.minute(Minutes.daily(100, diary.index)).contains { $0.code == "pattern.burst" })
    }

    @Test func aGapIsNoPattern() {
        var diary = Diary(seed: 5)
        _ = diary.days(15, 100)
        for _ in 0..<300 {
            var gap = RouteMinute(Minutes.window(diary.index))
            gap.isGap = true
            let said = diary.analyzer.observe(gap, diary.context)
            #expect(said.allSatisfy { $0.code == "pattern.seasonality" })
            diary.index += 1
        }
        for _ in 0..<Minutes.perDay {
            #expect(
                diary.minute(Minutes.daily(100, diary.index)).allSatisfy { $0.code == "pattern.seasonality" })
        }
    }

    @Test func whatIsWrittenDownGoesOnTheSame() throws {
        var diary = Diary(seed: 6)
        _ = diary.days(30, 100)
        let bytes = try JSONEncoder().encode(diary.analyzer)
        #expect(bytes.count < 20_000)
        var restored = diary
        restored.analyzer = try JSONDecoder().decode(PatternAnalyzer.self, from: bytes)
        for _ in 0..<200 { #expect(restored.minute(150) == diary.minute(150)) }
    }
}

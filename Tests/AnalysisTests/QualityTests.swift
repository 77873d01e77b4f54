import Analysis
import Core
import Foundation
import Statistics
import StreamProcessing
import Testing

/// What feedback and the answers themselves show of their quality.
struct QualityTests {
    /// Shares of the scores 0, 1/4, 1/2, 3/4 and 1: a mean of 0.8 and of 0.72, a deviation of 0.24.
    private static let good = [0.02, 0.04, 0.13, 0.34, 0.47]
    private static let worse = [0.04, 0.07, 0.19, 0.37, 0.33]
    private static let better = [0.01, 0.02, 0.07, 0.3, 0.6]

    /// A route's minutes with the feedback that is drawn for them.
    private struct Diary {
        var analyzer = QualityAnalyzer()
        var context = RouteContext(route: "chat")
        var random: SplitMix64
        var index = 0

        init(seed: UInt64) { random = SplitMix64(seed: seed) }

        mutating func score(
            _ shares: [Double], _ scores: Int, policy: Int = 1, model: String = "a/b", name: String = "quality",
            answers: Int64? = nil
        ) -> [Observation] {
            var values = Moments()
            for _ in 0..<scores {
                var left = random.unit(), place = 0
                while place < 4, left >= shares[place] {
                    left -= shares[place]
                    place += 1
                }
                values.add(Double(place) / 4)
            }
            var minute = Minutes.minute(index, [model: Minutes.users(requests: 20)])
            minute.feedback = [
                ModelFeedback(
                    modelKey: model, policy: policy, values: scores > 0 ? [name: values] : [:],
                    answers: answers ?? Int64(scores))
            ]
            index += 1
            return analyzer.observe(minute, context)
        }

        /// Until `code` is said; how many scores that took, `nil` for more than `most`.
        mutating func scores(until code: String, _ shares: [Double], most: Int, policy: Int = 1, model: String = "a/b")
            -> Int?
        {
            var taken = 0
            while taken < most {
                taken += 10
                if score(shares, 10, policy: policy, model: model).contains(where: { $0.code == code }) { return taken }
            }
            return nil
        }
    }

    @Test func aTenthLessIsFoundWithinAThousandScores() {
        let runs = 300
        var delays: [Double] = []
        for seed in 0..<UInt64(runs) {
            var diary = Diary(seed: seed)
            #expect(diary.scores(until: "quality.drop", Self.good, most: 10_000) == nil)
            if let delay = diary.scores(until: "quality.drop", Self.worse, most: 1_000) { delays.append(Double(delay)) }
        }
        #expect(Double(delays.count) >= 0.95 * Double(runs))
    }

    @Test func aHundredThousandEqualScoresAreQuiet() {
        let runs = 200
        var alarms = 0
        for seed in 0..<UInt64(runs) {
            var diary = Diary(seed: 10_000 + seed)
            for _ in 0..<2_500 where diary.score(Self.good, 40).contains(where: { $0.code == "quality.drop" }) {
                alarms += 1
                break
            }
        }
        #expect(Double(alarms) <= 0.01 * Double(runs))
    }

    @Test func theStatementSaysHowMuchAndEndsWithTheFall() throws {
        var diary = Diary(seed: 7)
        for _ in 0..<300 { _ = diary.score(Self.good, 10) }
        var said: Observation?
        for _ in 0..<200 { said = diary.score(Self.worse, 10).first { $0.code == "quality.drop" } }
        let drop = try #require(said)
        #expect(drop.subject == .model("a/b") && drop.severity == .warning && drop.objective == .quality)
        #expect(drop.magnitude.lower < -0.07 && drop.magnitude.upper > -0.09 && drop.magnitude.upper < 0)
        #expect(drop.confidence >= 0.99)
        #expect(drop.statement.hasPrefix("The mean quality of a/b fell from 0."))
        for _ in 0..<200 { said = diary.score(Self.good, 10).first { $0.code == "quality.drop" } }
        #expect(said == nil)
        // A bad loss.
        for _ in 0..<50 { said = diary.score([0.4, 0.3, 0.1, 0.1, 0.1], 10).first { $0.code == "quality.drop" } }
        #expect(said?.severity == .critical)
    }

    @Test func betterIsNoAlarm() {
        var diary = Diary(seed: 8)
        for _ in 0..<300 { _ = diary.score(Self.good, 10) }
        for _ in 0..<1_000 { #expect(diary.score(Self.better, 10).isEmpty) }
    }

    @Test func aNewVersionIsComparedWithTheFormer() {
        var diary = Diary(seed: 9)
        for _ in 0..<300 { _ = diary.score(Self.good, 10, policy: 1) }
        #expect(diary.scores(until: "quality.drop", Self.worse, most: 1_500, policy: 2) != nil)
        // It has made a baseline of its own by now, which does not excuse it.
        for _ in 0..<300 { #expect(diary.score(Self.worse, 10, policy: 2).contains { $0.code == "quality.drop" }) }
        // A better one becomes the baseline, and then the old quality is a fall.
        for _ in 0..<300 { _ = diary.score(Self.better, 10, policy: 3) }
        for _ in 0..<300 { _ = diary.score(Self.better, 10, policy: 3) }
        #expect(diary.scores(until: "quality.drop", Self.good, most: 3_000, policy: 4) != nil)
    }

    @Test func aModelThatTookOverIsComparedWithTheOneBefore() throws {
        var diary = Diary(seed: 10)
        for _ in 0..<300 { _ = diary.score(Self.good, 10, model: "old/model") }
        var said: Observation?
        for _ in 0..<250 { said = diary.score(Self.worse, 10, model: "new/model").first { $0.code == "quality.drop" } }
        let drop = try #require(said)
        #expect(drop.subject == .model("new/model") && drop.statement.contains("with old/model before it"))
        // Two models beside each other are not each other's baseline.
        var both = Diary(seed: 11)
        for _ in 0..<600 {
            _ = both.score(Self.good, 10, model: "a/one")
            #expect(!both.score(Self.worse, 10, model: "b/two").contains { $0.code == "quality.drop" })
        }
    }

    @Test func theFloorIsSaidWithItsNumbers() throws {
        var diary = Diary(seed: 12)
        diary.context.objective.qualityFloor = 0.78
        for _ in 0..<2_000 { #expect(!diary.score(Self.good, 10).contains { $0.code == "quality.floor" }) }
        var said: Observation?
        for _ in 0..<200 { said = diary.score(Self.worse, 10).first { $0.code == "quality.floor" } }
        let floor = try #require(said)
        #expect(floor.severity == .critical && floor.evidence["floor"] == 0.78)
        #expect(floor.magnitude.lower < 0.72 && floor.magnitude.upper < 0.78)
        #expect(floor.statement.contains("under the floor of 0.780"))
    }

    @Test func editsAreFollowedToo() {
        var diary = Diary(seed: 13)
        for _ in 0..<300 { _ = diary.score(Self.good, 10, name: "edit") }
        var codes: Set<String> = []
        for _ in 0..<200 { codes.formUnion(diary.score(Self.worse, 10, name: "edit").map(\.code)) }
        #expect(codes.contains("quality.edits") && !codes.contains("quality.drop"))
    }

    // MARK: What is missing

    @Test func missingFeedbackIsNotGoodFeedback() throws {
        var diary = Diary(seed: 14)
        var said: [Observation] = []
        for _ in 0..<100 { said = diary.score(Self.good, 0, answers: 20) }
        let none = try #require(said.first)
        #expect(said.count == 1 && none.code == "quality.no_feedback" && none.severity == .info)
        // A few good ones: the others may be anything.
        for _ in 0..<100 { said = diary.score(Self.good, 1, answers: 100) }
        let few = try #require(said.first)
        #expect(few.code == "quality.low_coverage" && few.severity == .info)
        let lowest = try #require(few.evidence["mean_lowest"]), highest = try #require(few.evidence["mean_highest"])
        #expect(lowest < 0.02 && highest > 0.98)
    }

    @Test func aGapSaysNothing() {
        var diary = Diary(seed: 15)
        for _ in 0..<300 { _ = diary.score(Self.good, 10) }
        let before = diary.analyzer
        var gap = Minutes.minute(diary.index, ["a/b": Minutes.users(requests: 5, failures: 5)])
        gap.isGap = true
        _ = diary.analyzer.observe(gap, diary.context)
        #expect(diary.analyzer == before)
    }

    @Test func whatIsWrittenDownGoesOnTheSame() throws {
        var diary = Diary(seed: 16)
        for _ in 0..<300 { _ = diary.score(Self.good, 10) }
        let bytes = try JSONEncoder().encode(diary.analyzer)
        #expect(bytes.count < 20_000)
        var restored = diary
        restored.analyzer = try JSONDecoder().decode(QualityAnalyzer.self, from: bytes)
        #expect(restored.analyzer == diary.analyzer)
        for _ in 0..<200 { #expect(restored.score(Self.worse, 10) == diary.score(Self.worse, 10)) }
    }
}

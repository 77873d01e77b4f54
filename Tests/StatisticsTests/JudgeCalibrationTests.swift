import Core
import Statistics
import Testing

struct JudgeCalibrationTests {
    private static func judge(_ sensitivity: (Int64, Int64), _ specificity: (Int64, Int64)) -> JudgeCalibration {
        JudgeCalibration(
            sensitivity: .init(events: sensitivity.0, trials: sensitivity.1),
            specificity: .init(events: specificity.0, trials: specificity.1))
    }

    /// (0.6 + 0.8 − 1) / (0.9 + 0.8 − 1) = 4/7, and so on.
    @Test(
        "The correction, worked out by hand",
        arguments: [
            (60, 100, (90, 100), (80, 100), 4.0 / 7), (50, 100, (80, 100), (80, 100), 0.5),
            (30, 100, (100, 100), (100, 100), 0.3), (10, 100, (90, 100), (80, 100), 0),
            (95, 100, (90, 100), (80, 100), 1), (65, 100, (70, 100), (60, 100), 5.0 / 6),
        ] as [(Int64, Int64, (Int64, Int64), (Int64, Int64), Double)])
    func correction(
        events: Int64, trials: Int64, sensitivity: (Int64, Int64), specificity: (Int64, Int64), expected: Double
    ) throws {
        let corrected = try #require(
            Self.judge(sensitivity, specificity).corrected(.init(events: events, trials: trials)))
        #expect(abs(corrected.share - expected) < 1e-12)
        #expect(corrected.interval.contains(corrected.share))
        #expect(corrected.interval.lowerBound >= 0 && corrected.interval.upperBound <= 1)
    }

    /// With z² = 4: p' = 62/104, Se' = 91/102, Sp' = 81/102; share (62/104 + 81/102 − 1) / (172/102 − 1); variances
    /// 62·42/104³, 91·11/102³ and 81·21/102³.
    @Test func intervalByHand() throws {
        let confidence = 2 * normalCDF(2) - 1
        let interval = try #require(
            Self.judge((90, 100), (80, 100)).corrected(.init(events: 60, trials: 100), confidence: confidence)
        ).interval
        let telling = 172.0 / 102 - 1, share = (62.0 / 104 + 81.0 / 102 - 1) / telling
        let said = 62.0 * 42 / (104 * 104 * 104), hits = 91.0 * 11 / (102 * 102 * 102)
        let refusals = 81.0 * 21 / (102 * 102 * 102)
        let middle = share + 8 * (share * hits - (1 - share) * refusals)
        let half = 2 * (said + share * share * hits + (1 - share) * (1 - share) * refusals).squareRoot() / telling
        #expect(abs(interval.lowerBound - (middle - half)) < 1e-9)
        #expect(abs(interval.upperBound - (middle + half)) < 1e-9)
        #expect(interval.lowerBound > 0.35 && interval.upperBound < 0.78)
    }

    @Test("A judge no better than chance says nothing", arguments: [(50, 50), (40, 60), (0, 0), (10, 70)])
    func noBetterThanChance(hits: Int64, refusals: Int64) {
        let judge = Self.judge((hits, 100), (refusals, 100))
        #expect(judge.corrected(.init(events: 60, trials: 100)) == nil)
    }

    @Test func nothingSeenSaysNothing() {
        let none = Proportion(events: 0, trials: 0), some = Proportion(events: 9, trials: 10)
        #expect(JudgeCalibration(accuracy: some).corrected(none) == nil)
        #expect(JudgeCalibration(accuracy: none).corrected(some) == nil)
    }

    /// One check passed on either side fits almost any judge.
    @Test func fewChecksLeaveTheIntervalWide() throws {
        let measured = Proportion(events: 700, trials: 1_000)
        let few = try #require(Self.judge((4, 5), (4, 5)).corrected(measured)).interval
        let many = try #require(Self.judge((400, 500), (400, 500)).corrected(measured)).interval
        #expect(few.upperBound - few.lowerBound > 2 * (many.upperBound - many.lowerBound))
    }

    @Test(
        "The interval covers the truth, over judges, shares and numbers of checks",
        arguments: [
            (0.5, 0.8, 0.8, 40, 200), (0.2, 0.95, 0.7, 40, 300), (0.9, 0.85, 0.9, 60, 100), (0.05, 0.9, 0.9, 100, 500),
        ] as [(Double, Double, Double, Int, Int)])
    func coverage(share: Double, sensitivity: Double, specificity: Double, checks: Int, cases: Int) {
        var random = SplitMix64(seed: 2_718)
        func draw(_ rate: Double, _ trials: Int) -> Proportion {
            var events: Int64 = 0
            for _ in 0..<trials where random.unit() < rate { events += 1 }
            return Proportion(events: events, trials: Int64(trials))
        }
        let said = share * sensitivity + (1 - share) * (1 - specificity)
        var covered = 0
        for _ in 0..<2_000 {
            let judge = JudgeCalibration(
                sensitivity: draw(sensitivity, checks), specificity: draw(specificity, checks))
            if judge.corrected(draw(said, cases))?.interval.contains(share) == true { covered += 1 }
        }
        #expect(covered >= 1_860 && covered <= 1_996, "\(covered) of 2000")
    }
}

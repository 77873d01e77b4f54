import Core
import Foundation
import Testing

/// The scorer of the labelled series, by the rules of the benchmark as they were published.
struct NABScoreTests {
    /// A hundred points, the window on 60...79.
    private func score(_ alarms: [Int: Double], threshold: Double = 0.5, profile: NABProfile = .standard) -> Double {
        let scores = (0..<100).map { alarms[$0] ?? 0 }
        return [NABFile(scores: scores, windows: [60...79], profile: profile)]
            .score(threshold: threshold, profile: profile)
    }

    @Test func sayingNothingIsZeroAndTheFirstPointOfTheWindowAHundred() {
        #expect(score([:]) == 0)
        #expect(abs(score([60: 1]) - 100) < 1e-9)
    }

    @Test func laterInTheWindowEarnsLess() {
        // Halfway through it: sigmoid(-0.5) / sigmoid(-1), with sigmoid(y) = 2 / (1 + exp(5 y)) - 1.
        let half = 2 / (1 + exp(-2.5)) - 1, all = 2 / (1 + exp(-5.0)) - 1
        #expect(abs(score([70: 1]) - 100 * (1 + half / all) / 2) < 1e-9)
        #expect(score([79: 1]) > 50)
    }

    @Test func onlyTheFirstAlarmInAWindowCounts() {
        #expect(score([62: 1, 63: 1, 75: 1]) == score([62: 1]))
    }

    @Test func falseAlarmsCostElevenHundredthsAndLessRightBehindAWindow() {
        // Of the two that a window found and not missed is apart.
        #expect(abs(score([60: 1, 40: 1]) - (100 - 100 * 0.11 / 2)) < 1e-9)
        #expect(abs(score([60: 1, 40: 1], profile: .lowFalsePositives) - (100 - 100 * 0.22 / 2)) < 1e-9)
        let near = 0.11 * (1 - 2 / (1 + exp(5.0 / 19))) / 2
        #expect(abs(score([60: 1, 80: 1]) - (100 - 100 * near)) < 1e-9)
    }

    @Test func missedWindowsCostTwiceWhereMissesWeigh() {
        let profile = NABProfile.lowFalseNegatives
        #expect(abs(score([60: 1], profile: profile) - 100) < 1e-9)
        #expect(abs(score([40: 1], profile: profile) + 100 * 0.11 / 3) < 1e-9)
    }

    @Test func theBeginningIsNotScoredNorWhatIsBelowTheThreshold() {
        #expect(score([14: 1]) == 0)
        #expect(score([15: 1]) < 0)
        #expect(score([60: 0.4, 40: 0.4]) == 0)
    }

    @Test func bestThresholdKeepsWhatFindsAndLeavesWhatDoesNot() {
        let alarms: [Int: Double] = [60: 0.9, 30: 0.6, 40: 0.5]
        let scores = (0..<100).map { alarms[$0] ?? 0 }
        let files = [NABFile(scores: scores, windows: [60...79], profile: .standard)]
        #expect(files.bestThreshold == 0.75)
    }
}

import Analysis
import Core
import Foundation
import Statistics
import StreamProcessing
import Telemetry

/// How many scores it takes until a tenth less quality is told, and how often a quality that stays is told to have fallen.
enum QualityStudy {
    private static let most = 1_000
    /// Feedback of one minute.
    private static let scores = 10
    /// Before the fall: a baseline and half of it again.
    private static let before = 3_000
    private static let healthy = 100_000

    /// Shares of the scores from 0 to 1, in equal steps.
    private struct Kind {
        var name: String
        var good: [Double]
        var worse: [Double]
    }

    private static let kinds = [
        // Means of 0.8 and 0.72, a deviation of 0.24.
        Kind(name: "graded", good: [0.02, 0.04, 0.13, 0.34, 0.47], worse: [0.04, 0.07, 0.19, 0.37, 0.33]),
        Kind(name: "yes_no", good: [0.2, 0.8], worse: [0.28, 0.72]),
    ]

    static func run() -> [Figure] {
        let runs = RolloutBench.runs(300)
        print("| scores | told within \(most), of \(runs) | median until told | false alarms in \(healthy) |")
        print("|---|---|---|---|")
        return kinds.map { kind in
            var delays: [Double] = [], alarms = 0
            for seed in 1...UInt64(runs) {
                var diary = Diary(seed: seed)
                _ = diary.scores(until: before, kind.good)
                if let delay = diary.scores(until: 4 * most, kind.worse) { delays.append(Double(delay)) }
                if seed % 3 == 0, Diary(seed: seed).isTold(in: healthy, kind.good) { alarms += 1 }
            }
            let share = Double(delays.count { $0 <= Double(most) }) / Double(runs)
            let median = quantile(0.5, ofSorted: delays.sorted()) ?? .nan
            print(
                "| \(kind.name) | \((1_000 * share).rounded() / 10) % | \(Int(median)) | \(alarms) of \(runs / 3) runs |"
            )
            return Figure(
                name: "analyzers.quality_recall.\(kind.name)", value: 100 * share,
                unit: "% of falls by a tenth told within \(most) scores")
        }
    }

    private struct Diary {
        var analyzer = QualityAnalyzer()
        let context = RouteContext(route: "simulated")
        var random: SplitMix64
        var minute: Int64 = 0

        init(seed: UInt64) { random = SplitMix64(seed: seed) }

        func isTold(in most: Int, _ shares: [Double]) -> Bool {
            var copy = self
            return copy.scores(until: most, shares) != nil
        }

        /// How many scores it takes until a fall is told; `nil` for more than `most`.
        mutating func scores(until most: Int, _ shares: [Double]) -> Int? {
            for taken in stride(from: QualityStudy.scores, through: most, by: QualityStudy.scores) {
                var values = Moments()
                for _ in 0..<QualityStudy.scores { values.add(score(shares)) }
                var whole = RouteMinute(Window(start: minute * 60_000, end: (minute + 1) * 60_000))
                whole.feedback = [
                    ModelFeedback(
                        modelKey: RouteTraffic.model, policy: 1, values: ["quality": values],
                        answers: Int64(QualityStudy.scores))
                ]
                minute += 1
                if analyzer.observe(whole, context).contains(where: { $0.code == "quality.drop" }) { return taken }
            }
            return nil
        }

        private mutating func score(_ shares: [Double]) -> Double {
            var left = random.unit(), place = 0
            while place < shares.count - 1, left >= shares[place] {
                left -= shares[place]
                place += 1
            }
            return Double(place) / Double(shares.count - 1)
        }
    }
}

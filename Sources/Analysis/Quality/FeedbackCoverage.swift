import Statistics
import StreamProcessing

/// How many of a route's answers had feedback, over a day: what was not scored is not good.
struct FeedbackCoverage: Codable, Sendable, Equatable {
    private static let hourMs: Int64 = 3_600_000
    private static let hours = 24
    private var day = TimeRing<Hour>(slotMs: hourMs, capacity: hours)
    private var first: Int64?

    private struct Hour: Summable {
        var answers: Int64 = 0
        var scores = Moments()
        mutating func merge(_ other: Hour) {
            answers += other.answers
            scores.merge(other.scores)
        }
    }

    mutating func add(_ minute: RouteMinute) {
        var hour = Hour()
        for feedback in minute.feedback {
            hour.answers += feedback.answers
            if let scores = feedback.values[QualityName.quality.rawValue] { hour.scores.merge(scores) }
        }
        first = first ?? minute.window.start
        day.add(hour, at: minute.window.start)
    }

    func statement(_ settings: AnalyzerSettings, now: Int64) -> Observation? {
        guard let first, now - first >= Self.hourMs + settings.feedbackDelayMs else { return nil }
        let sum = day.sum(Self.hours), fewest = settings[.requestsWithoutFeedback]
        let window = Window(start: max(first, now - Int64(Self.hours) * Self.hourMs), end: now)
        if sum.scores.n == 0 {
            return Double(sum.answers) >= fewest ? none(sum.answers, window) : nil
        }
        guard Double(sum.answers) >= fewest else { return nil }
        return few(sum, window, below: settings[.feedbackCoverage])
    }

    private func none(_ answers: Int64, _ window: Window) -> Observation {
        Observation(
            .quality, "quality.no_feedback", .route,
            "None of \(answers) answers has feedback on its quality, so no model can be compared.",
            severity: .info, confidence: 1, magnitude: Interval(estimate: 0, lower: 0, upper: 0), window: window,
            evidence: ["answers": Double(answers)], objective: .quality,
            action: "Send feedback named 'quality' to /v1/feedback, or have a sample judged.")
    }

    /// What is not scored can be anything between 0 and 1 (Manski, "Nonparametric bounds on treatment effects", 1990).
    private func few(_ sum: Hour, _ window: Window, below least: Double) -> Observation? {
        let scored = Proportion(events: sum.scores.n, trials: sum.answers)
        let range = scored.wilson()
        guard let share = scored.rate, range.upperBound < least, let mean = sum.scores.mean else { return nil }
        return Observation(
            .quality, "quality.low_coverage", .route,
            "Only \(share.percent) of \(sum.answers) answers have feedback on their quality: its mean of \(mean.fixed(3)) says "
                + "little of the others.",
            severity: .info, confidence: 0.99,
            magnitude: Interval(estimate: share, lower: range.lowerBound, upper: range.upperBound), window: window,
            evidence: [
                "answers": Double(sum.answers), "scored": Double(sum.scores.n), "mean_scored": mean,
                "mean_lowest": mean * share, "mean_highest": mean * share + 1 - share,
            ], objective: .quality, action: "Have a random sample of the answers judged.")
    }
}

extension Threshold {
    static let qualityDrop = Threshold(
        .quality, "quality_drop", 0.02, 0.001...1,
        "How far the mean of feedback must have fallen below its baseline, on the scale 0 to 1.")
    static let baselineAnswers = Threshold(
        .quality, "baseline_answers", 2_000, 100...1_000_000,
        "Scored answers of a policy version that make its baseline; a tenth is enough after a week.")
    static let shareRiseFactor = Threshold(
        .quality, "share_rise_factor", 1.5, 1...100,
        "How many times its past the share of bad answers (schema, tools, refusals and so on) must have become.")
    static let shareRise = Threshold(
        .quality, "share_rise", 0.01, 0...1,
        "How far the share of bad answers must have risen above its past, at least.")
    static let requestsWithoutFeedback = Threshold(
        .quality, "requests_without_feedback", 1_000, 1...1e9,
        "Requests of a day without any feedback after which that is told.")
    static let feedbackCoverage = Threshold(
        .quality, "feedback_coverage", 0.05, 0...1,
        "Share of a day's answers with feedback below which its mean is told to stand on few.")

    static let quality = [
        qualityDrop, baselineAnswers, shareRiseFactor, shareRise, requestsWithoutFeedback, feedbackCoverage,
    ]
}

extension Threshold {
    static let seasonalityShare = Threshold(
        .pattern, "seasonality_share", 0.5, 0...1,
        "Share of the variance of hourly requests that the hour must explain for the traffic to have a rhythm.")
    static let growth = Threshold(
        .pattern, "growth", 0.1, 0...10,
        "Relative change of the requests from one week to the next that is growth, or the loss of it.")
    static let burstFactor = Threshold(
        .pattern, "burst_factor", 4, 1...1_000,
        "How many times more unsteady than usual an hour's requests by minute must be to be a burst.")
    static let heavyHitterShare = Threshold(
        .pattern, "heavy_hitter_share", 0.3, 0...1,
        "Share of the requests that makes one key or user of many a heavy hitter.")
    static let repeatShare = Threshold(
        .pattern, "repeat_share", 0.2, 0...1,
        "Share of prompts that repeat another of the same ten minutes exactly, above which that is told.")
    static let nearRepeatShare = Threshold(
        .pattern, "near_repeat_share", 0.5, 0...1,
        "Share of prompts made from the template of another of the same ten minutes, above which that is told.")
    static let prefixShare = Threshold(
        .pattern, "prefix_share", 0.3, 0...1, "Share of prompts that begin alike, above which that is told.")
    static let sessionChange = Threshold(
        .pattern, "session_change", 0.25, 0...10,
        "Relative change of a day's messages a request, or requests a session, that is told.")
    static let mixShift = Threshold(
        .pattern, "mix_shift", 0.05, 0...1,
        "Jensen-Shannon divergence from the usual mix of kinds of prompt that is a shift, bits.")

    static let pattern = [
        seasonalityShare, growth, burstFactor, heavyHitterShare, repeatShare, nearRepeatShare, prefixShare,
        sessionChange, mixShift,
    ]
}

extension Threshold {
    static let availability = Threshold(
        .performance, "availability", 0.99, 0.5...0.99999,
        "Share of requests that must not fail: the rest is the error budget whose burn rate is watched.")
    static let errorRise = Threshold(
        .performance, "error_rise", 0.01, 0...1,
        "By how much the share of failures must exceed its own past before it is told, as a share of requests.")
    static let errorLimit = Threshold(
        .performance, "error_limit", 0.05, 0.001...1, "Share of failures that is too high whatever the past was.")
    static let criticalFailures = Threshold(
        .performance, "critical_errors", 0.1, 0.001...1, "Share of failures from which on they are critical.")
    static let latencyRise = Threshold(
        .performance, "latency_rise", 0.25, 0.02...10,
        "By how much the median or the p95 latency must exceed its own past, as a share of it.")
    static let ttftRise = Threshold(
        .performance, "ttft_rise", 0.25, 0.02...10,
        "By how much the median or the p95 time to first token must exceed its own past, as a share of it.")
    static let criticalRise = Threshold(
        .performance, "critical_rise", 3, 1.1...100,
        "From how many times the past's on a latency or time to first token is critical.")
    static let speedDrop = Threshold(
        .performance, "speed_drop", 0.25, 0.02...0.95,
        "By how much output tokens a second, by their mean time, must fall below their own past, as a share of it.")
    static let saturation = Threshold(
        .performance, "saturation", 0.02, 0.0001...1,
        "Share of requests refused for want of capacity (rate limit, overload, quota, our own limits) that is too high."
    )
    static let slowerTarget = Threshold(
        .performance, "slower_target", 0.25, 0.02...10,
        "By how much the median latency of one model must exceed another's on prompts of the same size, as a share.")
    static let overheadMs = Threshold(
        .performance, "overhead_ms", 5, 0.01...10_000, "Mean time that our own work may add to an answer, milliseconds."
    )
    static let minimumEvents = Threshold(
        .performance, "min_events", 10, 1...100_000,
        "Failures or slow answers within the longer window below which no burn rate is told.")
    static let falseAlarmDays = Threshold(
        .performance, "days_between_false_alarms", 3_000, 1...1_000_000,
        "Mean days between two false alarms of one series, at least: more makes alarms rarer and later.")

    static let performance: [Threshold] = [
        .availability, .errorRise, .errorLimit, .criticalFailures, .latencyRise, .ttftRise, .criticalRise, .speedDrop,
        .saturation, .slowerTarget, .overheadMs, .minimumEvents, .falseAlarmDays,
    ]
}

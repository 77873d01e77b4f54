import Statistics
import StreamProcessing

private func clock(_ ms: Int64) -> String {
    let hour = (ms / 3_600_000 % 24 + 24) % 24
    return "\(hour < 10 ? "0" : "")\(hour):00 UTC"
}

extension Seasonality {
    private static let surely = 0.001

    func statement(_ settings: AnalyzerSettings, now: Int64) -> Observation? {
        guard share.estimate >= settings[.seasonalityShare], p < Self.surely else { return nil }
        let rhythm = period == HourRate.hoursOfWeek ? "week" : "day"
        return Observation(
            .pattern, "pattern.seasonality", .route,
            "The hour of the \(rhythm) explains \(share.estimate.percent) of how the requests vary; the next peak is expected at "
                + "\(clock(forecast.peakAt)) with \(forecast.peak.estimate.fixed(1)) requests a minute "
                + "(\(forecast.peak.lower.fixed(1)) to \(forecast.peak.upper.fixed(1))).",
            severity: .info, confidence: 1 - p, magnitude: share,
            window: Window(start: now - Int64(hours) * HourlyRequests.hourMs, end: now),
            evidence: [
                "period_hours": Double(period), "hours": Double(hours), "share_explained": share.estimate,
                "peak_at_ms": Double(forecast.peakAt), "peak_hour_utc": Double(forecast.peakAt / 3_600_000 % 24),
                "peak_requests_per_minute": forecast.peak.estimate,
                "peak_requests_per_minute_lower": forecast.peak.lower,
                "peak_requests_per_minute_upper": forecast.peak.upper, "next_day_requests": forecast.total,
            ], objective: .availability, action: "Ask for limits that carry the peak, and plan changes for quiet hours."
        )
    }
}

extension WeeklyGrowth {
    private static let weekMs: Int64 = 7 * 86_400_000
    private static let surely = 0.999

    func statement(_ settings: AnalyzerSettings, now: Int64) -> Observation? {
        guard abs(change.estimate) >= settings[.growth], confidence >= Self.surely else { return nil }
        return Observation(
            .pattern, "pattern.growth", .route,
            "The requests \(change.estimate > 0 ? "grew" : "fell") by \(abs(change.estimate).percent) from one week to the next, "
                + "from \(before.fixed(1)) to \(self.now.fixed(1)) a minute.",
            severity: .info, confidence: confidence, magnitude: change,
            window: Window(start: now - 2 * Self.weekMs, end: now),
            evidence: [
                "requests_per_minute_before": before, "requests_per_minute": self.now,
                "change_lower": change.lower, "change_upper": change.upper,
            ], objective: .cost, action: "Check that limits and the budget carry another such week.")
    }
}

extension Burst {
    func statement(_ settings: AnalyzerSettings, now: Int64) -> Observation? {
        guard let found = found(factor: settings[.burstFactor]) else { return nil }
        return Observation(
            .pattern, "pattern.burst", .route,
            "Requests came in bursts: up to \(found.peak.fixed(0)) a minute, \(found.average.fixed(1)) on average of the hour, "
                + "\((found.dispersion.estimate / found.usual).fixed(1)) times as unsteady as usual.",
            severity: .info, confidence: 0.999, magnitude: found.dispersion,
            window: Window(start: now - HourlyRequests.hourMs, end: now),
            evidence: [
                "dispersion_index": found.dispersion.estimate, "dispersion_index_usual": found.usual,
                "peak_requests_per_minute": found.peak, "requests_per_minute": found.average,
            ], objective: .availability,
            action: "Find out who sends them; work that can wait could be spread or batched.")
    }
}

extension SessionShape.Change {
    private static let dayMs: Int64 = 86_400_000

    func statement(_ settings: AnalyzerSettings) -> Observation? {
        guard abs(change.estimate) >= settings[.sessionChange] else { return nil }
        let words = shape == .messages ? "messages of a request" : "requests of a session in ten minutes"
        var evidence = ["mean": now, "mean_before": before]
        evidence["messages_p50"] = medianMessages
        evidence["messages_p95"] = p95Messages
        return Observation(
            .pattern, "pattern.sessions", Subject(.kind, shape.rawValue),
            "The \(words) went from \(before.fixed(2)) to \(now.fixed(2)) on average, yesterday against the two weeks before.",
            severity: .info, confidence: confidence, magnitude: change,
            window: Window(start: day * Self.dayMs, end: (day + 1) * Self.dayMs), evidence: evidence, objective: .cost,
            action: shape == .messages
                ? "Longer conversations cost more each time they are sent: summaries or a cache may help." : "")
    }
}

extension KindMix.Shift {
    func statement() -> Observation {
        Observation(
            .pattern, "pattern.mix_shift", .route,
            "The mix of prompts has shifted: kind \(kind) went from \(before.percent) to \(now.percent) of them.",
            severity: .warning, confidence: 0.999, magnitude: divergence, window: window,
            evidence: [
                "divergence_bits": divergence.estimate, "divergence_bits_usual": usualDivergence, "prompts": prompts,
                "share_before": before, "share": now, "log_evidence": logE,
            ], objective: .quality,
            action: "What is known of the models' quality and cost was learned on another mix: compare them anew.")
    }
}

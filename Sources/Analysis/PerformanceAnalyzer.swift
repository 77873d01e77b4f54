import Statistics

/// Failures that are many or have become more, and latencies above their objective or above what they were.
func performance(_ input: AnalysisInput, _ settings: AnalysisSettings) -> [Observation] {
    let before = Dictionary(input.previous.map { ($0.modelKey, $0) }, uniquingKeysWith: { first, _ in first })
    return input.current.filter { $0.requests >= settings.minRequests }.flatMap { now in
        [
            failures(now, before[now.modelKey], settings),
            overObjective(now, now.latencyP95Interval, limit: input.objective.latencyP95Ms, code: "latency_slo"),
            overObjective(now, now.ttftP95Interval, limit: input.objective.ttftP95Ms, code: "ttft_slo"),
            slower(now, before[now.modelKey], settings),
        ].compactMap { $0 }
    }
}

private func failures(_ now: TargetStatistics, _ before: TargetStatistics?, _ settings: AnalysisSettings)
    -> Observation?
{
    let proportion = Proportion(events: now.failures, trials: now.requests)
    guard let rate = proportion.rate else { return nil }
    let interval = proportion.wilson()
    var evidence = ["requests": Double(now.requests), "failures": Double(now.failures), "failure_rate": rate]
    var confidence = normalCDF((rate - settings.failureLimit) / standardError(rate, now.requests))
    var statement = "\(rate.percent) of the requests to \(now.modelKey) fail, above \(settings.failureLimit.percent)."
    if let before, before.requests >= settings.minRequests {
        let both = TwoProportions(
            candidate: proportion, control: Proportion(events: before.failures, trials: before.requests))
        let old = Double(before.failures) / Double(before.requests)
        evidence["failure_rate_before"] = old
        let error = (standardError(rate, now.requests), standardError(old, before.requests))
        let spread = (error.0 * error.0 + error.1 * error.1).squareRoot()
        let rose = normalCDF((rate - old - settings.failureRise) / spread)
        if rose >= settings.confidence, (both.newcombe()?.lowerBound ?? 0) > 0 {
            confidence = rose
            statement = "Failures of \(now.modelKey) rose from \(old.percent) to \(rate.percent) of its requests."
        }
    }
    guard confidence >= settings.confidence else { return nil }
    return Observation(
        analyzer: .performance, code: "performance.errors", modelKey: now.modelKey, statement: statement,
        severity: interval.lowerBound > 4 * settings.failureLimit ? .critical : .warning, confidence: confidence,
        magnitude: Interval(estimate: rate, lower: interval.lowerBound, upper: interval.upperBound),
        evidence: evidence, objective: .availability)
}

/// Of a rate, drawn a little towards one half, so that none or all of few is not certainty (Agresti and Coull, 1998).
private func standardError(_ rate: Double, _ n: Int64) -> Double {
    let n = Double(n) + 4
    let drawn = (rate * (n - 4) + 2) / n
    return (drawn * (1 - drawn) / n).squareRoot()
}

private func overObjective(_ now: TargetStatistics, _ interval: Interval?, limit: Double?, code: String) -> Observation?
{
    guard let interval, let limit, interval.lower > limit else { return nil }
    let name = code == "ttft_slo" ? "time to first token" : "latency"
    return Observation(
        analyzer: .performance, code: "performance.\(code)", modelKey: now.modelKey,
        statement: "The p95 \(name) of \(now.modelKey) is \(interval.estimate.milliseconds) "
            + "(\(interval.lower.fixed(0)) to \(interval.upper.fixed(0))), above its objective of \(limit.milliseconds).",
        severity: interval.lower > 2 * limit ? .critical : .warning, confidence: 0.975, magnitude: interval,
        evidence: ["requests": Double(now.requests), "p95_ms": interval.estimate, "objective_ms": limit],
        objective: .latency)
}

private func slower(_ now: TargetStatistics, _ before: TargetStatistics?, _ settings: AnalysisSettings) -> Observation?
{
    guard let before, before.requests >= settings.minRequests, let old = before.latencyP95Interval,
        let new = now.latencyP95Interval, new.lower > old.upper * (1 + settings.latencyRise)
    else { return nil }
    return Observation(
        analyzer: .performance, code: "performance.latency_rise", modelKey: now.modelKey,
        statement: "The p95 latency of \(now.modelKey) rose from \(old.estimate.milliseconds) to "
            + "\(new.estimate.milliseconds).",
        // Two 95 % intervals that do not even touch.
        severity: .warning, confidence: 0.997, magnitude: new,
        evidence: ["requests": Double(now.requests), "p95_ms": new.estimate, "p95_ms_before": old.estimate],
        objective: .latency)
}

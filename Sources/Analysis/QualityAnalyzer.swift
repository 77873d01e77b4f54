import Statistics

/// Quality that dropped or lies under its floor, and routes that nobody gives feedback on.
func quality(_ input: AnalysisInput, _ settings: AnalysisSettings) -> [Observation] {
    input.pairs.compactMap { drop($0.now, $0.before, settings) }
        + input.current.compactMap { belowFloor($0, input.objective.qualityFloor, settings) }
        + [noFeedback(input, settings)].compactMap { $0 }
}

private func drop(_ now: TargetStatistics, _ before: TargetStatistics, _ settings: AnalysisSettings) -> Observation? {
    guard now.quality.n >= settings.minAnswers, before.quality.n >= settings.minAnswers,
        let new = now.quality.mean, let old = before.quality.mean,
        let newError = now.quality.standardError, let oldError = before.quality.standardError
    else { return nil }
    let error = max(1e-9, (newError * newError + oldError * oldError).squareRoot())
    let confidence = normalCDF((old - new - settings.qualityDrop) / error)
    guard confidence >= settings.confidence else { return nil }
    let half = normalQuantile(0.975) * error
    return Observation(
        analyzer: .quality, code: "quality.drop", modelKey: now.modelKey,
        statement: "The mean quality of \(now.modelKey) fell from \(old.fixed(3)) to \(new.fixed(3)).",
        severity: old - new - half > 0.1 ? .critical : .warning, confidence: confidence,
        magnitude: Interval(estimate: new - old, lower: new - old - half, upper: new - old + half),
        evidence: ["answers": Double(now.quality.n), "quality": new, "quality_before": old], objective: .quality)
}

private func belowFloor(_ now: TargetStatistics, _ floor: Double?, _ settings: AnalysisSettings) -> Observation? {
    guard let floor, now.quality.n >= settings.minAnswers, let interval = now.quality.meanInterval,
        interval.upper < floor
    else { return nil }
    return Observation(
        analyzer: .quality, code: "quality.floor", modelKey: now.modelKey,
        statement: "The mean quality of \(now.modelKey) is \(interval.estimate.fixed(3)) "
            + "(\(interval.lower.fixed(3)) to \(interval.upper.fixed(3))), under the floor of \(floor.fixed(3)).",
        severity: .critical, confidence: 0.975, magnitude: interval,
        evidence: ["answers": Double(now.quality.n), "floor": floor], objective: .quality)
}

private func noFeedback(_ input: AnalysisInput, _ settings: AnalysisSettings) -> Observation? {
    let requests = input.current.reduce(0) { $0 + $1.requests }
    guard requests >= settings.requestsWithoutFeedback, input.current.allSatisfy({ $0.quality.n == 0 }) else {
        return nil
    }
    return Observation(
        analyzer: .quality, code: "quality.no_feedback", modelKey: nil,
        statement:
            "None of \(requests) requests has quality feedback, so no model can be compared: send feedback named "
            + "'quality' to /v1/feedback.",
        severity: .info, confidence: 1, magnitude: Interval(estimate: 0, lower: 0, upper: 0),
        evidence: ["requests": Double(requests)], objective: .quality)
}

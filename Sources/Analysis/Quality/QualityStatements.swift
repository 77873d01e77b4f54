import Statistics
import StreamProcessing

/// Names of feedback that is followed.
enum QualityName: String, Codable, Sendable, CaseIterable, CodingKeyRepresentable {
    /// What people or judges think of the answer.
    case quality
    /// The share of the answer that was kept when somebody edited it.
    case edit

    fileprivate var code: String { self == .quality ? "quality.drop" : "quality.edits" }
    fileprivate var words: String { self == .quality ? "mean quality" : "share of the answers' text that is kept" }
}

extension QualityTrack {
    /// What is sure to have been lost when it is critical, on the scale 0 to 1.
    private static let criticalLoss = 0.1

    func statements(_ name: QualityName, of modelKey: String, now: Int64) -> [Observation] {
        [drop(name, modelKey, now), name == .quality ? floor(modelKey, now) : nil].compactMap { $0 }
    }

    private func drop(_ name: QualityName, _ modelKey: String, _ now: Int64) -> Observation? {
        guard let (former, run) = fallen, let new = run.values.meanInterval, let old = former.values.meanInterval
        else { return nil }
        let change = new.estimate - old.estimate
        let half =
            ((new.upper - new.estimate) * (new.upper - new.estimate)
            + (old.upper - old.estimate) * (old.upper - old.estimate)).squareRoot()
        let values = "\(new.estimate.fixed(3)) (\(new.lower.fixed(3)) to \(new.upper.fixed(3)))"
        let statement =
            former.modelKey == modelKey
            ? "The \(name.words) of \(modelKey) fell from \(old.estimate.fixed(3)) to \(values)."
            : "The \(name.words) of \(modelKey) is \(values), and was \(old.estimate.fixed(3)) with "
                + "\(former.modelKey) before it."
        return Observation(
            .quality, name.code, .model(modelKey), statement,
            severity: change + half < -Self.criticalLoss ? .critical : .warning, confidence: run.confidence,
            magnitude: Interval(estimate: change, lower: change - half, upper: change + half),
            window: Window(start: min(run.since, now), end: now),
            evidence: [
                "answers": Double(run.values.n), "mean": new.estimate, "baseline_answers": Double(former.values.n),
                "baseline_mean": old.estimate, "baseline_policy": Double(former.policy), "log_evidence": run.logE,
            ], objective: .quality,
            action: "Compare recent answers with earlier ones, and send traffic to another model or the former version "
                + "until the cause is known.")
    }

    private func floor(_ modelKey: String, _ now: Int64) -> Observation? {
        guard let (floor, run) = belowFloor, let mean = run.values.meanInterval else { return nil }
        return Observation(
            .quality, "quality.floor", .model(modelKey),
            "The mean quality of \(modelKey) is \(mean.estimate.fixed(3)) (\(mean.lower.fixed(3)) to "
                + "\(mean.upper.fixed(3))), under the floor of \(floor.fixed(3)).",
            severity: .critical, confidence: run.confidence, magnitude: mean,
            window: Window(start: min(run.since, now), end: now),
            evidence: ["answers": Double(run.values.n), "floor": floor, "log_evidence": run.logE],
            objective: .quality, action: "Send the route's traffic to a model that keeps the floor.")
    }
}

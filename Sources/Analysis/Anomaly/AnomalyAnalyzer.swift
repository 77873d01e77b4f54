import StreamProcessing

package struct AnomalyAnalyzer: Analyzer, Equatable {
    package static let kind = AnalyzerKind.anomaly
    package static let thresholds: [Threshold] = []

    /// Series that are watched.
    package var series: Int { 0 }

    package init() {}

    package mutating func observe(_ minute: RouteMinute, _ context: RouteContext) -> [Observation] { [] }

    /// - Parameter isOver: whether the span is known to be without records, or nothing is known of it yet.
    static func telemetryGap(_ window: Window, isOver: Bool) -> Observation {
        let minutes = Double(window.end - window.start) / 60_000
        return Observation(
            .anomaly, "anomaly.telemetry_gap", .route,
            isOver
                ? "Records of \(minutes.fixed(0)) minutes are missing: what happened then is not known."
                : "Nothing has been counted for \(minutes.fixed(0)) minutes: the stream lags or stands still.",
            severity: .warning, confidence: 1, magnitude: Interval(estimate: minutes, lower: minutes, upper: minutes),
            window: window, evidence: ["minutes": minutes], objective: .availability,
            action: "See `trimtab stream lag`, and whether the gateways reach the event log.")
    }
}

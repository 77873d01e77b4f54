import StreamProcessing

package struct AnomalyAnalyzer: Analyzer, Equatable {
    package static let kind = AnalyzerKind.anomaly
    package static let thresholds: [Threshold] = []

    package init() {}

    package mutating func observe(_ minute: RouteMinute, _ context: RouteContext) -> [Observation] { [] }
}

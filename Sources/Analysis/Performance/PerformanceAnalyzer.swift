import StreamProcessing

package struct PerformanceAnalyzer: Analyzer, Equatable {
    package static let kind = AnalyzerKind.performance
    package static let thresholds: [Threshold] = []

    package init() {}

    package mutating func observe(_ minute: RouteMinute, _ context: RouteContext) -> [Observation] { [] }
}

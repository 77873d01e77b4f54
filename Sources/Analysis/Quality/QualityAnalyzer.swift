import StreamProcessing

package struct QualityAnalyzer: Analyzer, Equatable {
    package static let kind = AnalyzerKind.quality
    package static let thresholds: [Threshold] = []

    package init() {}

    package mutating func observe(_ minute: RouteMinute, _ context: RouteContext) -> [Observation] { [] }
}

import StreamProcessing

package struct PatternAnalyzer: Analyzer, Equatable {
    package static let kind = AnalyzerKind.pattern
    package static let thresholds: [Threshold] = []

    package init() {}

    package mutating func observe(_ minute: RouteMinute, _ context: RouteContext) -> [Observation] { [] }
}

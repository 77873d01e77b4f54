import StreamProcessing

package struct CostAnalyzer: Analyzer, Equatable {
    package static let kind = AnalyzerKind.cost
    package static let thresholds: [Threshold] = []

    package init() {}

    package mutating func observe(_ minute: RouteMinute, _ context: RouteContext) -> [Observation] { [] }
}

import Core

/// A finding before it has an id: what the analyzers return.
struct Observation {
    var analyzer: Finding.Analyzer
    var code: String
    var modelKey: String?
    var statement: String
    var severity: Finding.Severity
    var confidence: Double
    var magnitude: Interval
    var evidence: [String: Double]
    var objective: Finding.ObjectiveName
}

/// What is worth knowing about a route: nothing when all is well, in a fixed order otherwise.
///
/// Pure: the same input, settings, time and generator give the same findings.
package func analyze(
    _ input: AnalysisInput, settings: AnalysisSettings, now: Int64,
    using generator: inout some RandomNumberGenerator
) -> [Finding] {
    let observations =
        performance(input, settings) + cost(input, settings) + quality(input, settings)
    return observations.map { seen in
        Finding(
            id: UUIDv7(milliseconds: now, using: &generator), at: now, analyzer: seen.analyzer, code: seen.code,
            route: input.route, modelKey: seen.modelKey, statement: seen.statement, severity: seen.severity,
            confidence: seen.confidence, magnitude: seen.magnitude, window: input.window, evidence: seen.evidence,
            objective: seen.objective)
    }
}

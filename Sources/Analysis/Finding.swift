package import Core
package import StreamProcessing

/// One analyzer's statement about a route, with the evidence for it.
package struct Finding: Codable, Sendable, Equatable {
    package var id: UUIDv7
    package var at: Int64
    package var analyzer: Analyzer
    /// A stable, dot-separated identifier of what was found, for example `performance.errors`.
    package var code: String
    package var route: String
    /// `provider/model`, where the finding is about one model.
    package var modelKey: String?
    /// One sentence a person understands.
    package var statement: String
    package var severity: Severity
    /// Probability that the statement is true, 0...1.
    package var confidence: Double
    package var magnitude: Interval
    /// The span of event time the evidence comes from.
    package var window: Window
    /// Name to value, the numbers behind the statement.
    package var evidence: [String: Double]
    package var objective: ObjectiveName

    package init(
        id: UUIDv7, at: Int64, analyzer: Analyzer, code: String, route: String, modelKey: String?, statement: String,
        severity: Severity, confidence: Double, magnitude: Interval, window: Window, evidence: [String: Double],
        objective: ObjectiveName
    ) {
        self.id = id
        self.at = at
        self.analyzer = analyzer
        self.code = code
        self.route = route
        self.modelKey = modelKey
        self.statement = statement
        self.severity = severity
        self.confidence = confidence
        self.magnitude = magnitude
        self.window = window
        self.evidence = evidence
        self.objective = objective
    }

    package enum Analyzer: String, Codable, Sendable, CaseIterable { case performance, cost, quality }
    package enum Severity: String, Codable, Sendable, CaseIterable { case info, warning, critical }
    package enum ObjectiveName: String, Codable, Sendable, CaseIterable { case quality, latency, cost, availability }

    enum CodingKeys: String, CodingKey {
        case id, at, analyzer, code, route, statement, severity, confidence, magnitude, window, evidence, objective
        case modelKey = "model_key"
    }
}

/// An estimate with the bounds of its 95 % interval.
package struct Interval: Codable, Sendable, Equatable {
    package var estimate: Double
    package var lower: Double
    package var upper: Double
    package init(estimate: Double, lower: Double, upper: Double) {
        self.estimate = estimate
        self.lower = lower
        self.upper = upper
    }
}

package import Core
package import StreamProcessing

/// What an analyzer says after one minute: a finding before it has an id and a life.
package struct Observation: Sendable, Equatable {
    package var analyzer: AnalyzerKind
    /// A stable, dot-separated identifier of what was found, for example `performance.errors`.
    package var code: String
    package var subject: Subject
    /// One sentence a person understands.
    package var statement: String
    package var severity: Finding.Severity
    /// Probability that the statement is true, 0...1.
    package var confidence: Double
    package var magnitude: Interval
    /// The span of event time the evidence comes from.
    package var window: Window
    /// Name to value, the numbers behind the statement.
    package var evidence: [String: Double]
    package var objective: Finding.ObjectiveName
    /// What could be done, one sentence; empty where there is nothing to do.
    package var action: String

    package init(
        _ analyzer: AnalyzerKind, _ code: String, _ subject: Subject, _ statement: String,
        severity: Finding.Severity, confidence: Double, magnitude: Interval, window: Window,
        evidence: [String: Double], objective: Finding.ObjectiveName, action: String = ""
    ) {
        self.analyzer = analyzer
        self.code = code
        self.subject = subject
        self.statement = statement
        self.severity = severity
        self.confidence = confidence
        self.magnitude = magnitude
        self.window = window
        self.evidence = evidence
        self.objective = objective
        self.action = action
    }
}

/// One statement about a route, from when it was first true until it no longer was.
package struct Finding: Codable, Sendable, Equatable {
    package var id: UUIDv7
    package var route: String
    package var analyzer: AnalyzerKind
    package var code: String
    package var subject: Subject
    package var status: Status
    /// Event time of the first and of the latest minute that said so, milliseconds since the epoch.
    package var openedAt: Int64
    package var updatedAt: Int64
    /// Event time; `nil` while it is open.
    package var closedAt: Int64?
    package var statement: String
    package var severity: Severity
    /// Of all that was seen so far; `nil` before the first update.
    private var peak: Severity?
    package var confidence: Double
    package var magnitude: Interval
    package var window: Window
    package var evidence: [String: Double]
    package var objective: ObjectiveName
    package var action: String

    /// The most severe that it has been.
    package var peakSeverity: Severity { max(peak ?? severity, severity) }

    package init(_ seen: Observation, id: UUIDv7, route: String, at: Int64) {
        self.id = id
        self.route = route
        analyzer = seen.analyzer
        code = seen.code
        subject = seen.subject
        status = .open
        openedAt = at
        updatedAt = at
        statement = seen.statement
        severity = seen.severity
        confidence = seen.confidence
        magnitude = seen.magnitude
        window = seen.window
        evidence = seen.evidence
        objective = seen.objective
        action = seen.action
    }

    /// Takes over what was seen now.
    package mutating func update(_ seen: Observation, at: Int64) {
        peak = max(peakSeverity, seen.severity)
        updatedAt = at
        statement = seen.statement
        severity = seen.severity
        confidence = seen.confidence
        magnitude = seen.magnitude
        window = seen.window
        evidence = seen.evidence
        action = seen.action
    }

    package enum Status: String, Codable, Sendable, CaseIterable { case open, closed }
    package enum Severity: String, Codable, Sendable, CaseIterable, Comparable {
        case info, warning, critical
        private var rank: Int { self == .info ? 0 : self == .warning ? 1 : 2 }
        package static func < (a: Self, b: Self) -> Bool { a.rank < b.rank }
    }
    package enum ObjectiveName: String, Codable, Sendable, CaseIterable { case quality, latency, cost, availability }

    enum CodingKeys: String, CodingKey {
        case id, route, analyzer, code, subject, status, statement, severity, confidence, magnitude, window, evidence
        case objective, action
        case peak = "peak_severity"
        case openedAt = "opened_at"
        case updatedAt = "updated_at"
        case closedAt = "closed_at"
    }
}

/// What a finding is about, within its route.
package struct Subject: Codable, Sendable, Hashable, Comparable {
    package var kind: Kind
    /// `provider/model`, a key's name and so on; empty for the route itself.
    package var name: String

    package init(_ kind: Kind, _ name: String) {
        self.kind = kind
        self.name = name
    }

    package static let route = Subject(.route, "")
    package static func model(_ key: String) -> Subject { Subject(.model, key) }

    package enum Kind: String, Codable, Sendable, CaseIterable {
        case route, model, key, project, user, prompt, template, prefix, kind, size, probe
    }

    /// `model openai/gpt-4o`.
    package var text: String { name.isEmpty ? kind.rawValue : "\(kind.rawValue) \(name)" }

    package static func < (a: Self, b: Self) -> Bool {
        (a.kind.rawValue, a.name) < (b.kind.rawValue, b.name)
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

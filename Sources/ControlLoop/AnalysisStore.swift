package import Analysis
package import Core

/// What the analyzers read and leave behind. PostgreSQL implements it, and memory does for tests, under the same
/// contract; findings and states are written with `ControlStore.update`.
package protocol AnalysisStore: Sendable {
    /// Up to where live traffic is counted: the smallest watermark of its partitions, milliseconds since the epoch; `nil`
    /// before the first record.
    func measuredThrough() async throws -> Int64?
    /// Start of the oldest stored window `requests` of a route, milliseconds since the epoch; `nil` if there is none.
    func measuredSince(_ route: RouteName) async throws -> Int64?
    /// Live results of one definition on one route, of windows that end in `range`: over all partitions, with their
    /// feedback, ordered by window, then key.
    func results(of definition: String, route: RouteName, endingIn range: Range<Int64>) async throws -> [MergedWindow]
    /// Answers of these models to fixed prompts that came in `range`, milliseconds since the epoch; oldest first.
    func probes(of models: [String], in range: Range<Int64>) async throws -> [StoredProbe]
    /// Keeps an answer to a fixed prompt; one that is kept already stays as it is.
    func keep(_ probe: StoredProbe) async throws
    /// What the analyzers knew of the route when it was last written down.
    func analysis(of route: RouteName) async throws -> StoredAnalysis?
    /// Newest first.
    func findings(_ query: FindingQuery) async throws -> [Finding]
    func finding(_ id: UUIDv7) async throws -> Finding?
}

/// What the analyzers know of a route, in a form that only the version that wrote it needs to read.
package struct StoredAnalysis: Sendable, Equatable {
    /// End of the last minute in it, milliseconds since the epoch.
    package var through: Int64
    package var state: [UInt8]

    package init(through: Int64, state: [UInt8]) {
        self.through = through
        self.state = state
    }
}

/// A model's answer to a fixed prompt: what is needed to tell it from another one, and nothing of its text.
package struct StoredProbe: Sendable, Equatable {
    /// `provider/model`.
    package var modelKey: String
    /// When the answer was there, milliseconds since the epoch.
    package var at: Int64
    package var result: ProbeResult

    package init(modelKey: String, at: Int64, result: ProbeResult) {
        self.modelKey = modelKey
        self.at = at
        self.result = result
    }
}

/// One page of findings, newest first; `nil` is any.
package struct FindingQuery: Sendable {
    package var route: RouteName?
    package var analyzer: AnalyzerKind?
    package var code: String?
    package var status: Finding.Status?
    package var severity: Finding.Severity?
    package var before: UUIDv7?
    /// 1...500.
    package var limit: Int

    package init(
        route: RouteName? = nil, analyzer: AnalyzerKind? = nil, code: String? = nil, status: Finding.Status? = nil,
        severity: Finding.Severity? = nil, before: UUIDv7? = nil, limit: Int = 50
    ) {
        self.route = route
        self.analyzer = analyzer
        self.code = code
        self.status = status
        self.severity = severity
        self.before = before
        self.limit = limit
    }
}

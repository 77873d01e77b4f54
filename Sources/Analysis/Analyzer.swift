package import Core
import StreamProcessing

/// Looks at a route minute by minute and says what stands. Its state is its own and bounded; it reads no clock and draws
/// no randomness, so that the same minutes give the same statements, live and in a backtest.
package protocol Analyzer: Codable, Sendable {
    static var kind: AnalyzerKind { get }
    static var thresholds: [Threshold] { get }
    init()
    /// Takes in the next minute, and says what stands after it: the same as before while it lasts.
    mutating func observe(_ minute: RouteMinute, _ context: RouteContext) -> [Observation]
}

extension AnalyzerKind {
    /// The registry.
    private var type: any Analyzer.Type {
        switch self {
        case .performance: PerformanceAnalyzer.self
        case .cost: CostAnalyzer.self
        case .quality: QualityAnalyzer.self
        case .pattern: PatternAnalyzer.self
        case .anomaly: AnomalyAnalyzer.self
        }
    }

    package var thresholds: [Threshold] { type.thresholds }
}

/// All that the analyzers know of one route. Written down now and then; what came since is taken in again.
package struct RouteAnalysis: Codable, Sendable {
    private var performance = PerformanceAnalyzer()
    private var cost = CostAnalyzer()
    private var quality = QualityAnalyzer()
    private var pattern = PatternAnalyzer()
    private var anomaly = AnomalyAnalyzer()
    package private(set) var book: FindingBook
    /// End of the last minute taken in, milliseconds since the epoch; `nil` before the first.
    package private(set) var through: Int64?

    package init(open: [Finding] = []) { book = FindingBook(open: open) }

    /// Takes in the next minute; one that is not later than the last is nothing, nor are those before the first request:
    /// a route that has just begun was not silent before.
    package mutating func observe(
        _ minute: RouteMinute, _ context: RouteContext, using generator: inout some RandomNumberGenerator
    ) -> [FindingBook.Change] {
        if let through, minute.window.end <= through { return [] }
        if through == nil, minute.models.isEmpty { return [] }
        through = minute.window.end
        var seen: [Observation] = []
        if context.settings.runs(.performance) { seen += performance.observe(minute, context) }
        if context.settings.runs(.cost) { seen += cost.observe(minute, context) }
        if context.settings.runs(.quality) { seen += quality.observe(minute, context) }
        if context.settings.runs(.pattern) { seen += pattern.observe(minute, context) }
        if context.settings.runs(.anomaly) { seen += anomaly.observe(minute, context) }
        return book.take(
            seen, of: context.route, now: minute.window.end, closeAfterMs: context.settings.closeAfterMs,
            using: &generator)
    }

    /// Says that nothing has been counted since `through`. What else stands is neither repeated nor closed: nothing is
    /// known of it.
    ///
    /// - Parameter now: milliseconds since the epoch, by the clock.
    package mutating func missing(
        since through: Int64, _ context: RouteContext, now: Int64, using generator: inout some RandomNumberGenerator
    ) -> [FindingBook.Change] {
        guard context.settings.runs(.anomaly) else { return [] }
        return book.take(
            [AnomalyAnalyzer.telemetryGap(Window(start: through, end: now), isOver: false)], of: context.route,
            now: now,
            closeAfterMs: .max, using: &generator)
    }

    /// Series that are watched for anomalies.
    package var series: Int { anomaly.series }
}

/// What the analyzers know of a route besides its traffic.
package struct RouteContext: Sendable, Equatable {
    package var route: String
    package var objective: Limits
    package var settings: AnalyzerSettings
    /// By `provider/model`, as listed at the end of the minute.
    package var prices: [String: TokenPrice] = [:]
    /// Series that are watched over all routes together, at least 1: false alarms are shared between them.
    package var series = 1

    package init(route: String, objective: Limits = Limits(), settings: AnalyzerSettings = AnalyzerSettings()) {
        self.route = route
        self.objective = objective
        self.settings = settings
    }

    /// The limits of the route's objective; `nil` is not limited.
    package struct Limits: Sendable, Equatable {
        package var latencyP95Ms: Double?
        package var ttftP95Ms: Double?
        /// Lowest mean quality, 0...1.
        package var qualityFloor: Double?
        package var budgetDayUSD: Double?

        package init(
            latencyP95Ms: Double? = nil, ttftP95Ms: Double? = nil, qualityFloor: Double? = nil,
            budgetDayUSD: Double? = nil
        ) {
            self.latencyP95Ms = latencyP95Ms
            self.ttftP95Ms = ttftP95Ms
            self.qualityFloor = qualityFloor
            self.budgetDayUSD = budgetDayUSD
        }
    }
}

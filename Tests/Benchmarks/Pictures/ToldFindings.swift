import Analysis
import Core

/// A finding of a picture, as it was first told, with the time it stood.
struct ToldFinding {
    var analyzer: AnalyzerKind
    var code: String
    var statement: String
    var severity: Finding.Severity
    /// Event time, milliseconds since the epoch; `nil` while it stands.
    var openedAt: Int64
    var closedAt: Int64?
}

/// The whole analysis of one route, and what it said of which time.
struct ToldFindings {
    var context: RouteContext
    private(set) var analysis = RouteAnalysis()
    private var random: SplitMix64
    private var told: [(id: UUIDv7, finding: ToldFinding)] = []

    init(route: String, seed: UInt64) {
        context = RouteContext(route: route)
        random = SplitMix64(seed: seed)
    }

    mutating func observe(_ minute: RouteMinute) {
        for change in analysis.observe(minute, context, using: &random) {
            let finding = change.finding
            switch change {
            case .opened:
                let new = ToldFinding(
                    analyzer: finding.analyzer, code: finding.code, statement: finding.statement,
                    severity: finding.severity, openedAt: finding.openedAt)
                told.append((finding.id, new))
            case .updated, .raised, .closed:
                guard let place = told.firstIndex(where: { $0.id == finding.id }) else { continue }
                told[place].finding.closedAt = finding.closedAt
                told[place].finding.severity = max(told[place].finding.severity, finding.severity)
            }
        }
    }

    /// What one analyzer said that stood in these times, the first first.
    func findings(_ analyzer: AnalyzerKind, in span: Range<Int64>, without: Set<String> = []) -> [ToldFinding] {
        told.map(\.finding).filter {
            $0.analyzer == analyzer && !without.contains($0.code) && $0.openedAt < span.upperBound
                && ($0.closedAt ?? .max) > span.lowerBound
        }
    }
}

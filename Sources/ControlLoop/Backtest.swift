package import Analysis
package import Core
import Policy
import StreamProcessing

/// What the analyzers would have said of a route in a span of the past.
package struct Backtest: Encodable, Sendable {
    package var route: RouteName
    /// Milliseconds since the epoch.
    package var from: Int64
    package var to: Int64
    /// Minutes with requests, of those looked at before the span to warm up and of those in it.
    package var warmUpMinutes = 0
    package var minutes = 0
    /// In the order of their beginning; those that began before the span are there if they still stood in it.
    package var findings: [Finding] = []

    enum CodingKeys: String, CodingKey {
        case route, from, to, minutes, findings
        case warmUpMinutes = "warm_up_minutes"
    }
}

extension AnalysisDriver {
    /// The longest span, milliseconds.
    package static let longestBacktestMs: Int64 = 31 * 86_400_000

    /// Runs the analyzers over stored windows, from nothing.
    ///
    /// - Parameters:
    ///   - choices: Tried in place of what is configured and what the route chose; by analyzer.
    ///   - warmUpMs: How long before the span they begin.
    /// - Throws: `TrimtabError` `store.no_route`, or the store's own.
    package func backtest(
        _ route: RouteName, in range: Range<Int64>, choices: [String: AnalyzerChoices] = [:], warmUpMs: Int64
    ) async throws -> Backtest {
        guard let state = try await store.state(of: route) else {
            throw TrimtabError("store.no_route", "There is no route \(route).", remedy: "See `trimtab routes list`.")
        }
        var context = RouteContext(state.route, settings, try await store.prices())
        context.settings = context.settings.with(choices)
        let probed = state.servingTargets.map(\.modelKey)
        var analysis = RouteAnalysis()
        var report = Backtest(route: route, from: range.lowerBound, to: range.upperBound)
        var found: [UUIDv7: Finding] = [:]
        // The same every time.
        var generator = SplitMix64(seed: Hash64.hash(route.description, salt: UInt64(bitPattern: range.lowerBound)))
        var start = reader.floor(range.lowerBound - warmUpMs)
        let end = reader.floor(range.upperBound)
        while start < end {
            let stop = min(end, start + Self.chunk * reader.stepMs)
            for minute in try await reader.minutes(of: route, in: start..<stop, probed: probed, from: store) {
                let isInside = minute.window.end > range.lowerBound
                if !minute.models.isEmpty { if isInside { report.minutes += 1 } else { report.warmUpMinutes += 1 } }
                context.series = max(1, analysis.series)
                for change in analysis.observe(minute, context, using: &generator) {
                    found[change.finding.id] = change.finding
                }
            }
            start = stop
            try Task.checkCancellation()
        }
        for finding in analysis.book.open { found[finding.id] = finding }
        report.findings = found.values.filter { ($0.closedAt ?? .max) > range.lowerBound }
            .sorted { ($0.openedAt, $0.id) < ($1.openedAt, $1.id) }
        return report
    }
}

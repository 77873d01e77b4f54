import Statistics
import StreamProcessing

/// What a route's traffic is like: its rhythm, its growth, who sends it, and how alike its prompts are. Nothing here is an
/// alarm.
package struct PatternAnalyzer: Analyzer, Equatable {
    package static let kind = AnalyzerKind.pattern
    package static let thresholds = Threshold.pattern
    /// How long a window of prompts is taken to describe the present, milliseconds after its end.
    private static let promptsLastMs: Int64 = 3_600_000
    private static let dayMs: Int64 = 86_400_000

    private var hourly = HourlyRequests()
    private var seasonality: Seasonality?
    private var growth: WeeklyGrowth?
    private var burst = Burst()
    private var prompts: PromptWindow?
    private var sessions = SessionShape()
    private var mix = KindMix()
    /// Codes of what the last window of prompts said.
    private var standing: Set<String> = []

    package init() {}

    package mutating func observe(_ minute: RouteMinute, _ context: RouteContext) -> [Observation] {
        count(minute)
        for result in minute.results where result.key.window == WindowDefinition.prompts {
            take(result, context.settings)
        }
        return statements(context.settings, now: minute.window.end)
    }

    private mutating func count(_ minute: RouteMinute) {
        guard !minute.isGap else { return burst.forget() }
        var requests: Int64 = 0
        for model in minute.models { requests += model.users.requests }
        if hourly.add(requests, lengthMs: minute.length, at: minute.window.start) {
            burst.close()
            seasonality = Seasonality(hourly.complete())
            // Once a day, so that it is one look.
            if minute.window.start % Self.dayMs < HourlyRequests.hourMs {
                growth = WeeklyGrowth(hourly.complete(last: 2 * HourRate.hoursOfWeek))
            }
        }
        burst.add(requests)
    }

    private mutating func take(_ result: MergedWindow, _ settings: AnalyzerSettings) {
        let window = PromptWindow(result)
        standing = Set(window.statements(standing: standing, settings).map(\.code))
        prompts = window
        if let kinds = result.aggregate.summary(.kind) {
            mix.add(kinds, result.window, threshold: settings[.mixShift])
        }
        let messages = result.aggregate[.messages]
        sessions.add(
            .init(
                sum: messages.moments.sum, count: messages.moments.n, p50: messages.sketch.quantile(0.5),
                p95: messages.sketch.quantile(0.95)),
            requests: result.aggregate.requests, sessions: result.aggregate.distinct(.session)?.estimate ?? 0,
            at: result.window.start)
    }

    private func statements(_ settings: AnalyzerSettings, now: Int64) -> [Observation] {
        var seen =
            [
                seasonality?.statement(settings, now: now), growth?.statement(settings, now: now),
                burst.statement(settings, now: now), mix.found?.statement(),
            ].compactMap { $0 } + sessions.found.compactMap { $0.statement(settings) }
        if let prompts, now - prompts.window.end <= Self.promptsLastMs {
            seen += prompts.statements(standing: standing, settings)
        }
        return seen
    }
}

package import Analysis
package import Core
import Foundation
import Policy
import StreamProcessing

/// Feeds the analyzers of all routes from a store, minute by minute, and writes down what they find.
///
/// What they know is held here and stored now and then; after a restart, or when another process leads, they go on from
/// what is stored, and come to the same findings. Only the leader does this.
package struct AnalysisDriver: Sendable {
    package let settings: AnalyzerSettings
    package var store: any ControlStore & AnalysisStore
    /// Told of every route's new findings, for metrics.
    package var observe: @Sendable (AnalysisNews) -> Void = { _ in }
    let reader: MinuteReader
    private var routes: [RouteName: Held] = [:]

    private struct Held: Sendable {
        var analysis: RouteAnalysis
        /// End of the last minute in the stored state.
        var storedThrough: Int64
        /// When it was last said that nothing is counted, by the clock.
        var missedAt: Int64 = 0
    }

    /// Minutes of one route taken in at a time.
    static let chunk: Int64 = 120
    /// What is older is not caught up with, milliseconds: the analyzers begin anew.
    private static let horizonMs: Int64 = 7 * 86_400_000
    /// Between two times that a route's state is stored when nothing was found, milliseconds.
    private static let storeEveryMs: Int64 = 600_000
    /// How far the stream may lag before that is said, milliseconds beside the length of a window.
    private static let lagMs: Int64 = 120_000
    /// How long what a gateway said of its records holds once it is silent, milliseconds: enough to start it again. A
    /// gateway that is gone for good must not hide for ever that the traffic is gone too.
    package static let reportLifeMs: Int64 = 900_000

    /// - Parameter windowMs: length of the windows `requests`.
    package init(settings: AnalyzerSettings, store: any ControlStore & AnalysisStore, windowMs: Int64) {
        self.settings = settings
        self.store = store
        reader = MinuteReader(stepMs: max(60_000, windowMs), feedbackDelayMs: settings.feedbackDelayMs)
    }

    /// Takes in the minutes that are complete. A route that fails does not keep the others waiting; the first error is
    /// thrown at the end.
    package mutating func tick(now: Int64, seed: UInt64) async throws {
        guard let through = try await store.measuredThrough() else { return }
        let names = try await store.routes()
        routes = routes.filter { names.contains($0.key) }
        let prices = try await store.prices()
        let unshipped = try await store.gateways().filter { now - $0.seenAt <= Self.reportLifeMs }
            .compactMap(\.unshippedSince).min()
        let series = max(1, routes.values.reduce(0) { $0 + $1.analysis.series })
        var failure: (any Error)?
        for name in names {
            do {
                try await tick(
                    name, through: min(through, now), now: now, unshipped: unshipped, prices: prices, series: series,
                    seed: seed)
            } catch {
                // What is held may differ from what is stored.
                routes[name] = nil
                observe(.failed(name))
                failure = failure ?? error
            }
        }
        if let failure { throw failure }
    }

    /// - Parameter unshipped: since when records are missing that a gateway still has.
    private mutating func tick(
        _ name: RouteName, through: Int64, now: Int64, unshipped: Int64?, prices: PriceBook, series: Int, seed: UInt64
    ) async throws {
        guard var held = try await held(name, through: through) else { return }
        let start = held.analysis.through ?? held.storedThrough
        let end = min(reader.floor(through), start + Self.chunk * reader.stepMs)
        let isMissed = now - through > Self.lagMs + reader.stepMs && abs(now - held.missedAt) >= reader.stepMs
        guard end > start || isMissed, let state = try await store.state(of: name) else {
            routes[name] = held
            return
        }
        var generator = SplitMix64(seed: Hash64.hash(name.description, salt: seed))
        var context = RouteContext(state.route, settings, prices)
        context.series = series
        var changes: [FindingBook.Change] = []
        var hasGap = false
        if end > start {
            let probed = state.servingTargets.map(\.modelKey)
            for var minute in try await reader.minutes(of: name, in: start..<end, probed: probed, from: store) {
                minute.isGap = unshipped.map { minute.window.end > $0 } ?? false
                hasGap = hasGap || minute.isGap
                changes += held.analysis.observe(minute, context, using: &generator)
            }
        }
        if isMissed {
            held.missedAt = now
            changes += held.analysis.missing(since: through, context, now: now, using: &generator)
        }
        let analyzed = held.analysis.through ?? start
        // That a minute was a gap is known now and not after a restart.
        let isDue = !changes.isEmpty || hasGap || analyzed - held.storedThrough >= Self.storeEveryMs
        if isDue {
            let stored = StoredAnalysis(through: analyzed, state: Array(try JSONEncoder().encode(held.analysis)))
            let effects = changes.map { ControlEffect.saveFinding($0) } + [.saveAnalysis(stored)]
            try await store.update(name) { _ in (effects, ()) }
            held.storedThrough = analyzed
        }
        routes[name] = held
        observe(.analyzed(name, changes: changes, open: held.analysis.book.open, lagMs: now - analyzed))
    }

    /// As it is held, else as stored, else anew with the findings that are open; `nil` before the first request.
    private func held(_ name: RouteName, through: Int64) async throws -> Held? {
        if let held = routes[name] { return held }
        guard let since = try await store.measuredSince(name) else { return nil }
        let begin = reader.floor(max(since, through - Self.horizonMs))
        if let stored = try await store.analysis(of: name), stored.through >= begin,
            let analysis = try? JSONDecoder().decode(RouteAnalysis.self, from: Data(stored.state))
        {
            return Held(analysis: analysis, storedThrough: stored.through)
        }
        let open = try await store.findings(
            FindingQuery(route: name, status: .open, limit: FindingBook.mostOpen))
        return Held(analysis: RouteAnalysis(open: open), storedThrough: begin)
    }
}

/// What a driver tells of its work.
package enum AnalysisNews: Sendable {
    /// `lagMs`: how far what is analyzed lies behind the clock.
    case analyzed(RouteName, changes: [FindingBook.Change], open: [Finding], lagMs: Int64)
    case failed(RouteName)
}

extension RouteContext {
    /// - Parameter settings: of all routes; what the route chose for itself goes before them.
    init(_ route: Route, _ settings: AnalyzerSettings, _ prices: PriceBook) {
        let objective = route.objective
        let limits = Limits(
            latencyP95Ms: objective.latency.p95Ms, ttftP95Ms: objective.latency.ttftP95Ms,
            qualityFloor: objective.quality.floor, budgetDayUSD: objective.cost.budgetDayUSD)
        self.init(route: route.name.description, objective: limits, settings: settings.with(route.analyzers))
        self.prices = prices.prices
    }
}

import Analysis
import Core
import Statistics
import StreamProcessing
import Telemetry

/// Puts the minutes of a route together from what the stream stored.
struct MinuteReader: Sendable {
    /// A minute, or a window where those are longer; milliseconds.
    let stepMs: Int64
    let feedbackDelayMs: Int64

    /// The other windows that the analyzers read.
    static let others = [WindowDefinition.spend, WindowDefinition.prompts, WindowDefinition.sizes]

    func floor(_ ms: Int64) -> Int64 { ms - (ms % stepMs + stepMs) % stepMs }

    /// - Parameters:
    ///   - range: of whole minutes.
    ///   - probed: model keys that the route's policies name.
    func minutes(
        of route: RouteName, in range: Range<Int64>, probed: [String], from store: any AnalysisStore
    ) async throws -> [RouteMinute] {
        let requests = try await store.results(
            of: WindowDefinition.requests, route: route, endingIn: range.lowerBound + 1..<range.upperBound + 1)
        let delay = floor(feedbackDelayMs)
        let judged = try await store.results(
            of: WindowDefinition.requests, route: route,
            endingIn: range.lowerBound - delay + 1..<range.upperBound - delay + 1)
        var others: [MergedWindow] = []
        for name in Self.others {
            others += try await store.results(
                of: name, route: route, endingIn: range.lowerBound + 1..<range.upperBound + 1)
        }
        // Those of the minute before: a late one of this minute may still be on its way to the store, and whoever reads the
        // minute again must find the same.
        let probes = try await store.probes(
            of: probed, in: range.lowerBound - stepMs..<range.upperBound - stepMs)
        let unanswered = Dictionary(probed.map { ($0, [ProbeResult]()) }, uniquingKeysWith: { first, _ in first })
        // The minute that a window ends in.
        func minute(_ window: MergedWindow) -> Int64 { floor(window.window.end - 1) }
        let byMinute = Dictionary(grouping: requests, by: minute)
        let feedbackByMinute = Dictionary(grouping: judged) { minute($0) + delay }
        let othersByMinute = Dictionary(grouping: others, by: minute)
        let probesByMinute = Dictionary(grouping: probes) { floor($0.at) + stepMs }
        return stride(from: range.lowerBound, to: range.upperBound, by: Int64.Stride(stepMs)).map { start in
            var whole = RouteMinute(Window(start: start, end: start + stepMs), byMinute[start] ?? [])
            whole.feedback = Self.feedback(feedbackByMinute[start] ?? [])
            whole.results = othersByMinute[start] ?? []
            whole.probes = unanswered
            for probe in probesByMinute[start] ?? [] { whole.probes[probe.modelKey, default: []].append(probe.result) }
            return whole
        }
    }

    /// By model and policy, over all arms that serve users.
    private static func feedback(_ windows: [MergedWindow]) -> [ModelFeedback] {
        struct Version: Hashable {
            var model: String
            var policy: Int
        }
        var found: [Version: ModelFeedback] = [:]
        for window in windows where window.key.arm != .shadow {
            let version = Version(model: window.key.modelKey, policy: window.key.policy)
            var entry =
                found[version]
                ?? ModelFeedback(modelKey: version.model, policy: version.policy, values: [:], answers: 0)
            entry.answers += window.aggregate.requests - window.aggregate.failures
            for (name, values) in window.feedback { entry.values[name, default: Moments()].merge(values) }
            found[version] = entry
        }
        return found.values.sorted { ($0.modelKey, $0.policy) < ($1.modelKey, $1.policy) }
    }
}

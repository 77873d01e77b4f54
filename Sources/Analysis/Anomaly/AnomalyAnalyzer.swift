import Foundation
import StreamProcessing

/// Looks for what is unlike the series' own past: of the route its requests and failures, of each model its failures,
/// latencies, time to first token, cost, tokens, speed and answers to fixed prompts.
///
/// A change is told when the evidence for it is enough for all series and looks together; an unusual course alone is
/// only worth a note. A minute whose records are missing is a gap: nothing is learnt from it or said about it.
package struct AnomalyAnalyzer: Analyzer, Equatable {
    package static let kind = AnalyzerKind.anomaly
    package static let thresholds: [Threshold] = [
        .anomalyConfidence, .leastChange, .criticalChange, .leastErrors, .criticalErrors, .rateChange,
    ]
    /// Models of a route that are watched; further ones are left out.
    package static let mostModels = 64

    private var traffic = TrafficWatch()
    private var models: [String: ModelWatch] = [:]
    /// Start of the gap that the newest minute is part of.
    private var gapSince: Int64?

    package init() {}

    /// Series that are watched.
    package var series: Int { TrafficWatch.count + models.count * ModelWatch.count }

    package mutating func observe(_ minute: RouteMinute, _ context: RouteContext) -> [Observation] {
        if minute.isGap {
            let since = gapSince ?? minute.window.start
            gapSince = since
            return [Self.telemetryGap(Window(start: since, end: minute.window.end), isOver: true)]
        }
        gapSince = nil
        let settings = context.settings, at = minute.window.end
        let limit = AlarmLimit(confidence: settings[.anomalyConfidence], series: max(series, context.series))
        let least = log(1 + settings[.leastChange])
        var requests: Int64 = 0, failures: Int64 = 0
        for model in minute.models {
            requests += model.users.requests
            failures += model.users.failures
            guard models[model.modelKey] != nil || models.count < Self.mostModels else { continue }
            models[model.modelKey, default: ModelWatch()].add(model, at: at, limit: limit.single, least: least)
        }
        let probed = minute.probes.sorted { $0.key < $1.key }
        for (name, answers) in probed {
            guard models[name] != nil || !answers.isEmpty && models.count < Self.mostModels else { continue }
            models[name, default: ModelWatch()].probes.add(answers, at: at, limit: limit.single)
        }
        traffic.add(requests: Double(requests), failures: Double(failures), at: at, limit: limit.single)
        let enough = limit.joint(traffic.evidence + models.values.flatMap(\.evidence))
        traffic.settle(settings, limit: enough, at: at)
        for model in minute.models { models[model.modelKey]?.settle(settings, limit: enough, at: at) }
        for (name, _) in probed { models[name]?.probes.settle(limit: enough, at: at) }
        return statements(minute, Telling(window: minute.window, settings: settings, limit: limit))
    }

    private mutating func statements(_ minute: RouteMinute, _ telling: Telling) -> [Observation] {
        // A model can have changed that nobody asked anything in this minute.
        var told = minute.probes.keys.sorted().compactMap { models[$0]?.probes.statement(.model($0), telling) }
        for model in minute.models {
            told += models[model.modelKey]?.statements(.model(model.modelKey), model.users, telling) ?? []
        }
        if let traffic = traffic.rateStatement(telling) { told.append(traffic) }
        // What one model's failures say is not said again of the route.
        if !told.contains(where: { $0.code == "anomaly.errors" }),
            let failures = traffic.failures.errorStatement(.route, minute, telling)
        {
            told.append(failures)
        }
        return told
    }

    /// - Parameter isOver: whether the span is known to be without records, or nothing is known of it yet.
    static func telemetryGap(_ window: Window, isOver: Bool) -> Observation {
        let minutes = Double(window.end - window.start) / 60_000
        return Observation(
            .anomaly, "anomaly.telemetry_gap", .route,
            isOver
                ? "Records of \(minutes.fixed(0)) min are missing: what happened then is not known."
                : "Nothing has been counted for \(minutes.fixed(0)) min: the stream lags or stands still.",
            severity: .warning, confidence: 1, magnitude: Interval(estimate: minutes, lower: minutes, upper: minutes),
            window: window, evidence: ["minutes": minutes], objective: .availability,
            action: "See `trimtab stream lag`, and whether the gateways reach the event log.")
    }
}

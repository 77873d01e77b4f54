import ControlLoop
import Core
import Hummingbird
import Policy
import Statistics
import StreamProcessing
import Telemetry

extension ControlAPI {
    /// Windows of one definition in the answer, at most.
    private static let mostWindows = 1_000

    /// Results of one declared window.
    func declaredWindows(_ call: Call, named name: String) async throws -> Response {
        guard let definition = settings.windows.first(where: { $0.name == name }) else {
            let names = settings.windows.map(\.name).joined(separator: ", ")
            throw Problem.notFound("No window is named '\(name)'.", remedy: "There are: \(names).")
        }
        let to = try call.number("to") ?? hooks.now()
        let from = try call.number("from") ?? to - (try call.number("span_ms") ?? 3_600_000)
        guard from < to else { throw Violation("?from", "'from' lies before 'to'.") }
        var query = DeclaredWindowQuery(definition, range: from..<to, limit: Self.mostWindows)
        query.values = try dimensions(call, definition)
        if let step = try call.number("step_ms") {
            guard let level = WindowLevel.allCases.first(where: { $0.stepMs == step }) else {
                throw Violation("?step_ms", "Windows are shown as declared, or by steps of 3600000 or 86400000 ms.")
            }
            guard case .tumbling = definition.assigner else {
                throw Violation("?step_ms", "Only tumbling windows add up to longer ones; '\(name)' is not tumbling.")
            }
            query.level = level
            query.range = RoundedTime.floor(from, to: step)..<to
        }
        if let job = call.query["job"] { query.job = job }
        let kind = try call.choice("kind", PaneKind.allCases.map(\.rawValue))
        let found = try await records.declaredWindows(query)
        let views = found.filter { kind == nil || $0.kind.rawValue == kind }.map { DeclaredView($0, definition) }
        return Answer.json(
            DeclaredAnswer(
                window: name, from: query.range.lowerBound, to: to, stepMs: query.level.stepMs,
                truncated: found.count >= Self.mostWindows, items: views))
    }

    /// `?route=` and `?key=dimension=value`, several separated by commas.
    private func dimensions(
        _ call: Call, _ definition: WindowDefinition
    ) throws -> [WindowDimension: String] {
        var values: [WindowDimension: String] = [:]
        var pairs = call.query["key"]?.split(separator: ",").map(String.init) ?? []
        if let route = call.query["route"] { pairs.append("route=\(route)") }
        for pair in pairs {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 2, let dimension = WindowDimension(rawValue: parts[0]),
                definition.key.contains(dimension)
            else {
                let known = definition.key.map(\.rawValue).joined(separator: ", ")
                throw Violation(
                    "?key", "'\(pair)' is not dimension=value. The window '\(definition.name)' is grouped by \(known).")
            }
            values[dimension] = parts[1]
        }
        return values
    }
}

private struct DeclaredAnswer: Encodable {
    let window: String
    let from, to: Int64
    let stepMs: Int64?
    let truncated: Bool
    let items: [DeclaredView]

    enum CodingKeys: String, CodingKey {
        case window, from, to, truncated, items
        case stepMs = "step_ms"
    }
}

/// One window of one key; unknown figures are left out.
private struct DeclaredView: Encodable {
    let start, end: Int64
    let kind: String
    let final: Bool
    let key: [String: String]
    let requests, failures, unknownCost: Int64
    let measures: [String: MeasureView]
    let errors, signals: [String: Int64]
    let distinct: [String: Double]
    let top: [String: [TopView]]
    let feedback: [String: FeedbackView]

    init(_ window: DeclaredWindow, _ definition: WindowDefinition) {
        let aggregate = window.aggregate
        (start, end) = (window.window.start, window.window.end)
        (kind, final) = (window.kind.rawValue, window.isFinal)
        key = Dictionary(window.key.values(definition).map { ($0.dimension.rawValue, $0.value) }) { $1 }
        (requests, failures, unknownCost) = (aggregate.requests, aggregate.failures, aggregate.unknownCost)
        measures = Dictionary(
            aggregate.fields.map {
                ($0.rawValue, MeasureView(aggregate[$0], quantiles: definition.aggregates.quantiles.contains($0)))
            }
        ) { $1 }
        errors = Dictionary(aggregate.errors.map { ($0.key.rawValue, $0.value) }) { $1 }
        signals = Dictionary(aggregate.signals.map { ($0.key.rawValue, $0.value) }) { $1 }
        distinct = Dictionary(
            zip(definition.aggregates.distinct, aggregate.distinct).map { ($0.rawValue, $1.estimate.rounded()) }
        ) { $1 }
        top = Dictionary(
            zip(definition.aggregates.top, aggregate.top).map { items, summary in
                (items.item.rawValue, summary.top(TopView.most).map(TopView.init))
            }
        ) { $1 }
        feedback = window.feedback.mapValues { FeedbackView($0, of: aggregate.requests) }
    }

    enum CodingKeys: String, CodingKey {
        case start, end, kind, final, key, requests, failures, measures, errors, signals, distinct, top, feedback
        case unknownCost = "unknown_cost"
    }
}

private struct MeasureView: Encodable {
    let count: Int64
    let sum: Double
    let mean, variance, min, max, p50, p95, p99: Double?

    init(_ measure: Measure, quantiles: Bool) {
        // A window with a sketch alone was stored by an earlier version.
        count = Swift.max(measure.moments.n, measure.sketch.count)
        sum = measure.moments.sum
        (mean, variance) = (measure.moments.mean, measure.moments.variance)
        min = measure.minimum.isFinite ? measure.minimum : nil
        max = measure.maximum.isFinite ? measure.maximum : nil
        (p50, p95, p99) = (
            quantiles ? measure.sketch.quantile(0.5) : nil, quantiles ? measure.sketch.quantile(0.95) : nil,
            quantiles ? measure.sketch.quantile(0.99) : nil
        )
    }
}

private struct TopView: Encodable {
    /// Items shown of one summary.
    static let most = 10
    let item: String
    /// At most `error` too high.
    let count, error: Int64

    init(_ counter: SpaceSaving.Counter) { (item, count, error) = (counter.item, counter.count, counter.error) }
}

private struct FeedbackView: Encodable {
    let n: Int64
    let mean: Double?
    /// Judgements for each request; above 1 where requests got several of this name.
    let joinRate: Double?

    init(_ moments: Moments, of requests: Int64) {
        (n, mean) = (moments.n, moments.mean)
        joinRate = requests > 0 ? Double(moments.n) / Double(requests) : nil
    }

    enum CodingKeys: String, CodingKey {
        case n, mean
        case joinRate = "join_rate"
    }
}

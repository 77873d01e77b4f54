import Analysis
import ControlLoop
import Core
import Hummingbird
import Policy

extension ControlAPI {
    static let findingEndpoints: [Endpoint] = [
        Endpoint(
            "GET", "/api/v1/findings", .viewer, "Lists findings, newest first.",
            query: ["route", "analyzer", "code", "status", "severity", "limit", "cursor"]
        ) { api, call in
            var query = FindingQuery(code: call.query["code"])
            query.analyzer = try call.choice("analyzer")
            query.status = try call.choice("status")
            query.severity = try call.choice("severity")
            let wanted = query
            let page = try await call.page(id: \Finding.id, view: { $0 }) { place in
                var query = wanted
                (query.route, query.before, query.limit) = (place.route, place.before, place.limit)
                return try await api.store.findings(query)
            }
            return Answer.json(page)
        },
        Endpoint("GET", "/api/v1/findings/{id}", .viewer, "One finding.") { api, call in
            let id = try call.id("finding")
            guard let finding = try await api.store.finding(id) else {
                throw Problem.notFound(
                    "There is no finding \(id).", remedy: "`trimtab findings list` shows those there are.")
            }
            return Answer.resource(finding, for: call)
        },
        Endpoint(
            "GET", "/api/v1/routes/{name}/analysis", .viewer,
            "What the analyzers would have said in a span of the past, with other thresholds if given.",
            query: ["from", "to", "warm_up_ms", "set"]
        ) { api, call in try await api.backtest(call) },
        Endpoint("GET", "/api/v1/analyzers", .viewer, "The analyzers and their thresholds.") { _, _ in
            Answer.json(Page(items: AnalyzerKind.allCases.map(AnalyzerView.init), nextCursor: nil))
        },
    ]

    private func backtest(_ call: Call) async throws -> Response {
        let route = try await state(try call.route()).route.name
        guard let analyze = hooks.analyze else {
            throw Problem(
                status: 503, code: "analysis.elsewhere", detail: "This process does not analyze.",
                remedy: "Ask one with the role control.")
        }
        let to = try call.number("to") ?? hooks.now()
        let from = try call.number("from") ?? to - 86_400_000
        guard from < to, to - from <= AnalysisDriver.longestBacktestMs else {
            throw Violation("?from", "'from' lies before 'to', and at most 31 days before it.")
        }
        let warmUp = try call.number("warm_up_ms") ?? 86_400_000
        guard warmUp <= AnalysisDriver.longestBacktestMs else {
            throw Violation("?warm_up_ms", "The warm-up is at most 31 days.")
        }
        let choices = try call.query["set"].map(Self.choices) ?? [:]
        if let (place, words) = AnalyzerSettings.problem(in: choices) { throw Violation("?set", "\(place): \(words)") }
        return Answer.json(try await analyze(route, from..<to, choices, warmUp))
    }

    /// `cost.enabled=false,performance.error_rise=0.02`.
    private static func choices(_ text: String) throws -> [String: AnalyzerChoices] {
        var choices: [String: AnalyzerChoices] = [:]
        for entry in text.split(separator: ",") {
            guard let match = entry.wholeMatch(of: /([a-z]+)\.([a-z0-9_]+)=(.+)/) else {
                throw Violation("?set", "'\(entry)' is not analyzer.threshold=value.")
            }
            let (analyzer, name, value) = (String(match.1), String(match.2), String(match.3))
            if name == "enabled", let enabled = Bool(value) {
                choices[analyzer, default: AnalyzerChoices()].enabled = enabled
            } else if name != "enabled", let number = Double(value) {
                choices[analyzer, default: AnalyzerChoices()].thresholds[name] = number
            } else {
                throw Violation("?set", "'\(value)' is no value for \(analyzer).\(name).")
            }
        }
        return choices
    }
}

private struct AnalyzerView: Encodable {
    let name: AnalyzerKind
    let thresholds: [ThresholdView]

    init(_ kind: AnalyzerKind) {
        name = kind
        thresholds = kind.thresholds.map(ThresholdView.init)
    }

    struct ThresholdView: Encodable {
        let name: String
        let standard: Double
        let minimum: Double
        let maximum: Double
        let summary: String

        init(_ threshold: Threshold) {
            name = threshold.name
            standard = threshold.standard
            minimum = threshold.range.lowerBound
            maximum = threshold.range.upperBound
            summary = threshold.summary
        }

        enum CodingKeys: String, CodingKey {
            case name, minimum, maximum, summary
            case standard = "default"
        }
    }
}

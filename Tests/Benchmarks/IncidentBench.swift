import Analysis
import ControlLoop
import Core
import Foundation
import Policy
import Simulation
import Statistics
import StreamProcessing
import Telemetry

/// A real incident, told by the backtest from recorded answers.
///
/// On 2 October 2024 the name `gpt-4o` passed from the model of May to that of August, at half the price. Asked for function
/// calls in a prompt, the new one put its answer into a code fence, which the reader of such answers refused: what was
/// right 79 times in a hundred was then right 26 times. Both models' answers to the same 1,155 prompts are recorded. The
/// arrivals are ours: one request a second for three days, of which one in four is scored.
enum IncidentBench: Benchmark {
    static let name = "analyzers-incident"
    private static let set = "bfcl_2024_08"
    private static let models = (before: "gpt-4o-2024-05-13", after: "gpt-4o-2024-08-06")
    private static let model = "openai/gpt-4o"
    private static let perMinute = 60.0
    private static let scored = 0.25
    private static let dayMs: Int64 = 86_400_000
    private static let minuteMs: Int64 = 60_000
    /// 2 October 2024, 00:00 UTC.
    private static let day: Int64 = 1_727_827_200_000
    /// Noon of that day.
    private static let change = day + dayMs / 2

    static func run() async throws -> [Figure] {
        guard let folder = RecordedData.folder, let route = RouteName("tools") else {
            print("the recorded incident is skipped: no recorded data (set TRIMTAB_TEST_DATA)")
            return []
        }
        let data = try RecordedData.load(set, in: folder)
        let store = InMemoryControlStore()
        let policy = RoutingPolicy(
            route: route, version: 1, createdAt: day - dayMs, createdBy: name, reason: "recorded",
            targets: [Target(provider: "openai", model: "gpt-4o")])
        try await store.apply(Route(name: route), firstPolicy: policy, by: name, now: day - dayMs)
        try await record(data, route, in: store)
        let driver = AnalysisDriver(settings: AnalyzerSettings(), store: store, windowMs: minuteMs)
        let report = try await driver.backtest(route, in: day..<day + 2 * dayMs, warmUpMs: dayMs)
        print("| after the change | lasted | finding | severity | it said |")
        print("|---|---|---|---|---|")
        for finding in report.findings where finding.openedAt >= change {
            let lasted = finding.closedAt.map { "\(($0 - finding.openedAt) / minuteMs) min" } ?? "to the end"
            print(
                "| \((finding.openedAt - change) / minuteMs) min | \(lasted) | `\(finding.code)` "
                    + "| \(finding.severity.rawValue) | \(finding.statement) |")
        }
        let before = report.findings.count { $0.openedAt < change && $0.severity > .info }
        let told = report.findings.first { $0.code == "quality.drop" && $0.openedAt >= change }
        return [
            Figure(
                name: "analyzers.incident.quality_drop",
                value: told.map { Double(($0.openedAt - change) / minuteMs) } ?? .nan,
                unit: "min after the change; feedback is waited for 10 min"),
            Figure(
                name: "analyzers.incident.before", value: Double(before),
                unit: "warnings in the 12 hours before the change"),
        ]
    }

    /// What the stream would have stored of the three days.
    private static func record(_ data: RecordedData.Loaded, _ route: RouteName, in store: InMemoryControlStore)
        async throws
    {
        var random = SplitMix64(seed: 20_241_002)
        let prompts = data.outcomes.prompts(answeredBy: [models.before, models.after])
        let key = WindowKey(route: route.description, modelKey: model, arm: .stable, policy: 1)
        for start in stride(from: day - dayMs, to: day + 2 * dayMs, by: Int64.Stride(minuteMs)) {
            let served = start < change ? models.before : models.after
            let window = Window(start: start, end: start + minuteMs)
            var aggregate = WindowAggregate(), quality = Moments()
            for _ in 0..<Int(Variate.count(perMinute, 1, &random)) {
                let prompt = prompts[Int(random.next() % UInt64(prompts.count))]
                guard let answer = data.outcomes.cell(prompt: prompt, model: served), let price = data.prices[served]
                else {
                    continue
                }
                let input = answer.promptTokens ?? 0, output = answer.outputTokens ?? 0
                aggregate.requests += 1
                aggregate[.inputTokens].add(Double(input), sketched: false)
                aggregate[.outputTokens].add(Double(output), sketched: false)
                aggregate[.cachedTokens].add(0, sketched: false)
                aggregate[.cost].add(Double(price.cost(input: input, output: output).value), sketched: false)
                if let seconds = answer.latencyS { aggregate[.latency].add(1_000 * seconds, sketched: true) }
                if random.unit() < scored { quality.add(answer.quality) }
            }
            let result = WindowResult(window: window, key: key, partition: 0, pane: 0, aggregate: aggregate)
            let feedback = FeedbackDelta(window: window, key: key, name: "quality", values: quality)
            await store.add(results: [result], feedback: [feedback], panes: [], watermark: window.end)
        }
    }
}

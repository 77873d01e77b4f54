import Server
import StreamProcessing
import Testing

/// `stream.windows`: what is written there is what is counted.
@Suite struct WindowSettingsTests {
    private static let yaml = """
        stream:
          lateness_s: 120
          windows:
            plain: {}
            callers:
              key: [route, model, provider, credential, key, project]
              size_s: 3600
              offset_s: -900
              aggregates: [cost_nano_usd, input_tokens, output_tokens, cached_tokens, total_ms, ttft_ms, overhead_ms,
                ms_per_output_token, messages, attempts, queue_ms]
            pieces:
              kind: tumbling
              key: [arm, policy, variant, domain, session, size]
              size_s: 0.5
              offset_s: 0.2
              lateness_s: 7.5
              early_count: 50
              discarding: true
              aggregates: [quantiles(total_ms), cost_nano_usd, total_ms, quantiles(ms_per_output_token), errors,
                signals]
            judged:
              kind: sliding
              key: [route, arm]
              size_s: 60
              hop_s: 15
              offset_s: 5
              early_s: 0.25
              discarding: false
              aggregates: [feedback, distinct(user), distinct(session), distinct(key), distinct(project),
                distinct(route), distinct(model), distinct(target), distinct(variant), top(prompt), top(template),
                top(prefix), top(kind), top(domain)]
            visits:
              kind: session
              key: [session]
              gap_s: 90
              lateness_s: 0
              early_count: 1
              top_counters: 20
              aggregates: [top(user), top(session), top(key), top(project), top(route), top(model), top(target),
                top(variant), distinct(domain), distinct(prompt), distinct(template), distinct(prefix), distinct(kind)]
        """

    private static let several: [CountedItem] = [.user, .session, .key, .project, .route, .model, .target, .variant]

    private static let expected: [WindowDefinition] = [
        WindowDefinition(
            name: "plain", key: [.route], assigner: .tumbling(size: 60_000, offset: 0), latenessMs: 120_000,
            aggregates: AggregateSelection(measures: [.cost, .latency], errors: true)),
        WindowDefinition(
            name: "callers", key: [.route, .model, .provider, .credential, .key, .project],
            assigner: .tumbling(size: 3_600_000, offset: -900_000), latenessMs: 120_000,
            aggregates: AggregateSelection(
                measures: [
                    .cost, .inputTokens, .outputTokens, .cachedTokens, .latency, .ttft, .overhead, .tokenTime,
                    .messages, .attempts, .queue,
                ], errors: false)),
        WindowDefinition(
            name: "pieces", key: [.arm, .policy, .variant, .domain, .session, .size],
            assigner: .tumbling(size: 500, offset: 200), latenessMs: 7_500, early: .count(50), discarding: true,
            aggregates: AggregateSelection(
                measures: [.latency, .cost, .tokenTime], quantiles: [.latency, .tokenTime], errors: true,
                signals: true)),
        WindowDefinition(
            name: "judged", key: [.route, .arm], assigner: .sliding(size: 60_000, hop: 15_000, offset: 5_000),
            latenessMs: 120_000, early: .clock(250),
            aggregates: AggregateSelection(
                measures: [], errors: false, feedback: true, distinct: several,
                top: [
                    .init(item: .prompt, counters: 100), .init(item: .template, counters: 100),
                    .init(item: .prefix, counters: 100), .init(item: .kind, counters: 100),
                    .init(item: .domain, counters: 100),
                ])),
        WindowDefinition(
            name: "visits", key: [.session], assigner: .session(gap: 90_000), latenessMs: 0, early: .count(1),
            aggregates: AggregateSelection(
                measures: [], errors: false, distinct: [.domain, .prompt, .template, .prefix, .kind],
                top: several.map { .init(item: $0, counters: 20) })),
    ]

    @Test func declaredWindowsAreReadAsTheyAreWritten() throws {
        let windows = try Settings(SettingsSource(yaml: Self.yaml)).stream.processing.windows
        #expect(windows.map(\.name) == Self.expected.map(\.name))
        for (window, expected) in zip(windows, Self.expected) { #expect(window == expected, "\(expected.name)") }
    }

    /// So that nothing new can be declared without being read above.
    @Test func everyDimensionMeasureAndItemIsDeclared() {
        let aggregates = Self.expected.map(\.aggregates)
        #expect(Set(Self.expected.flatMap(\.key)) == Set(WindowDimension.allCases))
        #expect(Set(aggregates.flatMap(\.measures)) == Set(Measured.allCases))
        #expect(Set(aggregates.flatMap(\.distinct)) == Set(CountedItem.allCases))
        #expect(Set(aggregates.flatMap(\.top).map(\.item)) == Set(CountedItem.allCases))
    }
}

/// The windows that analyzers read beside `requests`.
extension WindowDefinition {
    /// Who spends what, by the hour.
    package static let spend = "spend"
    /// Which prompts come, and from how many, in ten minutes.
    package static let prompts = "prompts"
    /// Models beside each other on prompts of the same size, by the hour.
    package static let sizes = "sizes"

    /// Names that declared windows cannot have.
    package static let reserved = [requests, spend, prompts, sizes]

    /// Counters of each summary in `prompts`.
    private static let topCounters = 64

    package static func analyzers(latenessMs: Int64) -> [WindowDefinition] {
        let top: [CountedItem] = [.prompt, .template, .prefix, .kind, .key, .user]
        return [
            WindowDefinition(
                name: spend, key: [.project, .key, .route, .model], assigner: .tumbling(size: 3_600_000),
                latenessMs: latenessMs,
                aggregates: AggregateSelection(
                    measures: [.cost, .inputTokens, .outputTokens, .cachedTokens], errors: false, signals: true)),
            WindowDefinition(
                name: prompts, key: [.route], assigner: .tumbling(size: 600_000), latenessMs: latenessMs,
                aggregates: AggregateSelection(
                    measures: [.messages, .inputTokens, .cachedTokens], quantiles: [.messages], errors: false,
                    distinct: [.prompt, .template, .session, .user],
                    top: top.map { .init(item: $0, counters: topCounters) })),
            WindowDefinition(
                name: sizes, key: [.route, .model, .size], assigner: .tumbling(size: 3_600_000),
                latenessMs: latenessMs,
                aggregates: AggregateSelection(
                    measures: [.cost, .outputTokens, .latency, .ttft], quantiles: [.outputTokens, .latency],
                    errors: false)),
        ]
    }
}

import Core
import Telemetry

/// A number that requests carry and windows add up.
package enum Measured: String, Sendable, CaseIterable {
    /// Nano-dollars, over requests with a known cost.
    case cost = "cost_nano_usd"
    case inputTokens = "input_tokens"
    case outputTokens = "output_tokens"
    case cachedTokens = "cached_tokens"
    /// Milliseconds, over complete answers, as are the next two.
    case latency = "total_ms"
    case ttft = "ttft_ms"
    case overhead = "overhead_ms"
    /// Milliseconds for each output token after the first one; of complete answers with at least two, whose first has a
    /// time. Its inverse, tokens a second, has no steady mean: an answer that comes at once would outweigh all others.
    case tokenTime = "ms_per_output_token"
    /// Messages of the prompt.
    case messages
    /// Attempts before the one that answered.
    case attempts
    /// Milliseconds that a request waited for a connection.
    case queue = "queue_ms"

    @inline(__always)
    func value(of record: borrowing RequestRecord) -> Double? {
        switch self {
        case .cost: record.cost.map { Double($0.value) }
        case .inputTokens: record.tokens.map { Double($0.input) }
        case .outputTokens: record.tokens.map { Double($0.output) }
        case .cachedTokens: record.tokens.map { Double($0.cachedRead) }
        case .latency: record.isComplete ? record.totalMs : nil
        case .ttft: record.isComplete ? record.ttftMs : nil
        case .overhead: record.isComplete ? record.overheadMs : nil
        case .tokenTime: Self.tokenTime(of: record)
        case .messages: record.prompt.map { Double($0.messages) }
        case .attempts: Double(record.attempts.count)
        case .queue: record.queueMs
        }
    }

    private static func tokenTime(of record: borrowing RequestRecord) -> Double? {
        guard record.isComplete, let first = record.ttftMs, let output = record.tokens?.output, output >= 2,
            record.totalMs > first
        else { return nil }
        return (record.totalMs - first) / Double(output - 1)
    }
}

/// What a window adds up. Requests and failures are always counted.
package struct AggregateSelection: Sendable, Equatable {
    /// Each with count, sum, mean, variance, smallest and largest value.
    package var measures: [Measured]
    /// Those of the measures that get a quantile sketch too.
    package var quantiles: Set<Measured>
    /// Failures by error class.
    package var errors: Bool
    /// How many requests each signal is true of.
    package var signals: Bool
    /// Scores of feedback, and with the count of requests their share.
    package var feedback: Bool
    /// How many different ones there were: a HyperLogLog each.
    package var distinct: [CountedItem]
    /// Which were the most frequent: a space-saving summary each.
    package var top: [TopItems]

    package struct TopItems: Sendable, Equatable {
        package var item: CountedItem
        /// Counters kept: an item's count is at most requests / counters too high.
        package var counters: Int
        package init(item: CountedItem, counters: Int) {
            self.item = item
            self.counters = counters
        }
    }

    /// The most distinct counts and summaries of one definition, of each.
    package static let mostItems = 8

    package init(
        measures: [Measured], quantiles: Set<Measured> = [], errors: Bool = true, signals: Bool = false,
        feedback: Bool = false, distinct: [CountedItem] = [], top: [TopItems] = []
    ) {
        self.measures = measures
        self.quantiles = quantiles
        self.errors = errors
        self.signals = signals
        self.feedback = feedback
        self.distinct = distinct
        self.top = top
    }

    /// What analyzers and decisions need.
    package static let standard = AggregateSelection(
        measures: [.cost, .inputTokens, .outputTokens, .cachedTokens, .latency, .ttft, .overhead, .tokenTime],
        quantiles: [.latency, .ttft], signals: true, feedback: true)

    var problem: String? {
        if Set(measures).count < measures.count { return "aggregates name a measure twice." }
        if distinct.count > Self.mostItems || top.count > Self.mostItems {
            return "aggregates may hold at most \(Self.mostItems) distinct and \(Self.mostItems) top."
        }
        if let wrong = top.first(where: { !(1...1_000).contains($0.counters) }) {
            return "top(\(wrong.item.rawValue), \(wrong.counters)) must keep 1 to 1000 counters."
        }
        return nil
    }
}

/// What can be counted apart within a window.
package enum CountedItem: String, Sendable, CaseIterable {
    case user, session, key, project, route, model, target, variant, domain
    /// Of the prompt's hashes: all of it, its template, its beginning, its vocabulary.
    case prompt, template, prefix, kind

    func value(of record: borrowing RequestRecord) -> String? {
        switch self {
        case .user: record.user
        case .session: record.session
        case .key: record.key
        case .project: record.project
        case .route: record.route
        case .model: record.model
        case .target: record.target
        case .variant: record.variant
        case .domain: record.domain
        case .prompt: record.prompt?.features?.exactHex
        case .template: record.prompt?.features?.templateHex
        case .prefix: record.prompt?.features?.prefixHex
        case .kind: record.prompt?.features?.kindHex
        }
    }
}

extension RequestRecord {
    /// As a pattern: comparing with a case of another module is a call.
    var isComplete: Bool { if case .complete = outcome { true } else { false } }

    /// The gateway's own guess of the prompt's kind, else the client's tag `domain`.
    var domain: String? { prompt?.domain ?? tags["domain"] }
}

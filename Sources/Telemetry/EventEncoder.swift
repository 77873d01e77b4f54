import Core

/// The wire form of an event: one JSON object, version 1, with `nil` and default values left out.
package struct EventEncoder {
    /// What a log says of the place it gave an event; it stands for the event's own.
    package struct Numbering {
        package var producer: String
        package var seq: Int64
        package init(producer: String, seq: Int64) {
            self.producer = producer
            self.seq = seq
        }
    }

    /// Appends the event's JSON.
    package static func encode(_ event: LogEvent, as numbering: Numbering? = nil, into bytes: inout [UInt8]) {
        var writer = JSONWriter()
        swap(&writer.bytes, &bytes)
        defer { swap(&writer.bytes, &bytes) }
        writer.literal("{\"v\":1")
        switch event {
        case .request(let record):
            encode(
                record, numbering ?? Numbering(producer: record.producer, seq: record.seq), into: &writer)
        case .feedback(let feedback):
            encode(
                feedback, numbering ?? Numbering(producer: feedback.producer, seq: feedback.seq), into: &writer)
        }
        writer.close("}")
    }

    private static func encode(_ record: RequestRecord, _ numbering: Numbering, into writer: inout JSONWriter) {
        writer.field("id", record.id)
        source(numbering, into: &writer)
        writer.field("at", record.at)
        writer.field("started_at", record.startedAt)
        writer.field("client_request_id", record.clientRequestID)
        writer.field("route", record.route)
        writer.field("project", record.project)
        writer.field("key", record.key)
        writer.field("session", record.session)
        writer.field("user", record.user)
        tags(record.tags, into: &writer)
        writer.field("endpoint", unless(record.endpoint, RequestRecord.defaultEndpoint))
        writer.field("stream", unless(record.stream, false))
        writer.field("policy", record.policy.map(Int64.init))
        writer.field("rollout", record.rollout)
        writer.field("step", record.step.map(Int64.init))
        writer.field("arm", unless(record.arm, .stable)?.rawValue)
        writer.field("candidate_weight", record.candidateWeight)
        writer.field("unit", record.unit.map(Int64.init))
        writer.field("propensity", record.propensity)
        writer.field("variant", record.variant)
        writer.field("target", record.target)
        writer.field("provider", record.provider)
        writer.field("model", record.model)
        writer.field("credential", record.credential)
        attempts(record.attempts, into: &writer)
        result(record, into: &writer)
        writer.field("shadow_of", record.shadowOf)
        writer.field("regenerates", record.regenerates)
    }

    private static func result(_ record: RequestRecord, into writer: inout JSONWriter) {
        writer.field("outcome", record.outcome.rawValue)
        writer.field("status", Int64(record.status))
        writer.field("error", record.error?.rawValue)
        writer.field("finish", record.finish)
        writer.field("queue_ms", unless(record.queueMs, 0))
        writer.field("ttft_ms", record.ttftMs)
        writer.field("total_ms", record.totalMs)
        writer.field("overhead_ms", record.overheadMs)
        if let tokens = record.tokens { encode(tokens, into: &writer) }
        writer.field("cost_nano_usd", record.cost?.value)
        writer.field("price", record.price)
        if let prompt = record.prompt { encode(prompt, into: &writer) }
        if let checks = record.checks {
            writer.name("checks")
            writer.open("{")
            writer.field("schema", checks.schema)
            writer.field("refusal", checks.refusal)
            writer.field("empty", checks.empty)
            writer.field("tools", checks.tools)
            writer.field("repetition", checks.repetition)
            writer.close("}")
        }
    }

    private static func encode(_ feedback: Feedback, _ numbering: Numbering, into writer: inout JSONWriter) {
        writer.field("id", feedback.id)
        source(numbering, into: &writer)
        writer.field("request", feedback.request)
        writer.field("at", feedback.at)
        writer.field("name", feedback.name)
        writer.field("value", feedback.value)
        writer.field("source", feedback.source.rawValue)
        writer.field("pair", feedback.pair)
        writer.field("comment", feedback.comment)
        writer.field("key", feedback.key)
    }

    private static func encode(_ tokens: TokenUsage, into writer: inout JSONWriter) {
        writer.name("tokens")
        writer.open("{")
        writer.field("input", Int64(tokens.input))
        writer.field("cached_read", unless(Int64(tokens.cachedRead), 0))
        writer.field("cache_write", unless(Int64(tokens.cacheWrite), 0))
        writer.field("output", Int64(tokens.output))
        writer.field("reasoning", unless(Int64(tokens.reasoning), 0))
        writer.field("source", unless(tokens.source, .reported)?.rawValue)
        writer.close("}")
    }

    private static func encode(_ prompt: RequestRecord.Prompt, into writer: inout JSONWriter) {
        writer.name("prompt")
        writer.open("{")
        writer.field("chars", unless(Int64(prompt.chars), 0))
        writer.field("messages", unless(Int64(prompt.messages), 0))
        writer.field("tools", unless(prompt.tools, false))
        writer.field("images", unless(Int64(prompt.images), 0))
        writer.field("domain", prompt.domain)
        writer.field("features", prompt.features?.hex)
        writer.close("}")
    }

    private static func source(_ numbering: Numbering, into writer: inout JSONWriter) {
        writer.field("producer", unless(numbering.producer, ""))
        writer.field("seq", unless(numbering.seq, 0))
    }

    private static func tags(_ tags: [String: String], into writer: inout JSONWriter) {
        guard !tags.isEmpty else { return }
        writer.name("tags")
        writer.open("{")
        for (name, value) in tags.sorted(by: { $0.key < $1.key }) {
            writer.separate()
            writer.string(name)
            writer.bytes.append(UInt8(ascii: ":"))
            writer.string(value)
        }
        writer.close("}")
    }

    private static func attempts(_ attempts: [RequestRecord.Attempt], into writer: inout JSONWriter) {
        guard !attempts.isEmpty else { return }
        writer.name("attempts")
        writer.open("[")
        for attempt in attempts {
            writer.separate()
            writer.open("{")
            writer.field("target", attempt.target)
            writer.field("outcome", attempt.outcome.rawValue)
            writer.field("status", attempt.status.map(Int64.init))
            writer.field("ms", attempt.ms)
            writer.close("}")
        }
        writer.close("]")
    }

    private static func unless<Value: Equatable>(_ value: Value, _ usual: Value) -> Value? {
        value == usual ? nil : value
    }
}

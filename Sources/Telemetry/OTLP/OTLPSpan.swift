/// One span of an export, as far as it matters here: texts of prompts and answers are not even read.
package struct OTLPSpan: Sendable, Equatable {
    package typealias Attributes = [SpanAttribute: Value]

    package enum Value: Sendable, Equatable {
        case text(String)
        case integer(Int64)
        case number(Double)
        case flag(Bool)
    }

    /// Zero where it was absent or not 16 and 8 bytes long.
    package var traceHigh: UInt64 = 0
    package var traceLow: UInt64 = 0
    package var spanID: UInt64 = 0
    /// SpanKind: 0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    package var kind: Int64 = 0
    /// Nanoseconds since the epoch.
    package var start: UInt64 = 0
    package var end: UInt64 = 0
    /// When the first event came that marks output, nanoseconds since the epoch.
    package var firstOutput: UInt64?
    /// 0 unset, 1 ok, 2 error.
    package var status: Int64 = 0
    /// Whether any attribute's name begins with `gen_ai.`.
    package var isGenAI = false
    package var attributes: Attributes = [:]
    /// Attributes of the resource that made the span.
    package var resource: Attributes = [:]

    package init() {}

    /// Events that instrumentations add when output begins or is there.
    static let outputEvents: Set<String> = [
        "gen_ai.choice", "gen_ai.first_token", "first_token", "First Token Stream Event",
        "llm.content.completion.chunk",
    ]

    mutating func note(event name: String, at time: UInt64) {
        if Self.outputEvents.contains(name) { firstOutput = min(firstOutput ?? time, time) }
    }
}

/// The attributes that are read; others are passed over. Names of OpenTelemetry's semantic conventions for generative AI,
/// the present ones and those they replaced.
package enum SpanAttribute: String, CaseIterable, Sendable {
    case route = "trimtab.route"
    case serviceName = "service.name"
    case operation = "gen_ai.operation.name"
    case provider = "gen_ai.provider.name"
    case system = "gen_ai.system"
    case requestModel = "gen_ai.request.model"
    case responseModel = "gen_ai.response.model"
    case requestStream = "gen_ai.request.stream"
    case isStreaming = "llm.is_streaming"
    case inputTokens = "gen_ai.usage.input_tokens"
    case promptTokens = "gen_ai.usage.prompt_tokens"
    case outputTokens = "gen_ai.usage.output_tokens"
    case completionTokens = "gen_ai.usage.completion_tokens"
    case cacheRead = "gen_ai.usage.cache_read.input_tokens"
    case cacheWrite = "gen_ai.usage.cache_write.input_tokens"
    case cacheCreation = "gen_ai.usage.cache_creation.input_tokens"
    case reasoningTokens = "gen_ai.usage.reasoning.output_tokens"
    case finishReasons = "gen_ai.response.finish_reasons"
    case conversation = "gen_ai.conversation.id"
    case timeToFirstChunk = "gen_ai.response.time_to_first_chunk"
    case timeToFirstToken = "gen_ai.server.time_to_first_token"
    case user = "user.id"
    case endUser = "enduser.id"
    case errorType = "error.type"
    case httpStatus = "http.response.status_code"
    case oldHTTPStatus = "http.status_code"

    static let table = FieldTable<SpanAttribute>()
    static let genAIPrefix = "gen_ai."
}

/// Why bytes are no export of spans.
package enum OTLPError: Error, Sendable, Equatable, CustomStringConvertible {
    case malformed(String)
    case tooManySpans(limit: Int)

    package var description: String {
        switch self {
        case .malformed(let what): "The export is malformed: \(what)."
        case .tooManySpans(let limit): "The export holds more than \(limit) spans."
        }
    }
}

/// An export of spans: OpenTelemetry's ExportTraceServiceRequest.
package enum TraceExport {
    package enum Encoding: Sendable { case protobuf, json }

    /// Spans of one export, whatever they cost to write, so that few bytes cannot ask for much memory.
    package static let mostSpans = 65_536

    package static func read(_ bytes: [UInt8], as encoding: Encoding) throws(OTLPError) -> [OTLPSpan] {
        switch encoding {
        case .protobuf: try ProtobufExport.read(bytes)
        case .json: try JSONExport().read(bytes)
        }
    }
}

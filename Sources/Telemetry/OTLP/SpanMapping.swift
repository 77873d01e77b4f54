package import Core

/// Makes request records of spans that tell of a model's answer.
package struct SpanMapping: Sendable {
    package enum Outcome: Sendable, Equatable {
        /// `alternative`: the model that the answer names, where it is another than the one asked for.
        case record(RequestRecord, alternative: String?)
        /// Not about one call of a model: some other span of the trace.
        case ignored
        case rejected(Rejection)
    }

    /// Why a span about a model's answer cannot be a record.
    package enum Rejection: String, Sendable, CaseIterable {
        case badID = "bad_id"
        case badTime = "bad_time"
        case badRoute = "bad_route"
        case noModel = "no_model"
        /// The route belongs to another project than the key; found by whoever knows the keys.
        case forbiddenRoute = "forbidden_route"

        package var summary: String {
            switch self {
            case .badID: "trace id and span id must be 16 and 8 bytes, not all zero"
            case .badTime: "a span must begin after 1999, end after it began, and last a year at most"
            case .badRoute: "trimtab.route must be 1 to 128 of A-Z a-z 0-9 . _ : / -, a letter or digit first"
            case .noModel: "gen_ai.provider.name and gen_ai.request.model must be texts of 1 to 256 bytes"
            case .forbiddenRoute: "the route belongs to another project than the key"
            }
        }
    }

    /// The route of spans that name none.
    package var defaultRoute: RouteName
    /// Endpoints by operation; spans of other operations (agents, tools, retrieval) contain these or are beside them.
    private static let endpoints = [
        "chat": RequestRecord.defaultEndpoint, "generate_content": "generate_content",
        "text_completion": "completions", "embeddings": "embeddings",
    ]
    private static let idSalts: (UInt64, UInt64) = (0x6f74_6c70_0000_0001, 0x6f74_6c70_0000_0002)

    package init(defaultRoute: RouteName) { self.defaultRoute = defaultRoute }

    package func map(_ span: OTLPSpan) -> Outcome {
        guard span.isGenAI, let endpoint = Self.endpoint(of: span) else { return .ignored }
        guard span.traceHigh | span.traceLow != 0, span.spanID != 0 else { return .rejected(.badID) }
        let startedAt = Int64(span.start / 1_000_000)
        let at = Int64(span.end / 1_000_000)
        let totalMs = span.end >= span.start ? Double(span.end - span.start) / 1e6 : -1
        guard EventDecoder.times.contains(startedAt), EventDecoder.times.contains(at),
            EventDecoder.durations.contains(totalMs)
        else { return .rejected(.badTime) }
        guard let route = route(of: span) else { return .rejected(.badRoute) }
        let models = [SpanAttribute.requestModel, .responseModel].compactMap { span.name($0) }
        guard let model = models.first, let provider = span.name(.provider) ?? span.name(.system) else {
            return .rejected(.noModel)
        }
        let session = span.text(.conversation).map(ClientHash.session)
        var record = RequestRecord(
            id: Self.id(of: span, at: startedAt, session: session), at: at, startedAt: startedAt,
            route: route.description, outcome: .complete, status: 200, totalMs: totalMs)
        record.endpoint = endpoint
        record.session = session.map(hexadecimal)
        record.user = (span.text(.user) ?? span.text(.endUser)).map { hexadecimal(ClientHash.user($0)) }
        record.target = "\(provider)/\(model)".utf8.count <= JSONDocument.longestName ? "\(provider)/\(model)" : nil
        record.provider = provider
        record.model = model
        record.stream = span.flag(.requestStream) ?? span.flag(.isStreaming) ?? false
        record.finish = span.name(.finishReasons)
        record.ttftMs = Self.firstToken(of: span, within: totalMs)
        record.tokens = Self.tokens(of: span, endpoint: endpoint)
        SpanFailure.note(of: span, in: &record)
        return .record(record, alternative: models.last == model ? nil : models.last)
    }

    /// `nil` if the span is not one call of a model: by its operation where it names one, else by its kind and model.
    private static func endpoint(of span: OTLPSpan) -> String? {
        if let operation = span.text(.operation) { return endpoints[operation] }
        let isCall = [0, 1, 3].contains(span.kind)
        let hasModel = span.attributes[.requestModel] != nil || span.attributes[.responseModel] != nil
        return isCall && hasModel ? RequestRecord.defaultEndpoint : nil
    }

    private func route(of span: OTLPSpan) -> RouteName? {
        if let named = span.attributes[.route] ?? span.resource[.route] {
            guard case .text(let name) = named else { return nil }
            return RouteName(name)
        }
        // What SDKs say of a service that nobody named.
        guard case .text(let service)? = span.resource[.serviceName], !service.hasPrefix("unknown_service") else {
            return defaultRoute
        }
        if let name = RouteName(service) { return name }
        let allowed = service.unicodeScalars.map { scalar -> Character in
            let isAllowed = RouteName("a\(scalar)") != nil
            return isAllowed ? Character(scalar) : "-"
        }
        return RouteName(String(allowed.drop { RouteName(String($0)) == nil }.prefix(128))) ?? defaultRoute
    }

    /// The same span gets the same id each time it is exported.
    private static func id(of span: OTLPSpan, at milliseconds: Int64, session: UInt64?) -> UUIDv7 {
        let words = [span.traceHigh, span.traceLow, span.spanID, span.end].map(\.littleEndian)
        func hash(_ salt: UInt64) -> UInt64 { unsafe words.withUnsafeBytes { unsafe Hash64.hash($0, salt: salt) } }
        let (high, low) = (hash(idSalts.0), hash(idSalts.1))
        let tail = session.map { (low & ~0x0fff) | ($0 & 0x0fff) } ?? low
        return UUIDv7(
            high: UInt64(milliseconds) << 16 | 0x7000 | (high & 0x0fff), low: 1 << 63 | (tail & 0x3fff_ffff_ffff_ffff))
    }

    private static func firstToken(of span: OTLPSpan, within totalMs: Double) -> Double? {
        var milliseconds = (span.number(.timeToFirstChunk) ?? span.number(.timeToFirstToken)).map { $0 * 1_000 }
        if milliseconds == nil, let first = span.firstOutput, first >= span.start {
            milliseconds = Double(first - span.start) / 1e6
        }
        return milliseconds.flatMap { (0...totalMs).contains($0) ? $0 : nil }
    }

    /// `nil` unless both counts are known, for half of them would make a wrong cost. Embeddings have no output.
    private static func tokens(of span: OTLPSpan, endpoint: String) -> TokenUsage? {
        let output = span.count(.outputTokens) ?? span.count(.completionTokens)
        guard let input = span.count(.inputTokens) ?? span.count(.promptTokens),
            let output = output ?? (endpoint == "embeddings" ? 0 : nil)
        else { return nil }
        var tokens = TokenUsage(input: input, output: output)
        tokens.cachedRead = span.count(.cacheRead) ?? 0
        tokens.cacheWrite = span.count(.cacheWrite) ?? span.count(.cacheCreation) ?? 0
        tokens.reasoning = span.count(.reasoningTokens) ?? 0
        return tokens
    }
}

extension OTLPSpan {
    func text(_ attribute: SpanAttribute) -> String? {
        if case .text(let text)? = attributes[attribute], !text.isEmpty { text } else { nil }
    }

    /// A text that may be part of an index's key.
    func name(_ attribute: SpanAttribute) -> String? {
        text(attribute).flatMap { $0.utf8.count <= JSONDocument.longestName ? $0 : nil }
    }

    func number(_ attribute: SpanAttribute) -> Double? {
        switch attributes[attribute] {
        case .number(let number)?: number
        case .integer(let number)?: Double(number)
        default: nil
        }
    }

    /// A whole number in 0...2⁴⁰, also where it is written as a decimal number or a text.
    func count(_ attribute: SpanAttribute) -> Int? {
        let value: Int64? =
            switch attributes[attribute] {
            case .integer(let number)?: number
            case .number(let number)?: Int64(exactly: number)
            case .text(let text)?: Int64(text)
            default: nil
            }
        return value.flatMap { (0...1 << 40).contains($0) ? Int($0) : nil }
    }

    func flag(_ attribute: SpanAttribute) -> Bool? {
        if case .flag(let flag)? = attributes[attribute] { flag } else { nil }
    }
}

/// Sixteen hex digits.
private func hexadecimal(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
}

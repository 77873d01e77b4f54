import CSimdJSON
import Core

extension EventDecoder {
    enum RequestField: Int, DocumentField {
        case v, id, producer, seq, at, startedAt, clientRequestID, route, project, key, session, user, tags
        case endpoint, stream, policy, rollout, step, arm, candidateWeight, unit, propensity, variant, target
        case provider, model, credential, attempts, outcome, status, error, finish, queueMs, ttftMs, totalMs
        case overheadMs, cost, price, shadowOf, tokens, tokensInput, tokensOutput, tokensCachedRead
        case tokensCacheWrite, tokensReasoning, tokensSource, prompt, promptChars, promptMessages, promptTools
        case promptImages, promptDomain, promptFeatures, checks, checksSchema, checksRefusal, checksEmpty, checksTools
        case checksRepetition, regenerates

        static let paths = [
            "v", "id", "producer", "seq", "at", "started_at", "client_request_id", "route", "project", "key",
            "session", "user", "tags", "endpoint", "stream", "policy", "rollout", "step", "arm",
            "candidate_weight", "unit", "propensity", "variant", "target", "provider", "model", "credential",
            "attempts",
            "outcome", "status", "error", "finish", "queue_ms", "ttft_ms", "total_ms", "overhead_ms",
            "cost_nano_usd", "price", "shadow_of", "tokens", "tokens.input", "tokens.output", "tokens.cached_read",
            "tokens.cache_write", "tokens.reasoning", "tokens.source", "prompt", "prompt.chars", "prompt.messages",
            "prompt.tools", "prompt.images", "prompt.domain", "prompt.features", "checks", "checks.schema",
            "checks.refusal", "checks.empty", "checks.tools", "checks.repetition", "regenerates",
        ]
    }
    static let requestSchema = DocumentSchema<RequestField>()
    static let arms = FieldTable<Arm>()
    static let outcomes = FieldTable<Outcome>()
    static let errorClasses = FieldTable<ErrorClass>()

    /// Reads the request that was parsed into `record`, of whose former contents nothing is left. Texts that are the same
    /// stay in place, since one record tends to have those of the one before.
    func request(into record: inout RequestRecord) throws(EventError) {
        let version = try value(.v) { index throws(EventError) in
            try integer(index, 0...Int64.max, "a whole number") { Self.bad(.v, $0) }
        }
        try check(version, missing: Self.missing(.v))
        record.id = try id(try required(.id)) { Self.bad(.id, $0) }
        record.at = try time(try required(.at)) { Self.bad(.at, $0) }
        record.startedAt = try time(try required(.startedAt)) { Self.bad(.startedAt, $0) }
        try name(.route, into: &record.route, default: nil)
        record.outcome = try label(try required(.outcome), Self.outcomes) {
            Self.bad(.outcome, "the name of an outcome")
        }
        record.status = try small(try required(.status), .status)
        record.totalMs = try duration(try required(.totalMs)) { Self.bad(.totalMs, $0) }
        try names(into: &record)
        try numbers(into: &record)
        record.tokens = try tokens()
        // What is nil and stays so is not assigned: to take the place of what may hold texts costs as much as a field.
        // Nor is a prompt compared with nil, which would copy it.
        if let prompt = try prompt() {
            record.prompt = prompt
        } else if case .some = record.prompt {
            record.prompt = nil
        }
        record.checks = try checks()
        if let index = document.index(of: RequestField.tags) {
            record.tags = try tags(try object(index, .tags))
        } else if !record.tags.isEmpty {
            record.tags = [:]
        }
        if let index = document.index(of: RequestField.attempts) {
            record.attempts = try attempts(index)
        } else if !record.attempts.isEmpty {
            record.attempts = []
        }
    }

    private func names(into record: inout RequestRecord) throws(EventError) {
        try name(.producer, into: &record.producer, default: "")
        try name(.endpoint, into: &record.endpoint, default: RequestRecord.defaultEndpoint)
        try name(.project, into: &record.project)
        try name(.key, into: &record.key)
        try name(.variant, into: &record.variant)
        try name(.target, into: &record.target)
        try name(.provider, into: &record.provider)
        try name(.model, into: &record.model)
        try name(.credential, into: &record.credential)
        try name(.finish, into: &record.finish)
        try name(.price, into: &record.price)
        record.session = try text(.session)
        record.user = try text(.user)
        record.clientRequestID = try text(.clientRequestID)
    }

    private func numbers(into record: inout RequestRecord) throws(EventError) {
        record.seq =
            try value(.seq) { index throws(EventError) in
                try integer(index, 0...Int64.max, "a whole number of at least 0") { Self.bad(.seq, $0) }
            } ?? 0
        record.stream =
            try value(.stream) { index throws(EventError) in try bool(index) { Self.bad(.stream, $0) } } ?? false
        record.policy = try value(.policy) { index throws(EventError) in try small(index, .policy) }
        record.step = try value(.step) { index throws(EventError) in try small(index, .step) }
        record.rollout = try value(.rollout) { index throws(EventError) in try id(index) { Self.bad(.rollout, $0) } }
        record.shadowOf = try value(.shadowOf) { index throws(EventError) in try id(index) { Self.bad(.shadowOf, $0) } }
        record.regenerates = try value(.regenerates) { index throws(EventError) in
            try id(index) { Self.bad(.regenerates, $0) }
        }
        record.arm =
            try value(.arm) { index throws(EventError) in
                try label(index, Self.arms) { Self.bad(.arm, "the name of an arm") }
            } ?? .stable
        record.error = try value(.error) { index throws(EventError) in
            try label(index, Self.errorClasses) { Self.bad(.error, "an error class") }
        }
        record.candidateWeight = try share(.candidateWeight)
        record.unit = try value(.unit) { index throws(EventError) in
            UInt32(
                try integer(index, 0...Int64(UInt32.max), "a whole number of 0 to 4294967295") { Self.bad(.unit, $0) })
        }
        record.propensity = try share(.propensity)
        record.queueMs = try duration(.queueMs) ?? 0
        record.ttftMs = try duration(.ttftMs)
        record.overheadMs = try duration(.overheadMs)
        record.cost = try value(.cost) { index throws(EventError) in
            NanoUSD(
                try integer(index, 0...Int64.max, "nano-dollars, a whole number of at least 0") { Self.bad(.cost, $0) })
        }
    }
}

// MARK: One field of a request

extension EventDecoder {
    static func bad(_ field: RequestField, _ expected: StaticString) -> EventError {
        EventError(.badValue, "\(RequestField.paths[field.rawValue]) must be \(expected).")
    }

    static func missing(_ field: RequestField) -> EventError {
        EventError(.missingField, "\(RequestField.paths[field.rawValue]) is missing.")
    }

    @inline(__always)
    func value<Value>(
        _ field: RequestField, _ read: (Int) throws(EventError) -> Value
    ) throws(EventError) -> Value? {
        guard let index = document.index(of: field) else { return nil }
        return try read(index)
    }

    @inline(__always)
    func required(_ field: RequestField) throws(EventError) -> Int {
        guard let index = document.index(of: field) else { throw Self.missing(field) }
        return index
    }

    func object(_ index: Int, _ field: RequestField) throws(EventError) -> Int {
        guard document.type(index) == TT_JSON_OBJECT else { throw Self.bad(field, "an object") }
        return index
    }

    @inline(__always)
    private func small(_ index: Int, _ field: RequestField) throws(EventError) -> Int {
        Int(try integer(index, 0...Int64(Int32.max), "a whole number in 0...2147483647") { Self.bad(field, $0) })
    }

    @inline(__always)
    private func share(_ field: RequestField) throws(EventError) -> Double? {
        try value(field) { index throws(EventError) in try share(index) { Self.bad(field, $0) } }
    }

    @inline(__always)
    private func duration(_ field: RequestField) throws(EventError) -> Double? {
        try value(field) { index throws(EventError) in try duration(index) { Self.bad(field, $0) } }
    }

    @inline(__always)
    private func text(_ field: RequestField) throws(EventError) -> String? {
        try value(field) { index throws(EventError) in try text(index) { Self.bad(field, $0) } }
    }

    @inline(__always)
    private func label<Label>(
        _ index: Int, _ table: FieldTable<Label>, _ bad: () -> EventError
    ) throws(EventError) -> Label {
        guard let label = document.label(index, table) else { throw bad() }
        return label
    }

    /// - Parameter default: What stands for an absent one; `nil`: it must be there.
    @inline(__always)
    private func name(
        _ field: RequestField, into target: inout String, default absent: String?
    ) throws(EventError) {
        if let index = document.index(of: field) {
            guard unsafe document.name(index, into: &target, held: &held[field.rawValue]) else {
                throw Self.badName(field)
            }
        } else if let absent {
            // Where none is held it is there already.
            guard unsafe held[field.rawValue] != TextEnds() else { return }
            target = absent
            unsafe held[field.rawValue] = TextEnds()
        } else {
            throw Self.missing(field)
        }
    }

    @inline(__always)
    private func name(_ field: RequestField, into target: inout String?) throws(EventError) {
        if let index = document.index(of: field) {
            guard unsafe document.name(index, into: &target, held: &held[field.rawValue]) else {
                throw Self.badName(field)
            }
        } else if target != nil {
            target = nil
            unsafe held[field.rawValue] = TextEnds()
        }
    }

    static func badName(_ field: RequestField) -> EventError {
        bad(field, "a text of at most 256 bytes without U+0000")
    }
}

extension RequestRecord {
    /// To decode into.
    package static var blank: RequestRecord {
        RequestRecord(
            id: UUIDv7(high: 0, low: 0), at: 0, startedAt: 0, route: "", outcome: .complete, status: 0, totalMs: 0)
    }
}

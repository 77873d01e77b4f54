import CSimdJSON
import Core

extension EventDecoder {
    enum RequestField: String, CaseIterable, Sendable {
        case v, id, producer, seq, at, route, project, key, session, user, tags, endpoint, stream, policy, rollout
        case step, arm, propensity, variant, target, provider, model, credential, attempts, outcome, status, error
        case finish, tokens, price, prompt, checks
        case startedAt = "started_at"
        case clientRequestID = "client_request_id"
        case candidateWeight = "candidate_weight"
        case queueMs = "queue_ms"
        case ttftMs = "ttft_ms"
        case totalMs = "total_ms"
        case overheadMs = "overhead_ms"
        case cost = "cost_nano_usd"
        case shadowOf = "shadow_of"
    }
    static let requestFields = FieldTable<RequestField>()
    static let arms = FieldTable<Arm>()
    static let outcomes = FieldTable<Outcome>()
    static let errorClasses = FieldTable<ErrorClass>()
    private static let required: [RequestField] = [.id, .at, .startedAt, .route, .outcome, .status, .totalMs]
    private static let requiredBits = requestFields.bits(required)
    /// Fields that are left out more often than not, each with what stands for it.
    private static let texts: [(bit: UInt64, reset: @Sendable (inout RequestRecord) -> Void)] = [
        (requestFields.bits([.producer]), { $0.producer = "" }),
        (requestFields.bits([.clientRequestID]), { $0.clientRequestID = nil }),
        (requestFields.bits([.project]), { $0.project = nil }),
        (requestFields.bits([.key]), { $0.key = nil }),
        (requestFields.bits([.session]), { $0.session = nil }),
        (requestFields.bits([.user]), { $0.user = nil }),
        (requestFields.bits([.tags]), { $0.tags = [:] }),
        (requestFields.bits([.endpoint]), { $0.endpoint = RequestRecord.defaultEndpoint }),
        (requestFields.bits([.variant]), { $0.variant = nil }),
        (requestFields.bits([.target]), { $0.target = nil }),
        (requestFields.bits([.provider]), { $0.provider = nil }),
        (requestFields.bits([.model]), { $0.model = nil }),
        (requestFields.bits([.credential]), { $0.credential = nil }),
        (requestFields.bits([.attempts]), { $0.attempts = [] }),
        (requestFields.bits([.finish]), { $0.finish = nil }),
        (requestFields.bits([.price]), { $0.price = nil }),
        (requestFields.bits([.prompt]), { $0.prompt = nil }),
    ]

    func request(into record: inout RequestRecord) throws(EventError) {
        record.resetNumbers()
        var fields = KnownFields(of: 0, in: document, Self.requestFields)
        var version: Int64?
        while let (field, index) = try fields.next() {
            switch field {
            case .v: version = try integer(index, 0...Int64.max, "a whole number", field, fields)
            case .id: record.id = try id(index, field, fields)
            case .rollout: record.rollout = try id(index, field, fields)
            case .shadowOf: record.shadowOf = try id(index, field, fields)
            case .at: record.at = try time(index, field, fields)
            case .startedAt: record.startedAt = try time(index, field, fields)
            case .seq: record.seq = try integer(index, 0...Int64.max, "a whole number of at least 0", field, fields)
            case .policy: record.policy = try small(index, field, fields)
            case .step: record.step = try small(index, field, fields)
            case .status: record.status = try small(index, field, fields)
            case .arm, .outcome, .error: try label(index, field, fields, &record)
            case .stream: record.stream = try bool(index, field, fields)
            case .candidateWeight: record.candidateWeight = try share(index, field, fields)
            case .propensity: record.propensity = try share(index, field, fields)
            case .queueMs: record.queueMs = try duration(index, field, fields)
            case .ttftMs: record.ttftMs = try duration(index, field, fields)
            case .totalMs: record.totalMs = try duration(index, field, fields)
            case .overheadMs: record.overheadMs = try duration(index, field, fields)
            case .cost:
                record.cost = NanoUSD(
                    try integer(index, 0...Int64.max, "nano-dollars, a whole number of at least 0", field, fields))
            case .tokens: record.tokens = try tokens(try object(index, field, fields))
            case .prompt: record.prompt = try prompt(try object(index, field, fields))
            case .checks: record.checks = try checks(try object(index, field, fields))
            case .tags: record.tags = try tags(try object(index, field, fields))
            case .attempts: record.attempts = try attempts(index, field, fields)
            default: try words(index, field, fields, &record)
            }
        }
        try check(version, missing: fields.missing(.v))
        if fields.present & Self.requiredBits != Self.requiredBits {
            for field in Self.required where fields.present & Self.requestFields.bits([field]) == 0 {
                throw fields.missing(field)
            }
        }
        for text in Self.texts where fields.present & text.bit == 0 { text.reset(&record) }
    }

    private typealias Fields = KnownFields<RequestField>

    private func small(_ index: Int, _ field: RequestField, _ fields: Fields) throws(EventError) -> Int {
        Int(try integer(index, 0...Int64(Int32.max), "a whole number in 0...2147483647", field, fields))
    }

    private func label(
        _ index: Int, _ field: RequestField, _ fields: Fields, _ record: inout RequestRecord
    ) throws(EventError) {
        switch field {
        case .arm:
            guard let arm = document.label(index, Self.arms) else { throw fields.bad(field, "the name of an arm") }
            record.arm = arm
        case .outcome:
            guard let outcome = document.label(index, Self.outcomes) else {
                throw fields.bad(field, "the name of an outcome")
            }
            record.outcome = outcome
        default:
            guard let error = document.label(index, Self.errorClasses) else {
                throw fields.bad(field, "an error class")
            }
            record.error = error
        }
    }

    private func words(
        _ index: Int, _ field: RequestField, _ fields: Fields, _ record: inout RequestRecord
    ) throws(EventError) {
        let isName: Bool
        switch field {
        case .session: return record.session = try text(index, field, fields)
        case .user: return record.user = try text(index, field, fields)
        case .clientRequestID: return record.clientRequestID = try text(index, field, fields)
        case .route: isName = document.name(index, into: &record.route)
        case .producer: isName = document.name(index, into: &record.producer)
        case .project: isName = document.name(index, into: &record.project)
        case .key: isName = document.name(index, into: &record.key)
        case .endpoint: isName = document.name(index, into: &record.endpoint)
        case .variant: isName = document.name(index, into: &record.variant)
        case .target: isName = document.name(index, into: &record.target)
        case .provider: isName = document.name(index, into: &record.provider)
        case .model: isName = document.name(index, into: &record.model)
        case .credential: isName = document.name(index, into: &record.credential)
        case .finish: isName = document.name(index, into: &record.finish)
        case .price: isName = document.name(index, into: &record.price)
        default: isName = true
        }
        if !isName { throw fields.bad(field, "a text of at most 256 bytes without U+0000") }
    }
}

extension RequestRecord {
    /// To decode into.
    package static var blank: RequestRecord {
        RequestRecord(
            id: UUIDv7(high: 0, low: 0), at: 0, startedAt: 0, route: "", outcome: .complete, status: 0, totalMs: 0)
    }

    /// What costs nothing to forget; texts are left, since the next record tends to have the same.
    fileprivate mutating func resetNumbers() {
        seq = 0
        stream = false
        policy = nil
        rollout = nil
        step = nil
        arm = .stable
        candidateWeight = nil
        propensity = nil
        error = nil
        queueMs = 0
        ttftMs = nil
        overheadMs = nil
        tokens = nil
        cost = nil
        checks = nil
        shadowOf = nil
    }
}

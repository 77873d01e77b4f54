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
    private static let required: [RequestField] = [.id, .at, .startedAt, .route, .outcome, .status, .totalMs]

    func request() throws(EventError) -> RequestRecord {
        var record = RequestRecord(
            id: UUIDv7(high: 0, low: 0), at: 0, startedAt: 0, route: "", outcome: .complete, status: 0, totalMs: 0)
        var fields = KnownFields(of: 0, in: document, Self.requestFields)
        var version: Int64?
        var present = Set()
        while let (field, index) = try fields.next() {
            present.insert(field)
            switch field {
            case .v: version = try integer(index, 0...Int64.max, "a whole number", field, fields)
            case .id, .rollout, .shadowOf: try identity(index, field, fields, &record)
            case .at: record.at = try time(index, field, fields)
            case .startedAt: record.startedAt = try time(index, field, fields)
            case .seq: record.seq = try integer(index, 0...Int64.max, "a whole number of at least 0", field, fields)
            case .policy, .step, .status: try small(index, field, fields, &record)
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
        for field in Self.required where !present.contains(field) { throw fields.missing(field) }
        return record
    }

    /// Which required fields were there.
    private struct Set {
        private var bits: UInt8 = 0
        private static func bit(_ field: RequestField) -> UInt8 {
            switch field {
            case .id: 1
            case .at: 2
            case .startedAt: 4
            case .route: 8
            case .outcome: 16
            case .status: 32
            case .totalMs: 64
            default: 0
            }
        }
        mutating func insert(_ field: RequestField) { bits |= Self.bit(field) }
        func contains(_ field: RequestField) -> Bool { bits & Self.bit(field) != 0 }
    }

    private typealias Fields = KnownFields<RequestField>

    private func identity(
        _ index: Int, _ field: RequestField, _ fields: Fields, _ record: inout RequestRecord
    ) throws(EventError) {
        let id = try id(index, field, fields)
        switch field {
        case .rollout: record.rollout = id
        case .shadowOf: record.shadowOf = id
        default: record.id = id
        }
    }

    private func small(
        _ index: Int, _ field: RequestField, _ fields: Fields, _ record: inout RequestRecord
    ) throws(EventError) {
        let value = Int(try integer(index, 0...Int64(Int32.max), "a whole number in 0...2147483647", field, fields))
        switch field {
        case .policy: record.policy = value
        case .step: record.step = value
        default: record.status = value
        }
    }

    private func label(
        _ index: Int, _ field: RequestField, _ fields: Fields, _ record: inout RequestRecord
    ) throws(EventError) {
        let name = document.name(index)
        switch field {
        case .arm:
            guard let arm = name.flatMap(Arm.init) else { throw fields.bad(field, "the name of an arm") }
            record.arm = arm
        case .outcome:
            guard let outcome = name.flatMap(Outcome.init) else { throw fields.bad(field, "the name of an outcome") }
            record.outcome = outcome
        default:
            guard let error = name.flatMap(ErrorClass.init) else { throw fields.bad(field, "an error class") }
            record.error = error
        }
    }

    private func words(
        _ index: Int, _ field: RequestField, _ fields: Fields, _ record: inout RequestRecord
    ) throws(EventError) {
        switch field {
        case .session: record.session = try text(index, field, fields)
        case .user: record.user = try text(index, field, fields)
        case .clientRequestID: record.clientRequestID = try text(index, field, fields)
        case .route: record.route = try name(index, field, fields)
        case .producer: record.producer = try name(index, field, fields)
        case .project: record.project = try name(index, field, fields)
        case .key: record.key = try name(index, field, fields)
        case .endpoint: record.endpoint = try name(index, field, fields)
        case .variant: record.variant = try name(index, field, fields)
        case .target: record.target = try name(index, field, fields)
        case .provider: record.provider = try name(index, field, fields)
        case .model: record.model = try name(index, field, fields)
        case .credential: record.credential = try name(index, field, fields)
        case .finish: record.finish = try name(index, field, fields)
        case .price: record.price = try name(index, field, fields)
        default: break
        }
    }
}

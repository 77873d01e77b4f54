import CSimdJSON
import Core

/// The objects and arrays inside a request record.
extension EventDecoder {
    enum TokenField: String, CaseIterable, Sendable {
        case input, output, reasoning, source
        case cachedRead = "cached_read"
        case cacheWrite = "cache_write"
    }
    enum PromptField: String, CaseIterable, Sendable { case chars, messages, tools, images, domain }
    enum CheckField: String, CaseIterable, Sendable { case schema, refusal, empty }
    enum AttemptField: String, CaseIterable, Sendable { case target, outcome, status, ms }

    private static let sources = FieldTable<TokenUsage.Source>()
    private static let tokenFields = FieldTable<TokenField>()
    private static let promptFields = FieldTable<PromptField>()
    private static let checkFields = FieldTable<CheckField>()
    private static let attemptFields = FieldTable<AttemptField>()

    func tokens(_ object: Int) throws(EventError) -> TokenUsage {
        var fields = KnownFields(of: object, in: document, Self.tokenFields, prefix: "tokens.")
        var usage = TokenUsage(input: 0, output: 0)
        var input = false
        var output = false
        while let (field, index) = try fields.next() {
            switch field {
            case .input:
                usage.input = try count(index, field, fields)
                input = true
            case .output:
                usage.output = try count(index, field, fields)
                output = true
            case .cachedRead: usage.cachedRead = try count(index, field, fields)
            case .cacheWrite: usage.cacheWrite = try count(index, field, fields)
            case .reasoning: usage.reasoning = try count(index, field, fields)
            case .source:
                guard let source = document.label(index, Self.sources) else {
                    throw fields.bad(field, "reported or estimated")
                }
                usage.source = source
            }
        }
        guard input else { throw fields.missing(.input) }
        guard output else { throw fields.missing(.output) }
        return usage
    }

    func prompt(_ object: Int) throws(EventError) -> RequestRecord.Prompt {
        var fields = KnownFields(of: object, in: document, Self.promptFields, prefix: "prompt.")
        var prompt = RequestRecord.Prompt()
        while let (field, index) = try fields.next() {
            switch field {
            case .chars: prompt.chars = try count(index, field, fields)
            case .messages: prompt.messages = try count(index, field, fields)
            case .tools: prompt.tools = try bool(index, field, fields)
            case .images: prompt.images = try count(index, field, fields)
            case .domain: prompt.domain = try name(index, field, fields)
            }
        }
        return prompt
    }

    func checks(_ object: Int) throws(EventError) -> RequestRecord.Checks {
        var fields = KnownFields(of: object, in: document, Self.checkFields, prefix: "checks.")
        var checks = RequestRecord.Checks()
        while let (field, index) = try fields.next() {
            let value = try bool(index, field, fields)
            switch field {
            case .schema: checks.schema = value
            case .refusal: checks.refusal = value
            case .empty: checks.empty = value
            }
        }
        return checks
    }

    func tags(_ object: Int) throws(EventError) -> [String: String] {
        var tags: [String: String] = [:]
        var index = object + 1
        while index < document.next(object) {
            guard let name = unsafe StringInterner.make(document.key(index)), let value = document.string(index) else {
                throw EventError(.badValue, "tags must be texts of at most 4096 bytes without U+0000.")
            }
            guard tags.updateValue(value, forKey: name) == nil else {
                throw EventError(.repeatedField, "tags.\(name) is given twice.")
            }
            guard tags.count <= Self.mostTags else {
                throw EventError(.badValue, "tags must be at most \(Self.mostTags).")
            }
            index = document.next(index)
        }
        return tags
    }

    func attempts(
        _ array: Int, _ field: RequestField, _ fields: KnownFields<RequestField>
    ) throws(EventError) -> [RequestRecord.Attempt] {
        guard document.type(array) == TT_JSON_ARRAY else { throw fields.bad(field, "an array") }
        var attempts: [RequestRecord.Attempt] = []
        var index = array + 1
        while index < document.next(array) {
            guard attempts.count < Self.mostAttempts, document.type(index) == TT_JSON_OBJECT else {
                throw fields.bad(field, "at most 64 objects")
            }
            attempts.append(try attempt(index))
            index = document.next(index)
        }
        return attempts
    }

    private func attempt(_ object: Int) throws(EventError) -> RequestRecord.Attempt {
        var fields = KnownFields(of: object, in: document, Self.attemptFields, prefix: "attempts.")
        var target: String?, outcome: ErrorClass?, status: Int?, ms: Double?
        while let (field, index) = try fields.next() {
            switch field {
            case .target: target = try name(index, field, fields)
            case .outcome:
                outcome = document.label(index, Self.errorClasses)
                guard outcome != nil else { throw fields.bad(field, "an error class") }
            case .status: status = try count(index, field, fields)
            case .ms: ms = try duration(index, field, fields)
            }
        }
        guard let target else { throw fields.missing(.target) }
        guard let outcome else { throw fields.missing(.outcome) }
        guard let ms else { throw fields.missing(.ms) }
        return RequestRecord.Attempt(target: target, outcome: outcome, status: status, ms: ms)
    }
}

import CSimdJSON
import Core

/// The objects and arrays inside a request record.
extension EventDecoder {
    enum AttemptField: String, CaseIterable, Sendable { case target, outcome, status, ms }

    private static let sources = FieldTable<TokenUsage.Source>()
    private static let attemptFields = FieldTable<AttemptField>()

    func tokens() throws(EventError) -> TokenUsage? {
        guard let index = document.index(of: RequestField.tokens) else { return nil }
        _ = try object(index, .tokens)
        var usage = TokenUsage(
            input: try count(try required(.tokensInput)) { Self.bad(.tokensInput, $0) },
            output: try count(try required(.tokensOutput)) { Self.bad(.tokensOutput, $0) })
        usage.cachedRead = try count(.tokensCachedRead) ?? 0
        usage.cacheWrite = try count(.tokensCacheWrite) ?? 0
        usage.reasoning = try count(.tokensReasoning) ?? 0
        if let index = document.index(of: RequestField.tokensSource) {
            guard let source = document.label(index, Self.sources) else {
                throw Self.bad(.tokensSource, "reported or estimated")
            }
            usage.source = source
        }
        return usage
    }

    func prompt() throws(EventError) -> RequestRecord.Prompt? {
        guard let index = document.index(of: RequestField.prompt) else { return nil }
        _ = try object(index, .prompt)
        var prompt = RequestRecord.Prompt()
        prompt.chars = try count(.promptChars) ?? 0
        prompt.messages = try count(.promptMessages) ?? 0
        prompt.tools = try flag(.promptTools) ?? false
        prompt.images = try count(.promptImages) ?? 0
        prompt.domain = try value(.promptDomain) { index throws(EventError) in
            try name(index) { Self.bad(.promptDomain, $0) }
        }
        prompt.features = try value(.promptFeatures) { index throws(EventError) in
            guard let features = document.features(index) else {
                throw Self.bad(.promptFeatures, "32 hex digits in lower case")
            }
            return features
        }
        return prompt
    }

    func checks() throws(EventError) -> RequestRecord.Checks? {
        guard let index = document.index(of: RequestField.checks) else { return nil }
        _ = try object(index, .checks)
        var checks = RequestRecord.Checks()
        checks.schema = try flag(.checksSchema)
        checks.refusal = try flag(.checksRefusal)
        checks.empty = try flag(.checksEmpty)
        checks.tools = try flag(.checksTools)
        checks.repetition = try flag(.checksRepetition)
        return checks
    }

    private func count(_ field: RequestField) throws(EventError) -> Int? {
        try value(field) { index throws(EventError) in try count(index) { Self.bad(field, $0) } }
    }

    private func flag(_ field: RequestField) throws(EventError) -> Bool? {
        try value(field) { index throws(EventError) in try bool(index) { Self.bad(field, $0) } }
    }

    func tags(_ object: Int) throws(EventError) -> [String: String] {
        var tags: [String: String] = [:]
        for index in document.values(of: object) {
            guard let name = unsafe StringInterner.make(document.key(index)), let value = document.string(index) else {
                throw EventError(.badValue, "tags must be texts of at most 4096 bytes without U+0000.")
            }
            guard tags.updateValue(value, forKey: name) == nil else {
                throw EventError(.repeatedField, "tags.\(name) is given twice.")
            }
            guard tags.count <= Self.mostTags else {
                throw EventError(.badValue, "tags must be at most \(Self.mostTags).")
            }
        }
        return tags
    }

    func attempts(_ array: Int) throws(EventError) -> [RequestRecord.Attempt] {
        guard document.type(array) == TT_JSON_ARRAY else { throw Self.bad(.attempts, "an array") }
        var attempts: [RequestRecord.Attempt] = []
        for index in document.values(of: array) {
            guard attempts.count < Self.mostAttempts, document.type(index) == TT_JSON_OBJECT else {
                throw Self.bad(.attempts, "at most 64 objects")
            }
            attempts.append(try attempt(index))
        }
        return attempts
    }

    private func attempt(_ object: Int) throws(EventError) -> RequestRecord.Attempt {
        var fields = KnownFields(of: object, in: document, Self.attemptFields, prefix: "attempts.")
        var target: String?, outcome: ErrorClass?, status: Int?, ms: Double?
        while let (field, index) = try fields.next() {
            switch field {
            case .target: target = try name(index) { fields.bad(field, $0) }
            case .outcome:
                outcome = document.label(index, Self.errorClasses)
                guard outcome != nil else { throw fields.bad(field, "an error class") }
            case .status: status = try count(index) { fields.bad(field, $0) }
            case .ms: ms = try duration(index) { fields.bad(field, $0) }
            }
        }
        guard let target else { throw fields.missing(.target) }
        guard let outcome else { throw fields.missing(.outcome) }
        guard let ms else { throw fields.missing(.ms) }
        return RequestRecord.Attempt(target: target, outcome: outcome, status: status, ms: ms)
    }
}

import Core
import Telemetry

/// A feedback as a client sends it.
struct FeedbackForm: Equatable {
    var id: UUIDv7?
    var request: UUIDv7
    var name = Feedback.quality
    var value: Double
    var source = Feedback.Source.user
    var pair: UUIDv7?
    var comment: String?

    func feedback(id: UUIDv7, at: Int64) -> Feedback {
        var feedback = Feedback(id: id, request: request, at: at, name: name, value: value, source: source)
        feedback.pair = pair
        feedback.comment = comment
        return feedback
    }
}

/// Reads the body of `POST /v1/feedback`; each fault names its field.
struct FeedbackReader {
    /// Longer comments are refused, since they travel through the log.
    static let commentLimit = 4_096

    private var texts: [Field: String] = [:]
    private var value: Double?
    private var seen: Set<Field> = []
    private var fault: (field: Field, message: String)?

    private enum Field: String, CaseIterable {
        case id, request, name, value, source, pair, comment

        var key: StaticString {
            switch self {
            case .id: "id"
            case .request: "request"
            case .name: "name"
            case .value: "value"
            case .source: "source"
            case .pair: "pair"
            case .comment: "comment"
            }
        }
    }

    static func read(_ bytes: UnsafeRawBufferPointer) -> Result<FeedbackForm, RefusalError> {
        var cursor = JSONCursor(bytes)
        var reader = FeedbackReader()
        do throws(JSONFault) {
            try cursor.object(depth: 0) { (cursor, key) throws(JSONFault) in try reader.field(key, &cursor) }
            try cursor.finish()
        } catch {
            let message = "The body is not valid JSON: \(error.reason) at byte \(error.offset). Send one JSON object."
            return .failure(RefusalError(Refusal(status: 400, code: "invalid_body", message: message)))
        }
        guard let form = reader.form() else {
            let fault = reader.fault
            let message = fault?.message ?? "The feedback is not complete."
            return .failure(
                RefusalError(
                    Refusal(status: 400, code: "invalid_feedback", message: message, param: fault?.field.rawValue)))
        }
        return .success(form)
    }

    private mutating func field(_ key: JSONText, _ cursor: inout JSONCursor) throws(JSONFault) {
        guard let field = Field.allCases.first(where: { cursor.reads(key, $0.key) }) else {
            return try cursor.skip(depth: 1)
        }
        if !seen.insert(field).inserted { blame(field, "'\(field)' is given more than once. Give it once.") }
        switch cursor.peek() {
        case UInt8(ascii: "\""): texts[field] = cursor.decode(try cursor.string())
        case UInt8(ascii: "-"), 48...57:
            let range = try cursor.number()
            value = field == .value ? Double(String(decoding: cursor.bytes[range], as: UTF8.self)) : value
            if field != .value { blame(field, "'\(field)' must be a string.") }
        default:
            if cursor.peek() != UInt8(ascii: "n") { blame(field, "'\(field)' has a value of the wrong type.") }
            try cursor.skip(depth: 1)
        }
    }

    private mutating func blame(_ field: Field, _ message: String) { fault = fault ?? (field, message) }

    private mutating func form() -> FeedbackForm? {
        let request = identifier(.request)
        if texts[.request] == nil {
            blame(.request, "'request' is missing. Give the x-request-id of the answer that is judged.")
        }
        guard let value, (0...1).contains(value) else {
            blame(.value, "'value' must be a number from 0 to 1, higher is better.")
            return nil
        }
        let name = texts[.name] ?? Feedback.quality
        if !Self.isName(name) { blame(.name, "'name' must be 1 to 64 of a-z 0-9 _, a letter first.") }
        let source = Feedback.Source(rawValue: texts[.source] ?? "user")
        if source == nil { blame(.source, "'source' must be user, check, judge or outcome.") }
        let (id, pair) = (identifier(.id), identifier(.pair))
        if let comment = texts[.comment], comment.utf8.count > Self.commentLimit {
            blame(.comment, "'comment' is longer than \(Self.commentLimit) bytes.")
        }
        guard fault == nil, let request, let source else { return nil }
        return FeedbackForm(
            id: id, request: request, name: name, value: value, source: source, pair: pair, comment: texts[.comment])
    }

    private mutating func identifier(_ field: Field) -> UUIDv7? {
        guard let text = texts[field] else { return nil }
        let id = UUIDv7(text)
        if id == nil { blame(field, "'\(field)' is not a request id: a UUID of 36 characters.") }
        return id
    }

    private static func isName(_ text: String) -> Bool {
        let utf8 = text.utf8
        guard let first = utf8.first, (97...122).contains(first), utf8.count <= 64 else { return false }
        return utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == UInt8(ascii: "_") }
    }
}

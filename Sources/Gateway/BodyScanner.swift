package import Telemetry

/// What the gateway needs to know of a chat request's body: offsets into it, never copies.
package struct ChatBody: Equatable {
    package var model: JSONText
    package var stream = false
    package var user: JSONText?
    package var session: JSONText?
    package var messages = 0
    /// Characters of the messages' text.
    package var characters = 0
    package var images = 0
    /// Hashes of the messages; `nil` where there are none.
    package var features: PromptFeatures?
    /// The array of tools, unless it is empty.
    package var tools: Range<Int>?
    /// Whether `response_format` asks for an answer in JSON.
    package var asksJSON = false
    package var usage: UsageRequest = .absent(at: 0)

    /// Whether the client asked for the usage of a streamed answer, and where to write that we do.
    package enum UsageRequest: Equatable {
        case asked
        /// No `stream_options`: one can be written at this offset, before the first key.
        case absent(at: Int)
        /// `stream_options` is null.
        case null(Range<Int>)
        /// An object without `include_usage`: it can be written at this offset.
        case object(at: Int, empty: Bool)
        /// `include_usage` is there and not true.
        case declined(Range<Int>)
    }
}

/// Why a body is refused, and the field to blame.
package enum ChatBodyFault: Error, Equatable {
    case malformed(JSONFault)
    case repeated(StaticString)
    case missing(StaticString)
    case mistyped(StaticString, expected: StaticString)

    package static func == (a: Self, b: Self) -> Bool { a.text == b.text }

    package var text: String {
        switch self {
        case .malformed(let fault):
            "The body is not valid JSON: \(fault.reason) at byte \(fault.offset). Send one JSON object."
        case .repeated(let field): "'\(field)' is given more than once. Give it once."
        case .missing(let field): "'\(field)' is missing. Give the name of a route, as listed by GET /v1/models."
        case .mistyped(let field, let expected): "'\(field)' must be \(expected)."
        }
    }

    package var field: String? {
        switch self {
        case .malformed: nil
        case .repeated(let field), .missing(let field), .mistyped(let field, _): field.description
        }
    }
}

/// Reads a chat request's body in one pass, checking all of it.
package struct BodyScanner {
    /// Of the hashes of the messages.
    private let salt: UInt64
    private var body = ChatBody(model: JSONText(range: 0..<0, escaped: false, characters: 0))
    /// One bit for each field that has come.
    private var seen: UInt8 = 0
    private var fault: ChatBodyFault?

    /// The fields that may come once only, since the gateway acts on them.
    private enum Field: UInt8 {
        case model, stream, streamOptions, user, metadata, messages, tools, responseFormat

        static let all: [Field] = [
            .model, .stream, .streamOptions, .user, .metadata, .messages, .tools, .responseFormat,
        ]

        var bit: UInt8 { 1 << rawValue }

        var name: StaticString {
            switch self {
            case .model: "model"
            case .stream: "stream"
            case .streamOptions: "stream_options"
            case .user: "user"
            case .metadata: "metadata"
            case .messages: "messages"
            case .tools: "tools"
            case .responseFormat: "response_format"
            }
        }
    }

    private init(salt: UInt64) { self.salt = salt }

    package static func scan(
        _ bytes: UnsafeRawBufferPointer, salt: UInt64
    ) throws(ChatBodyFault) -> ChatBody {
        var cursor = JSONCursor(bytes)
        var scanner = BodyScanner(salt: salt)
        do throws(JSONFault) {
            guard cursor.peek() == UInt8(ascii: "{") else { throw cursor.fault("expected an object") }
            scanner.body.usage = .absent(at: cursor.at + 1)
            try cursor.object(depth: 0) { (cursor, key) throws(JSONFault) in try scanner.field(key, &cursor) }
            try cursor.finish()
        } catch {
            throw .malformed(error)
        }
        if let fault = scanner.fault { throw fault }
        guard scanner.seen & Field.model.bit != 0 else { throw .missing("model") }
        return scanner.body
    }

    private mutating func field(_ key: JSONText, _ cursor: inout JSONCursor) throws(JSONFault) {
        guard let field = Field.all.first(where: { cursor.reads(key, $0.name) }) else {
            return try cursor.skip(depth: 1)
        }
        if seen & field.bit != 0 { fault = fault ?? .repeated(field.name) }
        seen |= field.bit
        let next = cursor.peek()
        switch field {
        case .model:
            if next == UInt8(ascii: "\"") {
                body.model = try cursor.string()
            } else {
                try blame(.mistyped("model", expected: "a string"), &cursor)
            }
        case .stream:
            switch next {
            case UInt8(ascii: "t"): body.stream = true
            case UInt8(ascii: "f"), UInt8(ascii: "n"): break
            default: fault = fault ?? .mistyped("stream", expected: "true or false")
            }
            try cursor.skip(depth: 1)
        case .streamOptions: try options(&cursor, next)
        case .user: body.user = try text(&cursor)
        case .metadata: try metadata(&cursor, next)
        case .messages: try messages(&cursor, next)
        case .tools:
            let start = cursor.at
            try cursor.skip(depth: 1)
            body.tools = next == UInt8(ascii: "[") && cursor.at - start > 4 ? start..<cursor.at : nil
        case .responseFormat: try responseFormat(&cursor, next)
        }
    }

    private mutating func blame(_ fault: ChatBodyFault, _ cursor: inout JSONCursor) throws(JSONFault) {
        self.fault = self.fault ?? fault
        try cursor.skip(depth: 1)
    }

    /// A string's offsets; anything else is read and is nothing to us.
    private func text(_ cursor: inout JSONCursor, depth: Int = 1) throws(JSONFault) -> JSONText? {
        if cursor.peek() == UInt8(ascii: "\"") { return try cursor.string() }
        try cursor.skip(depth: depth)
        return nil
    }

    private mutating func options(_ cursor: inout JSONCursor, _ next: UInt8) throws(JSONFault) {
        let start = cursor.at
        guard next == UInt8(ascii: "{") else {
            if next != UInt8(ascii: "n") {
                return try blame(.mistyped("stream_options", expected: "an object"), &cursor)
            }
            try cursor.skip(depth: 1)
            body.usage = .null(start..<cursor.at)
            return
        }
        var empty = true
        var found: ChatBody.UsageRequest?
        var fault: ChatBodyFault?
        try cursor.object(depth: 1) { (cursor, key) throws(JSONFault) in
            empty = false
            let wanted = cursor.reads(key, "include_usage")
            let truth = cursor.peek() == UInt8(ascii: "t")
            let start = cursor.at
            try cursor.skip(depth: 2)
            guard wanted else { return }
            if found != nil { fault = .repeated("stream_options.include_usage") }
            found = truth ? .asked : .declined(start..<cursor.at)
        }
        self.fault = self.fault ?? fault
        body.usage = found ?? .object(at: start + 1, empty: empty)
    }

    private mutating func metadata(_ cursor: inout JSONCursor, _ next: UInt8) throws(JSONFault) {
        guard next == UInt8(ascii: "{") else { return try cursor.skip(depth: 1) }
        var session: JSONText?
        try cursor.object(depth: 1) { (cursor, key) throws(JSONFault) in
            if cursor.reads(key, "session_id") {
                session = try text(&cursor, depth: 2)
            } else {
                try cursor.skip(depth: 2)
            }
        }
        body.session = session
    }

    private mutating func responseFormat(_ cursor: inout JSONCursor, _ next: UInt8) throws(JSONFault) {
        guard next == UInt8(ascii: "{") else { return try cursor.skip(depth: 1) }
        var asksJSON = false
        try cursor.object(depth: 1) { (cursor, key) throws(JSONFault) in
            guard cursor.reads(key, "type") else { return try cursor.skip(depth: 2) }
            guard let type = try text(&cursor, depth: 2) else { return }
            asksJSON = cursor.reads(type, "json_object") || cursor.reads(type, "json_schema")
        }
        body.asksJSON = asksJSON
    }

    private mutating func messages(_ cursor: inout JSONCursor, _ next: UInt8) throws(JSONFault) {
        guard next == UInt8(ascii: "[") else { return try cursor.skip(depth: 1) }
        var (messages, characters, images) = (0, 0, 0)
        var fingerprint = PromptFingerprint(salt: salt)
        let start = cursor.at
        try cursor.array(depth: 1) { (cursor) throws(JSONFault) in
            messages += 1
            guard cursor.peek() == UInt8(ascii: "{") else { return try cursor.skip(depth: 2) }
            try cursor.object(depth: 2) { (cursor, key) throws(JSONFault) in
                guard cursor.reads(key, "content") else { return try cursor.skip(depth: 3) }
                switch cursor.peek() {
                case UInt8(ascii: "\""): characters += try Self.text(&cursor, &fingerprint)
                case UInt8(ascii: "["): try Self.parts(&cursor, &characters, &images, &fingerprint)
                default: try cursor.skip(depth: 3)
                }
            }
        }
        (body.messages, body.characters, body.images) = (messages, characters, images)
        guard messages > 0 else { return }
        body.features = fingerprint.features(
            messages: UnsafeRawBufferPointer(rebasing: cursor.bytes[start..<cursor.at]))
    }

    /// - Returns: Its characters.
    private static func text(
        _ cursor: inout JSONCursor, _ fingerprint: inout PromptFingerprint
    ) throws(JSONFault) -> Int {
        let text = try cursor.string()
        fingerprint.add(UnsafeRawBufferPointer(rebasing: cursor.bytes[text.range]))
        return text.characters
    }

    /// A message's content given as parts: `{"type":"text","text":…}`, `{"type":"image_url","image_url":…}`.
    private static func parts(
        _ cursor: inout JSONCursor, _ characters: inout Int, _ images: inout Int,
        _ fingerprint: inout PromptFingerprint
    ) throws(JSONFault) {
        try cursor.array(depth: 3) { (cursor) throws(JSONFault) in
            guard cursor.peek() == UInt8(ascii: "{") else { return try cursor.skip(depth: 4) }
            try cursor.object(depth: 4) { (cursor, key) throws(JSONFault) in
                if cursor.reads(key, "text"), cursor.peek() == UInt8(ascii: "\"") {
                    characters += try text(&cursor, &fingerprint)
                } else {
                    if cursor.reads(key, "image_url") { images += 1 }
                    try cursor.skip(depth: 5)
                }
            }
        }
    }
}

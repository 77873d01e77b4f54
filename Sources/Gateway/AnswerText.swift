/// What is kept of an answer's words while they come by, so that the whole can be checked at its end: bounded parts, each
/// `nil` where it is not known or not wanted.
package struct AnswerText: Equatable {
    /// Bytes of content kept to be checked.
    package static let contentLimit = 256 << 10

    /// All the text; `nil` where it is not to be kept, and past the limit.
    package private(set) var content: [UInt8]?
    package private(set) var ending: TextEnding? = TextEnding()
    package private(set) var calls: ToolCalls? = ToolCalls()

    /// - Parameter keepsContent: whether all the text is to be kept.
    package init(keepsContent: Bool = false) { if keepsContent { content = [] } }

    /// Something could not be read, or several answers have come at once: from here on nothing is known.
    mutating func lose() { (content, ending, calls) = (nil, nil, nil) }

    mutating func add(_ text: JSONText, of cursor: JSONCursor) {
        let bytes = UnsafeRawBufferPointer(rebasing: cursor.bytes[text.range])
        ending?.add(bytes)
        // No second reference to the bytes, or each part would copy all those before it.
        guard content != nil else { return }
        guard bytes.count <= 6 * Self.contentLimit else { return content = nil }
        if text.escaped {
            content?.append(contentsOf: cursor.decode(text).utf8)
        } else {
            content?.append(contentsOf: bytes)
        }
        if let count = content?.count, count > Self.contentLimit { content = nil }
    }

    /// Reads `tool_calls`; the older `function_call` is not checked.
    ///
    /// - Parameter isChunk: whether more of the same calls may come.
    mutating func addCalls(_ cursor: inout JSONCursor, isChunk: Bool) throws(JSONFault) {
        guard cursor.peek() == UInt8(ascii: "["), calls != nil else {
            calls = nil
            return try cursor.skip(depth: 4)
        }
        try calls?.read(&cursor, isChunk: isChunk)
    }
}

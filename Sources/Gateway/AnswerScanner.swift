package import Telemetry

/// What the gateway reads of an answer, or of one chunk of a streamed one.
package struct AnswerFacts: Equatable {
    package var usage: TokenUsage?
    package var finish: String?
    /// Characters of content, tool arguments and refusals.
    package var characters = 0
    package var choices = 0
    package var toolCalls = false
    /// The model, or a filter before it, has declined.
    package var refusal = false
    /// Something was said: text, a refusal or sound.
    package var hasContent = false
    /// A top-level `error` that is not null.
    package var failed = false
    package var text = AnswerText()

    /// The text of the one choice where it is to be kept; `nil` where not, with several choices, or past the limit.
    package var content: [UInt8]? { text.content }

    /// Adds the next chunk of the same answer, but for its text.
    mutating func merge(_ chunk: AnswerFacts) {
        usage = chunk.usage ?? usage
        finish = chunk.finish ?? finish
        characters += chunk.characters
        choices = max(choices, chunk.choices)
        toolCalls = toolCalls || chunk.toolCalls
        refusal = refusal || chunk.refusal
        hasContent = hasContent || chunk.hasContent
        failed = failed || chunk.failed
    }
}

/// Reads an OpenAI chat completion, or a chunk of one, in one pass.
package struct AnswerScanner {
    /// - Parameter keepsContent: whether all that is said is to be kept.
    package static func scan(
        _ bytes: UnsafeRawBufferPointer, keepsContent: Bool = false
    ) throws(JSONFault) -> AnswerFacts {
        var facts = AnswerFacts()
        var text = AnswerText(keepsContent: keepsContent)
        try read(bytes, &facts, &text)
        facts.text = text
        return facts
    }

    /// Reads a chunk and adds it to the answer.
    ///
    /// - Returns: What the chunk itself says, but for its text.
    static func scan(
        _ bytes: UnsafeRawBufferPointer, chunkOf answer: inout AnswerFacts
    ) throws(JSONFault) -> AnswerFacts {
        var chunk = AnswerFacts()
        try read(bytes, &chunk, &answer.text)
        answer.merge(chunk)
        return chunk
    }

    private static func read(
        _ bytes: UnsafeRawBufferPointer, _ facts: inout AnswerFacts, _ text: inout AnswerText
    ) throws(JSONFault) {
        var cursor = JSONCursor(bytes)
        try cursor.object(depth: 0) { (cursor, key) throws(JSONFault) in
            let next = cursor.peek()
            if cursor.reads(key, "choices"), next == UInt8(ascii: "[") {
                try cursor.array(depth: 1) { (cursor) throws(JSONFault) in try choice(&cursor, &facts, &text) }
            } else if cursor.reads(key, "usage"), next == UInt8(ascii: "{") {
                facts.usage = try usage(&cursor)
            } else {
                if cursor.reads(key, "error"), next != UInt8(ascii: "n") { facts.failed = true }
                try cursor.skip(depth: 1)
            }
        }
        try cursor.finish()
    }

    private static func choice(
        _ cursor: inout JSONCursor, _ facts: inout AnswerFacts, _ kept: inout AnswerText
    ) throws(JSONFault) {
        facts.choices += 1
        if facts.choices > 1 { kept.lose() }
        guard cursor.peek() == UInt8(ascii: "{") else { return try cursor.skip(depth: 2) }
        try cursor.object(depth: 2) { (cursor, key) throws(JSONFault) in
            let next = cursor.peek()
            if cursor.reads(key, "finish_reason"), next == UInt8(ascii: "\"") {
                // A closed list in practice; a bound keeps a hostile upstream from filling the log.
                let text = cursor.decode(try cursor.string())
                facts.finish = text.utf8.count <= 64 ? text : "unknown"
                if text == "content_filter" { facts.refusal = true }
            } else if cursor.reads(key, "message"), next == UInt8(ascii: "{") {
                try message(&cursor, &facts, &kept, isChunk: false)
            } else if cursor.reads(key, "delta"), next == UInt8(ascii: "{") {
                try message(&cursor, &facts, &kept, isChunk: true)
            } else if (49...57).contains(next), cursor.reads(key, "index") {
                // Another answer than the first.
                kept.lose()
                try cursor.skip(depth: 3)
            } else {
                try cursor.skip(depth: 3)
            }
        }
    }

    private static func message(
        _ cursor: inout JSONCursor, _ facts: inout AnswerFacts, _ kept: inout AnswerText, isChunk: Bool
    ) throws(JSONFault) {
        try cursor.object(depth: 3) { (cursor, key) throws(JSONFault) in
            let next = cursor.peek()
            if next == UInt8(ascii: "\"") {
                let content = cursor.reads(key, "content")
                let refusal = !content && cursor.reads(key, "refusal")
                let counts = content || refusal || cursor.reads(key, "reasoning_content")
                let text = try cursor.string()
                guard counts, text.characters > 0 else { return }
                facts.characters += text.characters
                if refusal { facts.refusal = true }
                if content || refusal { facts.hasContent = true }
                if content { kept.add(text, of: cursor) }
            } else if next == UInt8(ascii: "[") || next == UInt8(ascii: "{"),
                cursor.reads(key, "tool_calls") || cursor.reads(key, "function_call")
            {
                let start = cursor.at
                try kept.addCalls(&cursor, isChunk: isChunk)
                if cursor.at - start > 4 {
                    facts.toolCalls = true
                    facts.characters += cursor.at - start
                }
            } else {
                let start = cursor.at
                let says = next != UInt8(ascii: "n") && (cursor.reads(key, "content") || cursor.reads(key, "audio"))
                try cursor.skip(depth: 4)
                if says, cursor.at - start > 2 { facts.hasContent = true }
            }
        }
    }

    private static func usage(_ cursor: inout JSONCursor) throws(JSONFault) -> TokenUsage? {
        var (input, output): (Int?, Int?) = (nil, nil)
        var usage = TokenUsage(input: 0, output: 0)
        try cursor.object(depth: 1) { (cursor, key) throws(JSONFault) in
            if cursor.reads(key, "prompt_tokens") {
                input = try tokens(&cursor, depth: 2)
            } else if cursor.reads(key, "completion_tokens") {
                output = try tokens(&cursor, depth: 2)
            } else if cursor.peek() == UInt8(ascii: "{"),
                cursor.reads(key, "prompt_tokens_details") || cursor.reads(key, "completion_tokens_details")
            {
                try cursor.object(depth: 2) { (cursor, key) throws(JSONFault) in
                    if cursor.reads(key, "cached_tokens") {
                        usage.cachedRead = try tokens(&cursor, depth: 3) ?? 0
                    } else if cursor.reads(key, "cache_write_tokens") {
                        usage.cacheWrite = try tokens(&cursor, depth: 3) ?? 0
                    } else if cursor.reads(key, "reasoning_tokens") {
                        usage.reasoning = try tokens(&cursor, depth: 3) ?? 0
                    } else {
                        try cursor.skip(depth: 3)
                    }
                }
            } else {
                try cursor.skip(depth: 2)
            }
        }
        guard let input, let output else { return nil }
        (usage.input, usage.output) = (input, output)
        return usage
    }

    private static func tokens(_ cursor: inout JSONCursor, depth: Int) throws(JSONFault) -> Int? {
        switch cursor.peek() {
        case 48...57: return cursor.count(try cursor.number())
        default:
            try cursor.skip(depth: depth)
            return nil
        }
    }
}

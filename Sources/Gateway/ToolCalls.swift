/// The tool calls of one answer, put together from their parts, to be held against what the request declared.
///
/// A call can be made if it names a declared function and its arguments are a JSON object that has what the function's
/// parameters require. Types, enumerations and whatever is nested are not looked at.
package struct ToolCalls: Equatable {
    /// Bytes of names and arguments kept, as they stand in the document.
    package static let byteLimit = 64 << 10
    package static let callLimit = 64
    /// Bytes of the request's `tools` that are read.
    package static let declaredLimit = 256 << 10

    private struct Call: Equatable {
        var index: Int?
        /// Escapes and all.
        var name: [UInt8] = []
        var arguments: [UInt8] = []
        /// Calls of other kinds of tools are not checked.
        var isFunction = false
    }

    /// What one chunk says of a call.
    private struct Part {
        var index: Int?
        /// It has an id or a name, which only the first part of a call has.
        var begins = false
        var isFunction = false
        var name: JSONText?
        var arguments: JSONText?
    }

    private var calls: [Call] = []
    private var bytes = 0
    /// More than is kept has come, or what cannot be understood.
    private var isPartial = false

    package init() {}

    /// Reads the array `tool_calls`.
    ///
    /// - Parameter isChunk: whether its elements may go on with calls that have begun.
    mutating func read(_ cursor: inout JSONCursor, isChunk: Bool) throws(JSONFault) {
        try cursor.array(depth: 4) { (cursor) throws(JSONFault) in
            guard cursor.peek() == UInt8(ascii: "{") else {
                isPartial = true
                return try cursor.skip(depth: 5)
            }
            let part = try part(&cursor)
            if !isPartial { add(part, of: cursor, isChunk: isChunk) }
        }
    }

    private mutating func part(_ cursor: inout JSONCursor) throws(JSONFault) -> Part {
        var part = Part()
        try cursor.object(depth: 5) { (cursor, key) throws(JSONFault) in
            let next = cursor.peek()
            if cursor.reads(key, "index"), (48...57).contains(next) {
                part.index = cursor.count(try cursor.number())
            } else if cursor.reads(key, "function"), next == UInt8(ascii: "{") {
                part.isFunction = true
                try function(&cursor, &part)
            } else if cursor.reads(key, "id"), next == UInt8(ascii: "\"") {
                let id = try cursor.string()
                part.begins = part.begins || !id.range.isEmpty
            } else {
                try cursor.skip(depth: 6)
            }
        }
        return part
    }

    private mutating func function(_ cursor: inout JSONCursor, _ part: inout Part) throws(JSONFault) {
        try cursor.object(depth: 6) { (cursor, key) throws(JSONFault) in
            let next = cursor.peek()
            if next == UInt8(ascii: "\"") {
                let text = try cursor.string()
                if cursor.reads(key, "name") {
                    part.name = text
                    part.begins = part.begins || !text.range.isEmpty
                } else if cursor.reads(key, "arguments") {
                    part.arguments = text
                }
            } else {
                // Arguments that are no text follow no specification: who reads them may understand them or not.
                if cursor.reads(key, "arguments"), next != UInt8(ascii: "n") { isPartial = true }
                try cursor.skip(depth: 7)
            }
        }
    }

    private mutating func add(_ part: Part, of cursor: JSONCursor, isChunk: Bool) {
        bytes += (part.name?.range.count ?? 0) + (part.arguments?.range.count ?? 0)
        let known = isChunk ? place(of: part) : nil
        guard bytes <= Self.byteLimit, known != nil || calls.count < Self.callLimit else {
            isPartial = true
            return calls = []
        }
        if known == nil { calls.append(Call(index: part.index)) }
        let at = known ?? calls.count - 1
        if part.isFunction { calls[at].isFunction = true }
        if let name = part.name { calls[at].name.append(contentsOf: cursor.bytes[name.range]) }
        if let arguments = part.arguments { calls[at].arguments.append(contentsOf: cursor.bytes[arguments.range]) }
    }

    /// The call that a part goes on with. Some providers number none: there a part without id and name goes on with the
    /// last.
    private func place(of part: Part) -> Int? {
        if let index = part.index { return calls.lastIndex { $0.index == index } }
        return part.begins || calls.isEmpty ? nil : calls.count - 1
    }
}

extension ToolCalls {
    /// Whether all of them can be made; `nil` if there are none, or not all is known of them.
    ///
    /// - Parameter declared: The request's array `tools`; `nil` if it has none.
    package func canBeMade(by declared: UnsafeRawBufferPointer?) -> Bool? {
        guard !calls.isEmpty, !isPartial, declared?.count ?? 0 <= Self.declaredLimit else { return nil }
        let functions = declared.map(Self.functions) ?? [:]
        for call in calls where call.isFunction {
            guard let names = functions[Self.text(call.name)], Self.holds(call.arguments, names) else { return false }
        }
        return calls.allSatisfy(\.isFunction) ? true : nil
    }

    /// The properties that each declared function requires, by its name.
    private static func functions(_ declared: UnsafeRawBufferPointer) -> [String: [String]] {
        var cursor = JSONCursor(declared)
        var found: [String: [String]] = [:]
        // Well-formed, or the request would have been refused.
        try? cursor.array(depth: 0) { (cursor) throws(JSONFault) in
            try members(&cursor, depth: 1) { (cursor, key) throws(JSONFault) in
                guard cursor.reads(key, "function"), cursor.peek() == UInt8(ascii: "{") else {
                    return try cursor.skip(depth: 2)
                }
                var name = ""
                var names: [String] = []
                try cursor.object(depth: 2) { (cursor, key) throws(JSONFault) in
                    if cursor.reads(key, "name"), cursor.peek() == UInt8(ascii: "\"") {
                        name = cursor.decode(try cursor.string())
                    } else if cursor.reads(key, "parameters") {
                        names = try required(&cursor)
                    } else {
                        try cursor.skip(depth: 3)
                    }
                }
                found[name] = names
            }
        }
        return found
    }

    /// `required` of a schema.
    private static func required(_ cursor: inout JSONCursor) throws(JSONFault) -> [String] {
        var names: [String] = []
        try members(&cursor, depth: 3) { (cursor, key) throws(JSONFault) in
            guard cursor.reads(key, "required"), cursor.peek() == UInt8(ascii: "[") else {
                return try cursor.skip(depth: 4)
            }
            try cursor.array(depth: 4) { (cursor) throws(JSONFault) in
                guard cursor.peek() == UInt8(ascii: "\"") else { return try cursor.skip(depth: 5) }
                names.append(cursor.decode(try cursor.string()))
            }
        }
        return names
    }

    /// Reads an object's members; what is no object has none.
    private static func members(
        _ cursor: inout JSONCursor, depth: Int, _ visit: (inout JSONCursor, JSONText) throws(JSONFault) -> Void
    ) throws(JSONFault) {
        if cursor.peek() == UInt8(ascii: "{") {
            try cursor.object(depth: depth, visit)
        } else {
            try cursor.skip(depth: depth)
        }
    }

    /// Whether arguments are an object with these properties.
    private static func holds(_ arguments: [UInt8], _ names: [String]) -> Bool {
        // Clients read no arguments at all as an empty object.
        if arguments.isEmpty { return names.isEmpty }
        var missing = Set(names)
        var json = text(arguments)
        return json.withUTF8 { bytes in
            var cursor = JSONCursor(UnsafeRawBufferPointer(bytes))
            do throws(JSONFault) {
                try cursor.object(depth: 0) { (cursor, key) throws(JSONFault) in
                    if !missing.isEmpty { missing.remove(cursor.decode(key)) }
                    try cursor.skip(depth: 1)
                }
                try cursor.finish()
                return missing.isEmpty
            } catch {
                return false
            }
        }
    }

    /// What the bytes between the quotes of a string say.
    private static func text(_ bytes: [UInt8]) -> String {
        bytes.withUnsafeBytes { bytes in
            JSONCursor(bytes).decode(JSONText(range: 0..<bytes.count, escaped: true, characters: 0))
        }
    }
}

/// Where and why a document is not the JSON we can read.
package struct JSONFault: Error, Equatable {
    /// Bytes from the start of the document.
    package let offset: Int
    package let reason: StaticString

    package static func == (a: Self, b: Self) -> Bool {
        a.offset == b.offset && a.reason.description == b.reason.description
    }
}

/// A string in a document: the bytes between its quotes.
package struct JSONText: Equatable {
    package var range: Range<Int>
    /// Whether it holds escapes, so that its bytes are not its text.
    package var escaped: Bool
    /// Characters, counted as Unicode scalars; an escape counts as one.
    package var characters: Int

    /// The string with its quotes.
    package var quoted: Range<Int> { range.lowerBound - 1..<range.upperBound + 1 }
}

/// A bounded byte scanner over one JSON document (RFC 8259): it checks the whole grammar, gives offsets, copies nothing.
///
/// It neither checks UTF-8 nor decodes what nobody asks for. The bytes must outlive it.
package struct JSONCursor {
    /// Nesting beyond this is refused.
    package static let depthLimit = 128

    let bytes: UnsafeRawBufferPointer
    private(set) var at = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// The next byte that is not white space, without taking it; 0 at the end.
    @inline(__always)
    mutating func peek() -> UInt8 {
        while at < bytes.count {
            switch bytes[at] {
            case 0x20, 0x0a, 0x0d, 0x09: at += 1
            case let byte: return byte
            }
        }
        return 0
    }

    /// Whether the bytes are one JSON document.
    static func isDocument(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var cursor = JSONCursor(bytes)
        do throws(JSONFault) {
            try cursor.skip(depth: 0)
            try cursor.finish()
            return true
        } catch {
            return false
        }
    }

    func fault(_ reason: StaticString) -> JSONFault { JSONFault(offset: at, reason: reason) }

    /// Fails unless only white space is left.
    mutating func finish() throws(JSONFault) {
        _ = peek()
        if at < bytes.count { throw fault("unexpected bytes after the document") }
    }

    /// Reads an object and hands over each key, with the cursor at its value, which `visit` must read.
    @inline(__always)
    mutating func object(
        depth: Int, _ visit: (inout JSONCursor, JSONText) throws(JSONFault) -> Void
    ) throws(JSONFault) {
        guard depth < Self.depthLimit else { throw fault("nested too deeply") }
        guard peek() == UInt8(ascii: "{") else { throw fault("expected an object") }
        at += 1
        if peek() == UInt8(ascii: "}") {
            at += 1
            return
        }
        while true {
            guard peek() == UInt8(ascii: "\"") else { throw fault("expected a key in quotes") }
            let key = try string()
            guard peek() == UInt8(ascii: ":") else { throw fault("expected ':' after a key") }
            at += 1
            try visit(&self, key)
            switch peek() {
            case UInt8(ascii: ","): at += 1
            case UInt8(ascii: "}"):
                at += 1
                return
            default: throw fault("expected ',' or '}'")
            }
        }
    }

    /// Reads an array, with the cursor at each element in turn, which `visit` must read.
    @inline(__always)
    mutating func array(depth: Int, _ visit: (inout JSONCursor) throws(JSONFault) -> Void) throws(JSONFault) {
        guard depth < Self.depthLimit else { throw fault("nested too deeply") }
        guard peek() == UInt8(ascii: "[") else { throw fault("expected an array") }
        at += 1
        if peek() == UInt8(ascii: "]") {
            at += 1
            return
        }
        while true {
            try visit(&self)
            switch peek() {
            case UInt8(ascii: ","): at += 1
            case UInt8(ascii: "]"):
                at += 1
                return
            default: throw fault("expected ',' or ']'")
            }
        }
    }

    /// Reads a string; the cursor must be at its quote or at white space before it.
    mutating func string() throws(JSONFault) -> JSONText {
        guard peek() == UInt8(ascii: "\"") else { throw fault("expected a string") }
        at += 1
        let start = at
        var escaped = false
        var characters = 0
        while at < bytes.count {
            let byte = bytes[at]
            switch byte {
            case UInt8(ascii: "\""):
                at += 1
                return JSONText(range: start..<at - 1, escaped: escaped, characters: characters)
            case UInt8(ascii: "\\"):
                escaped = true
                characters += 1
                try skipEscape()
            case 0..<0x20: throw fault("a control character in a string")
            default:
                // Bytes 10xxxxxx go on with a scalar that has been counted.
                characters += byte & 0xc0 == 0x80 ? 0 : 1
                at += 1
            }
        }
        throw fault("a string does not end")
    }

    private mutating func skipEscape() throws(JSONFault) {
        at += 1
        guard at < bytes.count else { throw fault("a string does not end") }
        switch bytes[at] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            at += 1
        case UInt8(ascii: "u"):
            guard at + 4 < bytes.count, bytes[at + 1...at + 4].allSatisfy({ hexValue($0) != nil }) else {
                throw fault("a broken \\u escape")
            }
            at += 5
        default: throw fault("an unknown escape")
        }
    }

    /// Reads a number and gives its bytes.
    mutating func number() throws(JSONFault) -> Range<Int> {
        _ = peek()
        let start = at
        if byte == UInt8(ascii: "-") { at += 1 }
        if byte == UInt8(ascii: "0") { at += 1 } else { try digits() }
        if byte == UInt8(ascii: ".") {
            at += 1
            try digits()
        }
        if byte | 0x20 == UInt8(ascii: "e") {
            at += 1
            if byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-") { at += 1 }
            try digits()
        }
        return start..<at
    }

    private var byte: UInt8 { at < bytes.count ? bytes[at] : 0 }

    private mutating func digits() throws(JSONFault) {
        guard (48...57).contains(byte) else { throw fault("expected a value") }
        while (48...57).contains(byte) { at += 1 }
    }

    mutating func literal(_ text: StaticString) throws(JSONFault) {
        _ = peek()
        guard holds(text, at: at) else { throw fault("expected a value") }
        at += text.utf8CodeUnitCount
    }

    /// Reads any value.
    mutating func skip(depth: Int) throws(JSONFault) {
        switch peek() {
        case UInt8(ascii: "\""): _ = try string()
        case UInt8(ascii: "{"):
            try object(depth: depth) { (cursor, _) throws(JSONFault) in try cursor.skip(depth: depth + 1) }
        case UInt8(ascii: "["):
            try array(depth: depth) { (cursor) throws(JSONFault) in try cursor.skip(depth: depth + 1) }
        case UInt8(ascii: "t"): try literal("true")
        case UInt8(ascii: "f"): try literal("false")
        case UInt8(ascii: "n"): try literal("null")
        case 0 where at >= bytes.count: throw fault("the document ends too early")
        default: _ = try number()
        }
    }
}

extension JSONCursor {
    private func holds(_ text: StaticString, at offset: Int) -> Bool {
        let count = text.utf8CodeUnitCount
        guard offset + count <= bytes.count else { return false }
        for index in 0..<count where bytes[offset + index] != text.utf8Start[index] { return false }
        return true
    }

    /// Whether a string reads `text`, escapes resolved: a key must not hide behind `\u006d`.
    @inline(__always)
    func reads(_ string: JSONText, _ text: StaticString) -> Bool {
        if string.escaped { return decode(string) == text.description }
        return string.range.count == text.utf8CodeUnitCount && holds(text, at: string.range.lowerBound)
    }

    /// The text of a string; broken UTF-8 and lone surrogates become U+FFFD.
    func decode(_ string: JSONText) -> String {
        let raw = bytes[string.range]
        guard string.escaped else { return String(decoding: raw, as: UTF8.self) }
        var units: [UInt8] = []
        units.reserveCapacity(raw.count)
        var index = raw.startIndex
        while index < raw.endIndex {
            guard raw[index] == UInt8(ascii: "\\"), index + 1 < raw.endIndex else {
                units.append(raw[index])
                index += 1
                continue
            }
            index += 2
            switch raw[index - 1] {
            case UInt8(ascii: "b"): units.append(8)
            case UInt8(ascii: "f"): units.append(12)
            case UInt8(ascii: "n"): units.append(10)
            case UInt8(ascii: "r"): units.append(13)
            case UInt8(ascii: "t"): units.append(9)
            case UInt8(ascii: "u"): units.append(contentsOf: unicode(raw, &index))
            case let plain: units.append(plain)
            }
        }
        return String(decoding: units, as: UTF8.self)
    }

    private func unicode(_ raw: Slice<UnsafeRawBufferPointer>, _ index: inout Int) -> [UInt8] {
        func unit(_ start: Int) -> UInt32? {
            guard start + 4 <= raw.endIndex else { return nil }
            return raw[start..<start + 4].reduce(into: UInt32?(0)) { value, byte in
                value = value.flatMap { value in hexValue(byte).map { value << 4 | UInt32($0) } }
            }
        }
        guard var code = unit(index) else { return [] }
        index += 4
        if (0xd800..<0xdc00).contains(code), index + 6 <= raw.endIndex, raw[index] == UInt8(ascii: "\\"),
            raw[index + 1] == UInt8(ascii: "u"), let low = unit(index + 2), (0xdc00..<0xe000).contains(low)
        {
            code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
            index += 6
        }
        return Array(String(Unicode.Scalar(code) ?? "\u{fffd}").utf8)
    }

    /// A whole number of 0 or more; `nil` if the number is none or does not fit.
    func count(_ range: Range<Int>) -> Int? {
        var value = 0
        for byte in bytes[range] {
            guard (48...57).contains(byte), value < 1 << 52 else { return nil }
            value = value * 10 + Int(byte - 48)
        }
        return value
    }
}

@inline(__always)
func hexValue(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 48...57: byte - 48
    case 65...70: byte - 55
    case 97...102: byte - 87
    default: nil
    }
}

/// Walks the fields of one protobuf message where it lies, without a schema and without recursion.
///
/// Source of the wire format: Protocol Buffers documentation, "Encoding". Whoever reads a message picks the fields it
/// knows by number and passes over the rest, so how deep a message is nested costs nothing.
struct ProtobufReader {
    struct Field {
        var number: UInt64
        var value: Value
    }

    enum Value {
        case varint(UInt64)
        case fixed64(UInt64)
        case fixed32(UInt32)
        /// Where text, bytes or an embedded message lie.
        case bytes(Range<Int>)
    }

    let bytes: [UInt8]
    private var at: Int
    private let end: Int

    /// - Parameter part: lies within `bytes`.
    init(_ bytes: [UInt8], _ part: Range<Int>? = nil) {
        self.bytes = bytes
        let part = part.map { $0.clamped(to: bytes.indices) } ?? bytes.indices
        (at, end) = (part.lowerBound, part.upperBound)
    }

    /// The next field, `nil` at the end.
    mutating func next() throws(OTLPError) -> Field? {
        guard at < end else { return nil }
        let tag = try varint()
        let number = tag >> 3
        guard (1...0x1fff_ffff).contains(number) else { throw .malformed("field number \(number) at byte \(at)") }
        switch tag & 7 {
        case 0: return Field(number: number, value: .varint(try varint()))
        case 1: return Field(number: number, value: .fixed64(try fixed(bytes: 8)))
        case 2: return Field(number: number, value: .bytes(try lengthDelimited()))
        case 5: return Field(number: number, value: .fixed32(UInt32(truncatingIfNeeded: try fixed(bytes: 4))))
        default: throw .malformed("wire type \(tag & 7) at byte \(at)")
        }
    }

    /// Another reader for the message that lies in a part of the same bytes.
    func message(_ part: Range<Int>) -> ProtobufReader { ProtobufReader(bytes, part) }

    /// `nil` for a text that is not UTF-8, is longer than we read, or holds U+0000, which PostgreSQL cannot keep.
    func text(_ part: Range<Int>) -> String? {
        guard part.count <= JSONDocument.longestText, !bytes[part].contains(0) else { return nil }
        return String(validating: bytes[part], as: UTF8.self)
    }

    private mutating func varint() throws(OTLPError) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            guard at < end else { throw .malformed("a number cut off at byte \(at)") }
            let byte = bytes[at]
            at += 1
            // The tenth byte has room for one bit.
            if shift == 63, byte > 1 { break }
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return value }
        }
        throw .malformed("a number of more than 64 bits at byte \(at)")
    }

    private mutating func fixed(bytes count: Int) throws(OTLPError) -> UInt64 {
        guard end - at >= count else { throw .malformed("a number cut off at byte \(at)") }
        defer { at += count }
        return bytes[at..<at + count].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    private mutating func lengthDelimited() throws(OTLPError) -> Range<Int> {
        let length = try varint()
        guard length <= UInt64(end - at) else { throw .malformed("a length of \(length) at byte \(at)") }
        defer { at += Int(length) }
        return at..<at + Int(length)
    }
}

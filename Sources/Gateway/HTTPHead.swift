import NIOCore

/// Why bytes are not an HTTP/1.1 message that can be read.
package enum HTTPFault: Error {
    case malformed
    /// More header than is taken.
    case tooLarge
}

/// The head of an HTTP/1.x message: its bytes, and where in them each field lies. Nothing is decoded before it is asked
/// for, and what is passed on is copied as it came.
///
/// Strict where leniency lets two parties read one message differently (RFC 9112, section 11.2): bare line feeds, folded
/// lines, spaces before a colon, more than one length, a length beside chunks, and any transfer coding but `chunked`
/// are refused.
package struct HTTPHead {
    /// The most fields of a head.
    private static let fieldLimit = 256
    private static let cr = UInt8(ascii: "\r")
    private static let lf = UInt8(ascii: "\n")

    package struct Field {
        package var name: Range<Int>
        package var value: Range<Int>
    }

    package enum Start {
        case request(method: Range<Int>, target: Range<Int>)
        case response(status: Int)
    }

    package let bytes: [UInt8]
    package private(set) var start = Start.response(status: 0)
    package private(set) var fields: [Field] = []
    /// `content-length`.
    package private(set) var length: Int?
    package private(set) var isChunked = false
    /// The `x` of HTTP/1.x.
    package private(set) var minor = 1
    private var closes = false
    private var keeps = false

    /// Whether the connection may be used for another message.
    package var keepAlive: Bool { !closes && (minor >= 1 || keeps) }

    /// Reads a head with its empty line.
    package init(_ head: [UInt8], isResponse: Bool) throws(HTTPFault) {
        bytes = head
        fields.reserveCapacity(12)
        var at = try line(from: 0)
        start = try isResponse ? response(0..<at - 2) : request(0..<at - 2)
        while bytes[at] != Self.cr {
            let end = try line(from: at)
            guard fields.count < Self.fieldLimit else { throw .tooLarge }
            let field = try field(at..<end - 2)
            fields.append(field)
            try note(field)
            at = end
        }
        guard at + 2 == bytes.count, !(isChunked && (length != nil || minor == 0)) else { throw .malformed }
    }

    // MARK: Looking things up

    /// The first field of a name given in lower case.
    package func first(_ name: StaticString) -> Range<Int>? {
        fields.first { reads($0.name, name) }?.value
    }

    package func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }

    package func string(_ name: StaticString) -> String? { first(name).map(text) }

    var isEventStream: Bool {
        let name: StaticString = "text/event-stream"
        guard let type = first("content-type")?.prefix(name.utf8CodeUnitCount) else { return false }
        return reads(type, name)
    }

    /// The first field of a name given in lower case that is known only at run time.
    func string(named lowercase: String) -> String? {
        fields.first { field in
            field.name.count == lowercase.utf8.count
                && lowercase.utf8.elementsEqual(bytes[field.name]) {
                    $0 == ((0x41...0x5a).contains($1) ? $1 | 0x20 : $1)
                }
        }.map { text($0.value) }
    }

    /// Whether the bytes are `lowercase`, whatever their case. Only letters and `-` may stand in `lowercase`: the bit
    /// that makes a letter small means something else in other bytes.
    func reads(_ range: Range<Int>, _ lowercase: StaticString) -> Bool {
        guard range.count == lowercase.utf8CodeUnitCount else { return false }
        return bytes.withUnsafeBufferPointer { bytes in
            for index in 0..<range.count
            where bytes[range.lowerBound + index] | 0x20 != lowercase.utf8Start[index] { return false }
            return true
        }
    }

    // MARK: Reading

    /// Where the line after the one at `start` begins. Every line of a head that was cut at its empty line has an end.
    private func line(from start: Int) throws(HTTPFault) -> Int {
        guard let end = bytes[start...].firstIndex(of: Self.lf), end > start, bytes[end - 1] == Self.cr else {
            throw .malformed
        }
        return end + 1
    }

    private mutating func request(_ line: Range<Int>) throws(HTTPFault) -> Start {
        guard let first = bytes[line].firstIndex(of: 0x20), first > 0, first <= 32,
            bytes[..<first].allSatisfy(Self.isToken),
            let second = bytes[(first + 1)..<line.upperBound].firstIndex(of: 0x20), second > first + 1,
            bytes[(first + 1)..<second].allSatisfy({ $0 > 0x20 && $0 < 0x7f })
        else { throw .malformed }
        try version(second + 1..<line.upperBound)
        return .request(method: 0..<first, target: first + 1..<second)
    }

    private mutating func response(_ line: Range<Int>) throws(HTTPFault) -> Start {
        // HTTP/1.1 200, and a reason or not.
        guard line.count >= 12, bytes[8] == 0x20, line.count == 12 || bytes[12] == 0x20 else { throw .malformed }
        try version(0..<8)
        var status = 0
        for digit in bytes[9..<12] {
            guard (48...57).contains(digit) else { throw .malformed }
            status = status * 10 + Int(digit - 48)
        }
        guard status >= 100, bytes[12..<max(12, line.upperBound)].allSatisfy(Self.isValue) else { throw .malformed }
        return .response(status: status)
    }

    private mutating func version(_ range: Range<Int>) throws(HTTPFault) {
        guard range.count == 8, bytes[range].starts(with: "HTTP/1.".utf8) else { throw .malformed }
        switch bytes[range.upperBound - 1] {
        case UInt8(ascii: "1"): minor = 1
        case UInt8(ascii: "0"): minor = 0
        default: throw .malformed
        }
    }

    private func field(_ line: Range<Int>) throws(HTTPFault) -> Field {
        guard let colon = bytes[line].firstIndex(of: UInt8(ascii: ":")), colon > line.lowerBound,
            bytes[line.lowerBound..<colon].allSatisfy(Self.isToken)
        else { throw .malformed }
        var value = colon + 1..<line.upperBound
        while let first = bytes[value].first, first == 0x20 || first == 0x09 { value = value.dropFirst() }
        while let last = bytes[value].last, last == 0x20 || last == 0x09 { value = value.dropLast() }
        guard bytes[value].allSatisfy(Self.isValue) else { throw .malformed }
        return Field(name: line.lowerBound..<colon, value: value)
    }

    /// Takes note of what frames the message.
    private mutating func note(_ field: Field) throws(HTTPFault) {
        switch field.name.count {
        case 14 where reads(field.name, "content-length"):
            guard length == nil, (1...18).contains(field.value.count) else { throw .malformed }
            var value = 0
            for digit in bytes[field.value] {
                guard (48...57).contains(digit) else { throw .malformed }
                value = value * 10 + Int(digit - 48)
            }
            length = value
        case 17 where reads(field.name, "transfer-encoding"):
            guard !isChunked, reads(field.value, "chunked") else { throw .malformed }
            isChunked = true
        case 10 where reads(field.name, "connection"):
            for option in options(field.value) {
                if reads(option, "close") { closes = true }
                if reads(option, "keep-alive") { keeps = true }
            }
        default: break
        }
    }

    /// The members of a list.
    func options(_ value: Range<Int>) -> [Range<Int>] {
        bytes[value].split(separator: UInt8(ascii: ",")).map { member in
            var range = member.startIndex..<member.endIndex
            while let first = bytes[range].first, first == 0x20 || first == 0x09 { range = range.dropFirst() }
            while let last = bytes[range].last, last == 0x20 || last == 0x09 { range = range.dropLast() }
            return range
        }
    }

    private static func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x21, 0x23...0x27, 0x2a, 0x2b, 0x2d, 0x2e, 0x5e...0x60, 0x7c, 0x7e:
            true
        default: false
        }
    }

    private static func isValue(_ byte: UInt8) -> Bool { byte >= 0x20 && byte != 0x7f || byte == 0x09 }
}

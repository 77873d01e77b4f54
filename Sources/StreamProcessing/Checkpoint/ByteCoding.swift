/// Writes a compact binary form: LEB128 numbers (zigzag where negative ones are possible), IEEE 754 bits, and bytes
/// with their length before them.
struct ByteWriter {
    private(set) var bytes: [UInt8] = []

    init(version: UInt8) { bytes.append(version) }

    mutating func append(_ value: UInt64) {
        var rest = value
        while rest > 0x7f {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    mutating func append(_ value: Int64) { append(UInt64(bitPattern: (value << 1) ^ (value >> 63))) }

    mutating func append(_ value: Int64?) {
        append(UInt64(value == nil ? 0 : 1))
        if let value { append(value) }
    }

    mutating func append(_ value: Double) {
        for place in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: value.bitPattern >> UInt64(8 * place))) }
    }

    mutating func append(_ part: some Collection<UInt8>) {
        append(UInt64(part.count))
        bytes.append(contentsOf: part)
    }
}

/// Reads what `ByteWriter` wrote. Every read is `nil` past the end or where the bytes make no sense.
struct ByteReader {
    private var rest: ArraySlice<UInt8>

    /// `nil` unless the first byte is the version.
    init?(_ bytes: some Collection<UInt8>, version: UInt8) {
        rest = ArraySlice(bytes)
        guard rest.popFirst() == version else { return nil }
    }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func unsigned() -> UInt64? {
        var value: UInt64 = 0
        for place in 0..<10 {
            guard let byte = rest.popFirst() else { return nil }
            guard place < 9 || byte <= 1 else { return nil }
            value |= UInt64(byte & 0x7f) << UInt64(7 * place)
            if byte < 0x80 { return value }
        }
        return nil
    }

    mutating func signed() -> Int64? {
        unsigned().map { Int64(bitPattern: ($0 >> 1)) ^ -Int64(bitPattern: $0 & 1) }
    }

    mutating func optionalSigned() -> Int64?? {
        switch unsigned() {
        case 0: .some(nil)
        case 1: signed().map { .some($0) }
        default: nil
        }
    }

    /// A number of things, each at least one byte long: never more than there are bytes left.
    mutating func count() -> Int? {
        unsigned().flatMap { $0 <= UInt64(rest.count) ? Int($0) : nil }
    }

    mutating func double() -> Double? {
        guard rest.count >= 8 else { return nil }
        let bits = rest.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        rest.removeFirst(8)
        return Double(bitPattern: bits)
    }

    mutating func part() -> ArraySlice<UInt8>? {
        guard let length = count() else { return nil }
        defer { rest.removeFirst(length) }
        return rest.prefix(length)
    }

    mutating func text() -> String? { part().flatMap { String(validating: $0, as: UTF8.self) } }
}

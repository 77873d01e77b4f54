/// Numbers below 2⁶³ in groups of seven bits, the lowest first: short when they are small.
enum LEB128 {
    static func append(_ value: Int64, to bytes: inout [UInt8]) {
        var rest = UInt64(bitPattern: value)
        while rest > 0x7f {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    /// `nil` at the end of the bytes, and for a number of more than nine.
    static func next(_ bytes: inout some IteratorProtocol<UInt8>) -> UInt64? {
        var value: UInt64 = 0
        for shift: UInt64 in stride(from: 0, through: 56, by: 7) {
            guard let byte = bytes.next() else { return nil }
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return value }
        }
        return nil
    }
}

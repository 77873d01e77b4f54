/// A time-ordered identifier (RFC 9562, version 7) whose last twelve bits are the **bucket** that decides
/// the partition of everything said about one request.
package struct UUIDv7: Hashable, Sendable, Comparable {
    package let high: UInt64
    package let low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Makes an id for `milliseconds` since the epoch.
    ///
    /// - Parameter bucket: 0...4095; larger values are cut to their last twelve bits. `nil` takes random bits.
    package init(milliseconds: Int64, bucket: UInt16? = nil, using generator: inout some RandomNumberGenerator) {
        let random = generator.next()
        high = UInt64(truncatingIfNeeded: milliseconds) << 16 | 0x7000 | (generator.next() & 0x0fff)
        let tail = bucket.map { (random & ~0x0fff) | UInt64($0 & 0x0fff) } ?? random
        low = 0x8000_0000_0000_0000 | (tail & 0x3fff_ffff_ffff_ffff)
    }

    /// 0...4095.
    package var bucket: UInt16 { UInt16(low & 0x0fff) }

    /// Milliseconds since the epoch, as written at creation.
    package var milliseconds: Int64 { Int64(high >> 16) }

    package static func < (lhs: UUIDv7, rhs: UUIDv7) -> Bool {
        (lhs.high, lhs.low) < (rhs.high, rhs.low)
    }

    /// The partition of a topic with `count` partitions (at least 1).
    package func partition(of count: Int) -> Int { Int(bucket) % max(1, count) }
}

extension UUIDv7: CustomStringConvertible, LosslessStringConvertible {
    /// The canonical lower-case form, 36 characters.
    package var description: String {
        String(unsafeUninitializedCapacity: 36) { buffer in
            var at = 0
            for index in 0..<32 {
                if index == 8 || index == 12 || index == 16 || index == 20 {
                    buffer[at] = UInt8(ascii: "-")
                    at += 1
                }
                let word = index < 16 ? high : low
                buffer[at] = Self.digit(UInt8(truncatingIfNeeded: word >> UInt64(60 - 4 * (index & 15))) & 15)
                at += 1
            }
            return 36
        }
    }

    private static func digit(_ nibble: UInt8) -> UInt8 { nibble < 10 ? 48 + nibble : 87 + nibble }

    /// Reads the canonical form, upper or lower case; `nil` for anything else.
    package init?(_ description: String) {
        var description = description
        guard let parsed = description.withUTF8({ UUIDv7(utf8: $0) }) else { return nil }
        self = parsed
    }

    /// Reads the canonical form's bytes, upper or lower case; `nil` for anything else.
    package init?(utf8 text: UnsafeBufferPointer<UInt8>) {
        guard text.count == 36 else { return nil }
        let bytes = UnsafeRawBufferPointer(text)
        let dash = UInt8(ascii: "-")
        guard bytes[8] == dash, bytes[13] == dash, bytes[18] == dash, bytes[23] == dash else { return nil }
        func four(_ at: Int) -> UInt64 {
            UInt64(UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self)))
        }
        func eight(_ at: Int) -> UInt64 { UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)) }
        guard let first = Self.nibbles(eight(0)), let second = Self.nibbles(four(9) << 32 | four(14)),
            let third = Self.nibbles(four(19) << 32 | four(24)), let fourth = Self.nibbles(eight(28))
        else { return nil }
        self.init(high: first << 32 | second, low: third << 32 | fourth)
    }

    /// The value of eight hexadecimal digits, read at once; `nil` if one is none.
    private static func nibbles(_ digits: UInt64) -> UInt64? {
        let ones: UInt64 = 0x0101_0101_0101_0101
        var value = (digits & (0x0f * ones)) &+ 9 * ((digits >> 6) & ones)
        guard value & (0xf0 * ones) == 0 else { return nil }
        // Written again, valid digits give what was read; letters count in lower case.
        let letters = ((value &+ 6 * ones) >> 4) & ones
        guard value &+ 0x30 * ones &+ 39 * letters == digits | letters << 5 else { return nil }
        value = (value | value >> 4) & 0x00ff_00ff_00ff_00ff
        value = (value | value >> 8) & 0x0000_ffff_0000_ffff
        return (value | value >> 16) & 0xffff_ffff
    }
}

extension UUIDv7: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let id = UUIDv7(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "'\(text)' is not a UUID.")
        }
        self = id
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

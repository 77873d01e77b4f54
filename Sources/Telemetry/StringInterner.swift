#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Gives back the same string for the same bytes where it can, so that names that come again cost no allocation.
///
/// A table with one place a hash: a newcomer takes its place, so memory is bounded whatever arrives.
struct StringInterner {
    private static let places = 1024
    /// Longer strings are made anew.
    private static let longest = 64
    private var table = [String](repeating: "", count: places)

    /// `nil` if the bytes contain U+0000, which PostgreSQL cannot keep.
    mutating func string(_ bytes: UnsafeBufferPointer<UInt8>) -> String? {
        guard bytes.count <= Self.longest else { return unsafe Self.make(bytes) }
        let place = unsafe Self.place(of: bytes)
        if unsafe Self.holds(&table[place], bytes) { return table[place] }
        guard let made = unsafe Self.make(bytes) else { return nil }
        table[place] = made
        return made
    }

    static func make(_ bytes: UnsafeBufferPointer<UInt8>) -> String? {
        guard unsafe !bytes.contains(0) else { return nil }
        // The parser has refused what is not UTF-8, so nothing is repaired here.
        return unsafe String(decoding: bytes, as: UTF8.self)
    }

    static func holds(_ text: inout String, _ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        text.withUTF8 { unsafe same($0, bytes) }
    }

    static func same(_ one: UnsafeBufferPointer<UInt8>, _ other: UnsafeBufferPointer<UInt8>) -> Bool {
        guard one.count == other.count else { return false }
        guard let a = one.baseAddress, let b = other.baseAddress else { return true }
        return unsafe memcmp(a, b, one.count) == 0
    }

    /// Mixes the length with the first and last eight bytes: enough to spread names, and cheap.
    private static func place(of bytes: UnsafeBufferPointer<UInt8>) -> Int {
        let raw = UnsafeRawBufferPointer(bytes)
        var mixed = UInt64(raw.count)
        if raw.count >= 8 {
            mixed ^= unsafe raw.loadUnaligned(fromByteOffset: 0, as: UInt64.self)
            mixed &*= 0x9E37_79B9_7F4A_7C15
            mixed ^= unsafe raw.loadUnaligned(fromByteOffset: raw.count - 8, as: UInt64.self)
        } else {
            for index in 0..<raw.count { mixed = unsafe mixed << 8 | UInt64(raw[index]) }
        }
        mixed &*= 0x9E37_79B9_7F4A_7C15
        return Int(mixed >> 54)
    }
}

/// Gives back the same string for the same bytes where it can, so that names that come again cost no allocation.
///
/// A table with one place a hash: a newcomer takes its place, so memory is bounded whatever arrives.
struct StringInterner {
    private struct Entry {
        var ends = TextEnds()
        var string = ""
    }
    private static let bits = 10
    /// Longer strings are made anew.
    private static let longest = 64
    private var table = [Entry](repeating: Entry(), count: 1 << bits)

    /// `nil` if the bytes contain U+0000, which PostgreSQL cannot keep.
    ///
    /// - Parameter ends: Of the bytes.
    mutating func string(_ bytes: UnsafeBufferPointer<UInt8>, _ ends: TextEnds) -> String? {
        guard bytes.count <= Self.longest else { return unsafe Self.make(bytes) }
        let place = Int(ends.hash >> UInt64(64 - Self.bits))
        if table[place].ends == ends, unsafe ends.isWhole || Self.holds(&table[place].string, bytes) {
            return table[place].string
        }
        guard let made = unsafe Self.make(bytes) else { return nil }
        table[place] = Entry(ends: ends, string: made)
        return made
    }

    static func make(_ bytes: UnsafeBufferPointer<UInt8>) -> String? {
        guard unsafe !bytes.contains(0) else { return nil }
        // The parser has refused what is not UTF-8, so nothing is repaired here.
        return unsafe String(decoding: bytes, as: UTF8.self)
    }

    private static func holds(_ text: inout String, _ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        text.withUTF8 { unsafe $0.elementsEqual(bytes) }
    }
}

/// A text by its length and its first and last eight bytes, which for up to sixteen is all of it.
package struct TextEnds: Equatable {
    private var head: UInt64 = 0
    private var tail: UInt64 = 0
    /// Below 0: of no text.
    private var count = -1

    package init() {}

    /// - Parameter text: With at least eight readable bytes behind it.
    @inline(__always)
    init(_ text: UnsafeBufferPointer<UInt8>) {
        guard let start = text.baseAddress else { return }
        let raw = unsafe UnsafeRawPointer(start)
        count = text.count
        unsafe head = raw.loadUnaligned(as: UInt64.self)
        if count < 8 {
            head &= 1 << UInt64(8 * count) &- 1
        } else {
            unsafe tail = raw.loadUnaligned(fromByteOffset: count - 8, as: UInt64.self)
        }
    }

    var isWhole: Bool { count <= 16 }
    var hash: UInt64 { (head &+ tail &* 31 &+ UInt64(truncatingIfNeeded: count)) &* 0x9E37_79B9_7F4A_7C15 }
}

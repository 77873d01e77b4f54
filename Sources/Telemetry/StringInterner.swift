/// Gives back the same string for the same bytes where it can, so that names that come again cost no allocation.
///
/// A table with one place a hash: a newcomer takes its place, so memory is bounded whatever arrives.
struct StringInterner {
    /// A string that was met before, and the number it got then: equal numbers mean equal strings.
    struct Entry {
        fileprivate var head: UInt64 = 0
        fileprivate var tail: UInt64 = 0
        fileprivate var count = -1
        var string = ""
        var number: UInt64 = 0
    }
    private static let bits = 10
    /// Longer strings are made anew.
    private static let longest = 64
    private var table = [Entry](repeating: Entry(), count: 1 << bits)
    private var entries: UInt64 = 0

    /// `nil` if the bytes contain U+0000, which PostgreSQL cannot keep.
    mutating func string(_ bytes: UnsafeBufferPointer<UInt8>) -> String? {
        if let place = unsafe place(of: bytes) { return table[place].string }
        return unsafe Self.make(bytes)
    }

    /// Puts a string into `target`, which costs nothing if `held` says that it is there; false if it contains U+0000.
    ///
    /// - Parameter held: The number of the string in `target`, 0 where it has none.
    mutating func put(_ bytes: UnsafeBufferPointer<UInt8>, into target: inout String, held: inout UInt64) -> Bool {
        guard let place = unsafe place(of: bytes) else {
            guard let made = unsafe Self.make(bytes) else { return false }
            (target, held) = (made, 0)
            return true
        }
        guard table[place].number != held else { return true }
        (target, held) = (table[place].string, table[place].number)
        return true
    }

    mutating func put(_ bytes: UnsafeBufferPointer<UInt8>, into target: inout String?, held: inout UInt64) -> Bool {
        guard let place = unsafe place(of: bytes) else {
            guard let made = unsafe Self.make(bytes) else { return false }
            (target, held) = (made, 0)
            return true
        }
        guard table[place].number != held else { return true }
        (target, held) = (table[place].string, table[place].number)
        return true
    }

    /// Where the table holds the string; `nil` for one that it does not take.
    private mutating func place(of bytes: UnsafeBufferPointer<UInt8>) -> Int? {
        guard bytes.count <= Self.longest else { return nil }
        // By its first and last eight bytes, which for most names is all of it.
        var head: UInt64 = 0
        var tail: UInt64 = 0
        let raw = UnsafeRawBufferPointer(bytes)
        if raw.count >= 8 {
            head = unsafe raw.loadUnaligned(fromByteOffset: 0, as: UInt64.self)
            tail = unsafe raw.loadUnaligned(fromByteOffset: raw.count - 8, as: UInt64.self)
        } else {
            for index in 0..<raw.count { head = unsafe head << 8 | UInt64(raw[index]) }
        }
        let mixed = (head &+ tail &* 31 &+ UInt64(raw.count)) &* 0x9E37_79B9_7F4A_7C15
        let place = Int(mixed >> UInt64(64 - Self.bits))
        if table[place].head == head, table[place].tail == tail, table[place].count == raw.count,
            unsafe raw.count <= 16 || Self.holds(&table[place].string, bytes)
        {
            return place
        }
        guard let made = unsafe Self.make(bytes) else { return nil }
        entries += 1
        table[place] = Entry(head: head, tail: tail, count: raw.count, string: made, number: entries)
        return place
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

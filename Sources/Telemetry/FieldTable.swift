#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Finds the known field that has a name, in one probe for most names.
struct FieldTable<Field: RawRepresentable & CaseIterable & Sendable>: Sendable where Field.RawValue == String {
    private struct Entry: Sendable {
        var name: [UInt8]
        var field: Field
        /// The field's own bit in the set of fields seen.
        var bit: UInt64
    }

    private static var places: Int { 256 }
    private let entries: [Entry]
    /// Index of an entry, or -1.
    private let table: [Int16]

    /// At most 64 fields.
    init() {
        entries = Field.allCases.enumerated().map {
            Entry(name: Array($1.rawValue.utf8), field: $1, bit: 1 << UInt64($0))
        }
        var table = [Int16](repeating: -1, count: Self.places)
        for (index, entry) in entries.enumerated() {
            var place = unsafe entry.name.withUnsafeBufferPointer { unsafe Self.place(of: $0) }
            while table[place] >= 0 { place = (place + 1) % Self.places }
            table[place] = Int16(index)
        }
        self.table = table
    }

    func find(_ name: UnsafeBufferPointer<UInt8>) -> (field: Field, bit: UInt64)? {
        var place = unsafe Self.place(of: name)
        while table[place] >= 0 {
            let index = Int(table[place])
            if unsafe entries[index].name.withUnsafeBufferPointer({ unsafe Self.same($0, name) }) {
                return (entries[index].field, entries[index].bit)
            }
            place = (place + 1) % Self.places
        }
        return nil
    }

    private static func place(of name: UnsafeBufferPointer<UInt8>) -> Int {
        guard let first = unsafe name.first, let last = unsafe name.last else { return 0 }
        let middle = unsafe name[name.count / 2]
        return (name.count &* 67 &+ Int(first) &* 31 &+ Int(middle) &* 17 &+ Int(last) &* 7) % places
    }

    private static func same(_ a: UnsafeBufferPointer<UInt8>, _ b: UnsafeBufferPointer<UInt8>) -> Bool {
        guard a.count == b.count else { return false }
        guard let first = a.baseAddress, let second = b.baseAddress else { return true }
        return unsafe memcmp(first, second, a.count) == 0
    }
}

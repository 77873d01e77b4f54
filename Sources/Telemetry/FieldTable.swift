#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Finds the known field that has a name, in one probe for most names.
struct FieldTable<Field: RawRepresentable & CaseIterable & Sendable>: Sendable where Field.RawValue == String {
    private struct Entry: Sendable {
        /// Where the name lies in `names`.
        var start: Int
        var length: Int
        var field: Field
        /// The field's own bit in the set of fields seen.
        var bit: UInt64
    }

    private static var places: Int { 256 }
    private let names: [UInt8]
    private let entries: [Entry]
    /// Index of an entry, or -1.
    private let table: [Int16]

    /// At most 64 fields.
    init() {
        var names: [UInt8] = []
        var entries: [Entry] = []
        var table = [Int16](repeating: -1, count: Self.places)
        for (index, field) in Field.allCases.enumerated() {
            let name = Array(field.rawValue.utf8)
            var place = unsafe name.withUnsafeBufferPointer { unsafe Self.place(of: $0) }
            while table[place] >= 0 { place = (place + 1) % Self.places }
            table[place] = Int16(index)
            entries.append(Entry(start: names.count, length: name.count, field: field, bit: 1 << UInt64(index)))
            names += name
        }
        self.names = names
        self.entries = entries
        self.table = table
    }

    func find(_ name: UnsafeBufferPointer<UInt8>) -> (field: Field, bit: UInt64)? {
        guard let start = name.baseAddress else { return nil }
        var place = unsafe Self.place(of: name)
        while table[place] >= 0 {
            let entry = entries[Int(table[place])]
            if entry.length == name.count, unsafe Self.same(names, from: entry.start, start, name.count) {
                return (entry.field, entry.bit)
            }
            place = (place + 1) % Self.places
        }
        return nil
    }

    private static func same(_ names: [UInt8], from offset: Int, _ name: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        unsafe names.withUnsafeBufferPointer { known in
            guard let start = known.baseAddress else { return false }
            return unsafe memcmp(start + offset, name, count) == 0
        }
    }

    private static func place(of name: UnsafeBufferPointer<UInt8>) -> Int {
        guard let first = unsafe name.first, let last = unsafe name.last else { return 0 }
        let middle = unsafe name[name.count / 2]
        return (name.count &* 67 &+ Int(first) &* 31 &+ Int(middle) &* 17 &+ Int(last) &* 7) % places
    }
}

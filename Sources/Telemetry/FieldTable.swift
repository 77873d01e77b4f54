/// Finds the known field that has a name, in one probe for most names.
struct FieldTable<Field: RawRepresentable & CaseIterable & Sendable>: Sendable where Field.RawValue == String {
    private struct Entry: Sendable {
        var ends: TextEnds
        var name: [UInt8]
        var field: Field
        /// The field's own bit in the set of fields seen.
        var bit: UInt64
    }

    private static var bits: UInt64 { 8 }
    private let entries: [Entry]
    /// Index of an entry, or -1.
    private let table: [Int16]

    /// At most 64 fields.
    init() {
        var entries: [Entry] = []
        var table = [Int16](repeating: -1, count: 1 << Int(Self.bits))
        for (index, field) in Field.allCases.enumerated() {
            let name = Array(field.rawValue.utf8)
            let ends = unsafe (name + [UInt8](repeating: 0, count: 8)).withUnsafeBufferPointer {
                unsafe TextEnds(UnsafeBufferPointer(rebasing: $0.dropLast(8)))
            }
            var place = Self.place(of: ends)
            while table[place] >= 0 { place = (place + 1) % table.count }
            table[place] = Int16(index)
            entries.append(Entry(ends: ends, name: name, field: field, bit: 1 << UInt64(index)))
        }
        self.entries = entries
        self.table = table
    }

    /// - Parameter name: With at least eight readable bytes behind it.
    func find(_ name: UnsafeBufferPointer<UInt8>) -> (field: Field, bit: UInt64)? {
        let ends = unsafe TextEnds(name)
        var place = Self.place(of: ends)
        while table[place] >= 0 {
            let index = Int(table[place])
            if entries[index].ends == ends, unsafe ends.isWhole || name.elementsEqual(entries[index].name) {
                return (entries[index].field, entries[index].bit)
            }
            place = (place + 1) % table.count
        }
        return nil
    }

    private static func place(of ends: TextEnds) -> Int { Int(ends.hash >> (64 - bits)) }
}

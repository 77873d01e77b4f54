import Core

/// Remembers the newest `bound` ids at least, and twice as many at most, with a value each.
///
/// Two generations: when the young one is full it becomes the old one, and the old one is forgotten whole. So an entry
/// costs one probe, where forgetting one by one would cost three.
struct RecentMap<Value> {
    /// Open addressing over the random half of the ids; at most half full.
    private struct Generation {
        /// Place in `keys` and `values` plus one; 0 where there is none.
        var slots: [UInt32]
        var keys: [UUIDv7] = []
        /// Out of the table: they are large and would be moved.
        var values: [Value] = []
        private let shift: UInt64

        init(bound: Int) {
            let bits = UInt64(max(1, Int.bitWidth - (2 * bound - 1).leadingZeroBitCount))
            slots = [UInt32](repeating: 0, count: 1 << Int(bits))
            shift = 64 - bits
        }

        /// Where the id is, or where it would be put.
        func slot(of id: UUIDv7) -> Int {
            var slot = Int(((id.low ^ id.high) &* 0x9E37_79B9_7F4A_7C15) >> shift)
            while slots[slot] != 0, keys[Int(slots[slot]) - 1] != id { slot = (slot + 1) & (slots.count - 1) }
            return slot
        }

        mutating func clear() {
            for slot in slots.indices { slots[slot] = 0 }
            keys.removeAll(keepingCapacity: true)
            values.removeAll(keepingCapacity: true)
        }
    }

    let bound: Int
    private var young: Generation
    private var old: Generation

    /// - Parameter bound: Brought into 1...1,000,000,000.
    init(bound: Int) {
        self.bound = min(max(1, bound), 1_000_000_000)
        young = Generation(bound: self.bound)
        old = young
    }

    subscript(id: UUIDv7) -> Value? {
        let place = young.slots[young.slot(of: id)]
        if place != 0 { return young.values[Int(place) - 1] }
        let former = old.slots[old.slot(of: id)]
        return former == 0 ? nil : old.values[Int(former) - 1]
    }

    mutating func remember(_ value: Value, for id: UUIDv7) {
        if young.values.count >= bound {
            swap(&young, &old)
            young.clear()
        }
        let slot = young.slot(of: id)
        guard young.slots[slot] == 0 else {
            young.values[Int(young.slots[slot]) - 1] = value
            return
        }
        young.keys.append(id)
        young.values.append(value)
        young.slots[slot] = UInt32(young.keys.count)
    }
}

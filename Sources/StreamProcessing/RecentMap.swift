import Core

/// Remembers the newest `bound` ids at least, and twice as many at most, with a value each.
///
/// Two generations: when the young one is full it becomes the old one, and the old one is forgotten whole. Far more is
/// remembered than is ever asked for, so it is put down in the order of its coming, and looked into a table when the next
/// question comes; without a question there is no table.
struct RecentMap<Value> {
    /// Open addressing over the random half of the ids; at most half full.
    private struct Generation {
        private(set) var keys: [UUIDv7] = []
        private var values: [Value] = []
        /// Place in `keys` and `values` plus one; 0 where there is none.
        private var slots: [UInt32] = []
        /// How many of the keys are in the table.
        private var entered = 0
        private let bits: UInt64

        init(bound: Int) {
            bits = UInt64(max(1, Int.bitWidth - (2 * bound - 1).leadingZeroBitCount))
        }

        /// A later value of the same id replaces the earlier.
        @inline(__always)
        mutating func append(_ value: consuming Value, for id: UUIDv7) {
            keys.append(id)
            values.append(value)
        }

        /// Makes room for what comes, up to 16,384 at once: memory that was never touched costs nothing, and growing would
        /// copy all there is again.
        mutating func reserve(_ count: Int) {
            keys.reserveCapacity(min(count, 16_384))
            values.reserveCapacity(min(count, 16_384))
        }

        mutating func value(of id: UUIDv7) -> Value? {
            guard !keys.isEmpty else { return nil }
            if slots.isEmpty { slots = [UInt32](repeating: 0, count: 1 << Int(bits)) }
            while entered < keys.count {
                slots[slot(of: keys[entered])] = UInt32(entered + 1)
                entered += 1
            }
            let place = slots[slot(of: id)]
            return place == 0 ? nil : values[Int(place) - 1]
        }

        /// Where the id is, or where it would be put.
        private func slot(of id: UUIDv7) -> Int {
            var slot = Int(((id.low ^ id.high) &* 0x9E37_79B9_7F4A_7C15) >> (64 - bits))
            while slots[slot] != 0, keys[Int(slots[slot]) - 1] != id { slot = (slot + 1) & (slots.count - 1) }
            return slot
        }

        mutating func clear() {
            if entered > 0 { for slot in slots.indices { slots[slot] = 0 } }
            entered = 0
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

    mutating func value(of id: UUIDv7) -> Value? { young.value(of: id) ?? old.value(of: id) }

    @inline(__always)
    mutating func remember(_ value: consuming Value, for id: UUIDv7) {
        if young.keys.count >= bound {
            swap(&young, &old)
            young.clear()
        }
        if young.keys.isEmpty { young.reserve(bound) }
        young.append(value, for: id)
    }
}

/// Remembers the newest `bound` entries at least, and twice as many at most.
///
/// Two generations: when the young one is full it becomes the old one, and the old one is forgotten whole. So an entry
/// costs one hash table operation, where forgetting one by one would cost three.
struct RecentMap<Key: Hashable, Value> {
    private struct Generation {
        /// Where in `values` a key's value is. Values stay out of the hash table: they are large and would be moved.
        var slots: [Key: Int] = [:]
        var values: [Value] = []
    }

    let bound: Int
    private var young = Generation()
    private var old = Generation()

    /// - Parameter bound: At least 1.
    init(bound: Int) { self.bound = max(1, bound) }

    subscript(key: Key) -> Value? {
        if let slot = young.slots[key] { return young.values[slot] }
        return old.slots[key].map { old.values[$0] }
    }

    mutating func remember(_ value: Value, for key: Key) {
        if young.values.count >= bound {
            swap(&young, &old)
            young.slots.removeAll(keepingCapacity: true)
            young.values.removeAll(keepingCapacity: true)
        }
        young.slots[key] = young.values.count
        young.values.append(value)
    }
}

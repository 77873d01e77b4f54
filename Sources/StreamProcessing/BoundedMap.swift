/// A dictionary that forgets its oldest entry when a new one would exceed the bound.
struct BoundedMap<Key: Hashable, Value> {
    let bound: Int
    /// Where in `entries` a key's entry is. Values stay out of the hash table: they are large and would be moved about.
    private var slots: [Key: Int] = [:]
    /// In order of arrival, as a ring once it is full.
    private var entries: [(key: Key, value: Value)] = []
    private var oldest = 0

    /// - Parameter bound: At least 1.
    init(bound: Int) { self.bound = max(1, bound) }

    subscript(key: Key) -> Value? { slots[key].map { entries[$0].value } }

    /// Adds an entry, or replaces the value of one that keeps its age; false for the latter.
    @discardableResult
    mutating func insert(_ value: Value, for key: Key) -> Bool {
        if let slot = slots[key] {
            entries[slot].value = value
            return false
        }
        if entries.count < bound {
            slots[key] = entries.count
            entries.append((key, value))
        } else {
            slots[entries[oldest].key] = nil
            slots[key] = oldest
            entries[oldest] = (key, value)
            oldest = (oldest + 1) % bound
        }
        return true
    }
}

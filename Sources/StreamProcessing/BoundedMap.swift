/// A dictionary that forgets its oldest entry when a new one would exceed the bound.
struct BoundedMap<Key: Hashable, Value> {
    let bound: Int
    private var values: [Key: Value] = [:]
    /// Keys in order of arrival, as a ring once it is full.
    private var order: [Key] = []
    private var oldest = 0

    /// - Parameter bound: At least 1.
    init(bound: Int) { self.bound = max(1, bound) }

    subscript(key: Key) -> Value? { values[key] }

    /// Adds an entry, or replaces the value of one that keeps its age; false for the latter.
    @discardableResult
    mutating func insert(_ value: Value, for key: Key) -> Bool {
        guard values.updateValue(value, forKey: key) == nil else { return false }
        if order.count < bound {
            order.append(key)
        } else {
            values[order[oldest]] = nil
            order[oldest] = key
            oldest = (oldest + 1) % bound
        }
        return true
    }
}

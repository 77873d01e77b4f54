import Statistics

/// What can be added up over time.
protocol Summable: Codable, Sendable, Equatable {
    init()
    mutating func merge(_ other: Self)
}

extension Moments: Summable {
    init() { self.init(n: 0) }
}

/// Sums by slot of event time, of the newest `capacity` slots: bounded, however long it runs.
struct TimeRing<Value: Summable>: Codable, Sendable, Equatable {
    let slotMs: Int64
    private var slots: [Value]
    /// Number of the newest slot, time divided by its length.
    private var newest: Int64?

    init(slotMs: Int64, capacity: Int) {
        self.slotMs = slotMs
        slots = [Value](repeating: Value(), count: capacity)
    }

    var capacity: Int { slots.count }

    /// Adds to the slot of `ms`; what is older than the ring is nothing.
    mutating func add(_ value: Value, at ms: Int64) {
        advance(to: ms)
        let slot = ms / slotMs
        guard let newest, newest - slot < Int64(capacity) else { return }
        slots[place(slot)].merge(value)
    }

    /// Empties the slots that time has moved past.
    mutating func advance(to ms: Int64) {
        let slot = ms / slotMs
        guard let old = newest else { return newest = slot }
        guard slot > old else { return }
        for passed in 0..<min(slot - old, Int64(capacity)) { slots[place(slot - passed)] = Value() }
        newest = slot
    }

    /// Sum of `count` slots, the newest but `skipping` first.
    func sum(_ count: Int, skipping: Int = 0) -> Value {
        var total = Value()
        guard let newest else { return total }
        for back in skipping..<max(skipping, min(skipping + count, capacity)) {
            total.merge(slots[place(newest - Int64(back))])
        }
        return total
    }

    /// The newest `count` slots, oldest first.
    func newest(_ count: Int) -> [Value] {
        guard let newest else { return [] }
        return (0..<min(count, capacity)).reversed().map { slots[place(newest - Int64($0))] }
    }

    /// Changes every slot.
    mutating func transform(_ change: (inout Value) -> Void) {
        for place in slots.indices { change(&slots[place]) }
    }

    private func place(_ slot: Int64) -> Int {
        let rest = Int(slot % Int64(capacity))
        return rest < 0 ? rest + capacity : rest
    }
}

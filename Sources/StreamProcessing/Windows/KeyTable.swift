/// Keys in the order of their coming, each found again by its digest: open addressing, at most half full.
struct KeyTable {
    private(set) var all: [WindowKey] = []
    /// Place in `all` plus one; 0 where there is none. Their number is a power of two.
    private var slots = [UInt32](repeating: 0, count: 16)

    subscript(place: Int) -> WindowKey { all[place] }

    func place(of key: WindowKey) -> Int? {
        var slot = key.digest & (slots.count - 1)
        while slots[slot] != 0 {
            let place = Int(slots[slot]) - 1
            if all[place] == key { return place }
            slot = (slot + 1) & (slots.count - 1)
        }
        return nil
    }

    /// Adds a key that is not there yet.
    mutating func append(_ key: WindowKey) {
        all.append(key)
        if all.count * 2 <= slots.count { return enter(all.count - 1) }
        slots = [UInt32](repeating: 0, count: slots.count * 4)
        for place in all.indices { enter(place) }
    }

    private mutating func enter(_ place: Int) {
        var slot = all[place].digest & (slots.count - 1)
        while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
        slots[slot] = UInt32(place + 1)
    }
}

/// Keys in the order of their coming, each found again by its digest: open addressing, at most half full.
struct KeyTable {
    private(set) var all: [WindowKey] = []
    /// Low half: place in `all` plus one, 0 where there is none; high half: that of the key's digest, so that other keys
    /// are passed without a look at them. Their number is a power of two.
    private var slots = [UInt64](repeating: 0, count: 16)

    subscript(place: Int) -> WindowKey { all[place] }

    func place(of key: WindowKey) -> Int? {
        let digest = key.digest
        let tag = UInt64(bitPattern: Int64(digest)) & ~0xFFFF_FFFF
        var slot = digest & (slots.count - 1)
        while slots[slot] != 0 {
            if slots[slot] & ~0xFFFF_FFFF == tag {
                let place = Int(slots[slot] & 0xFFFF_FFFF) - 1
                if all[place] == key { return place }
            }
            slot = (slot + 1) & (slots.count - 1)
        }
        return nil
    }

    /// Adds a key that is not there yet.
    mutating func append(_ key: WindowKey) {
        all.append(key)
        if all.count * 2 <= slots.count { return enter(all.count - 1) }
        slots = [UInt64](repeating: 0, count: slots.count * 4)
        for place in all.indices { enter(place) }
    }

    private mutating func enter(_ place: Int) {
        let digest = all[place].digest
        var slot = digest & (slots.count - 1)
        while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
        slots[slot] = UInt64(bitPattern: Int64(digest)) & ~0xFFFF_FFFF | UInt64(place + 1)
    }
}

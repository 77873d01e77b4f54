import Core

/// Remembers the newest `bound` ids at least, and twice as many at most: when the young half is full it becomes the old
/// one, and the old one is forgotten whole.
struct RecentIDs: Sendable {
    /// About 16 MB when full.
    static let usualBound = 131_072

    private let bound: Int
    private var young: Set<UUIDv7> = []
    private var old: Set<UUIDv7> = []

    init(bound: Int = usualBound) { self.bound = max(1, bound) }

    func contains(_ id: UUIDv7) -> Bool { young.contains(id) || old.contains(id) }

    mutating func remember(_ id: UUIDv7) {
        if young.count >= bound { (young, old) = ([], young) }
        young.insert(id)
    }
}

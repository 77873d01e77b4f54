/// The last number seen of each producer run, so that what was sent twice counts once.
struct ProducerPositions {
    private let bound: Int
    private var others: [String: ProducerPosition]
    /// The producer of the record before, apart from the others: records of one producer follow each other.
    private var latest: (name: String, position: ProducerPosition)?

    /// - Parameter bound: Producers remembered, at least 1; the longest silent one is forgotten first.
    init(_ positions: [String: ProducerPosition], bound: Int) {
        others = positions
        self.bound = max(1, bound)
    }

    var all: [String: ProducerPosition] {
        guard let latest else { return others }
        return others.merging([latest.name: latest.position]) { $1 }
    }

    /// Whether a producer's number is new; if so it is remembered.
    mutating func accept(_ name: String, _ seq: Int64, offset: Int64) -> Bool {
        if latest?.name != name { change(to: name) }
        if let last = latest?.position.seq, last >= seq { return false }
        let position = ProducerPosition(seq: seq, offset: offset)
        if latest == nil { latest = (name, position) } else { latest?.position = position }
        return true
    }

    private mutating func change(to name: String) {
        if let latest { others[latest.name] = latest.position }
        latest = others.removeValue(forKey: name).map { (name, $0) }
        if others.count >= bound, let silent = others.min(by: { $0.value.offset < $1.value.offset }) {
            others[silent.key] = nil
        }
    }
}

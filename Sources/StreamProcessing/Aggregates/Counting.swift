package import Core
package import Telemetry

extension RequestRecord {
    private static let keepSalt: UInt64 = 0x6b65_6570_5f72_6571

    /// Whether this request gets a row of its own under `keepRequests` = `share`, 0...1.
    func isKept(share: Double) -> Bool {
        if share >= 1 || rollout != nil || outcome.isFailure { return true }
        switch arm {
        case .explore, .shadow, .holdout, .candidate: return true
        case .stable, .forced: return Self.isSelected(id, share: share)
        }
    }

    /// Whether the id's hash falls into the share, so that a missing row is explained by the id alone.
    package static func isSelected(_ id: UUIDv7, share: Double) -> Bool {
        withUnsafeBytes(of: (id.high.bigEndian, id.low.bigEndian)) {
            Hash64.unit(Hash64.hash($0, salt: keepSalt)) < share
        }
    }
}

/// Makes the keys of windows without building and hashing them anew for every request.
///
/// One place a hash: a newcomer takes its place. The table grows with the keys up to a bound, so memory is bounded
/// whatever arrives. Names of records that came one after another share their storage, so comparing them is a comparison
/// of pointers.
package struct WindowKeyCache {
    private final class Entry {
        let mixed: UInt64
        let provider: String
        let model: String
        let key: WindowKey

        init(_ mixed: UInt64, _ provider: String, _ model: String, _ key: WindowKey) {
            self.mixed = mixed
            self.provider = provider
            self.model = model
            self.key = key
        }
    }
    private static let mostBits = 17
    private var bits = 8
    private var entries = [Entry?](repeating: nil, count: 1 << 8)
    private var held = 0

    package init() {}

    package mutating func key(of record: borrowing RequestRecord) -> WindowKey {
        guard let provider = record.provider, let model = record.model else { return WindowKey(record) }
        let policy = record.policy ?? 0
        let mixed = (mix(record.route) &* 31 &+ mix(model) &+ UInt64(policy)) &* 0x9E37_79B9_7F4A_7C15
        if let entry = entries[place(mixed)], entry.mixed == mixed, entry.model == model,
            entry.key.route == record.route, entry.provider == provider, entry.key.arm == record.arm,
            entry.key.policy == policy
        {
            return entry.key
        }
        let key = WindowKey(record)
        enter(Entry(mixed, provider, model, key))
        return key
    }

    private func place(_ mixed: UInt64) -> Int { Int(mixed >> UInt64(64 - bits)) }

    private mutating func enter(_ entry: Entry) {
        if held * 2 >= entries.count, bits < Self.mostBits {
            bits = min(bits + 2, Self.mostBits)
            let former = entries
            entries = [Entry?](repeating: nil, count: 1 << bits)
            held = 0
            for case let entry? in former { put(entry) }
        }
        put(entry)
    }

    private mutating func put(_ entry: Entry) {
        let place = place(entry.mixed)
        if entries[place] == nil { held += 1 }
        entries[place] = entry
    }

    /// Of how a name is stored, which is the same for the same name from one reader: a miss costs time only.
    private func mix(_ name: String) -> UInt64 {
        withUnsafeBytes(of: name) {
            $0.loadUnaligned(as: UInt64.self) ^ $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
        }
    }
}

extension String {
    private static let sketchSalt: UInt64 = 0x6469_7374_696e_6374

    /// Where a text counts in a HyperLogLog; frozen, since stored ones are merged with new ones.
    var sketchHash: UInt64 { Hash64.hash(self, salt: Self.sketchSalt) }
}

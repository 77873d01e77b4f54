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

extension String {
    private static let sketchSalt: UInt64 = 0x6469_7374_696e_6374

    /// Where a text counts in a HyperLogLog; frozen, since stored ones are merged with new ones.
    var sketchHash: UInt64 { Hash64.hash(self, salt: Self.sketchSalt) }
}

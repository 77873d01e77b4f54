package import Core
import Statistics
package import Telemetry

extension EvidenceCounts {
    mutating func add(_ record: RequestRecord) {
        requests += 1
        if record.outcome.isFailure { failures += 1 }
        if let error = record.error { errors[error, default: 0] += 1 }
        if record.outcome == .complete { latency.insert(record.totalMs) }
        if let cost = record.cost {
            self.cost.insert(Double(cost.value))
            costMoments.add(Double(cost.value))
        }
    }
}

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

/// Makes the keys of windows without building `provider/model` anew for every request.
struct WindowKeyCache {
    private struct Model: Hashable {
        var provider: String
        var model: String
    }
    private static let bound = 1_024
    private var names: [Model: String] = [:]

    mutating func key(of record: RequestRecord) -> WindowKey {
        guard let provider = record.provider, let model = record.model else { return WindowKey(record) }
        let pair = Model(provider: provider, model: model)
        if let name = names[pair] {
            return WindowKey(route: record.route, modelKey: name, arm: record.arm, policy: record.policy ?? 0)
        }
        let key = WindowKey(record)
        if names.count >= Self.bound { names.removeAll(keepingCapacity: true) }
        names[pair] = key.modelKey
        return key
    }
}

extension String {
    private static let sketchSalt: UInt64 = 0x6469_7374_696e_6374

    /// Where a text counts in a HyperLogLog; frozen, since stored ones are merged with new ones.
    var sketchHash: UInt64 { Hash64.hash(self, salt: Self.sketchSalt) }
}

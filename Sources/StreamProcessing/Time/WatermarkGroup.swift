/// Event time over several partitions: the smallest watermark of those that are not idle, and never going back.
///
/// Also says which partitions run too far ahead of the others and are to be paused, so that a slow one does not leave
/// ever more windows open (alignment, as Flink does it).
package struct WatermarkGroup<ID: Hashable & Comparable & Sendable>: Sendable {
    private struct Member {
        /// `nil` before its first event: it then holds the others back.
        var watermark: Int64?
        var isIdle = false
        var isPaused = false
    }

    package enum Change: Sendable, Equatable {
        case paused(ID), resumed(ID)
        case watermark(Int64)
    }

    /// How far a partition may be ahead of the group, milliseconds; `nil`: as far as it likes.
    private let alignMs: Int64?
    private var members: [ID: Member] = [:]
    package private(set) var watermark: Int64?

    package init(alignMs: Int64? = nil) { self.alignMs = alignMs }

    package var paused: Set<ID> { Set(members.filter(\.value.isPaused).keys) }

    /// - Parameter watermark: Restored from a checkpoint; `nil` for a partition never read.
    package mutating func add(_ id: ID, watermark: Int64? = nil) { members[id] = Member(watermark: watermark) }

    package mutating func remove(_ id: ID) { members[id] = nil }

    package mutating func update(_ id: ID, watermark: Int64?, isIdle: Bool) {
        members[id]?.watermark = watermark
        members[id]?.isIdle = isIdle
    }

    /// What follows from the updates since the last call: pauses, then the group's watermark.
    package mutating func settle() -> [Change] {
        var changes: [Change] = []
        let former = watermark
        raise()
        if let watermark, let alignMs {
            let limit = watermark.addingSaturating(alignMs)
            for id in members.keys.sorted() {
                guard let member = members[id] else { continue }
                let ahead = (member.watermark ?? .min) > limit
                guard ahead != member.isPaused else { continue }
                members[id]?.isPaused = ahead
                changes.append(ahead ? .paused(id) : .resumed(id))
            }
        }
        if let watermark, watermark != former { changes.append(.watermark(watermark)) }
        return changes
    }

    private mutating func raise() {
        guard !members.isEmpty else { return }
        let active = members.values.filter { !$0.isIdle }
        let reached: Int64?
        if active.isEmpty {
            reached = members.values.compactMap(\.watermark).max()
        } else {
            reached = active.contains { $0.watermark == nil } ? nil : active.compactMap(\.watermark).min()
        }
        if let reached, reached > watermark ?? .min { watermark = reached }
    }
}

/// What was sent, and what of it was acknowledged, by partition.
struct ShipperCursor: Sendable {
    /// The next record to send.
    private(set) var next: [Int64]
    /// Everything before is acknowledged, was passed over, or had to make room.
    private(set) var settled: [Int64]
    /// Sent and not acknowledged, in order; passed-over records leave holes.
    private var flying: [OffsetQueue]
    private var trims: [Int: Int64] = [:]
    private(set) var inFlight = 0

    init(partitions: Int) {
        next = Array(repeating: 0, count: partitions)
        settled = next
        flying = Array(repeating: OffsetQueue(), count: partitions)
    }

    /// One number for a record, to tell it by when it is reported: 12 bits of partition, 48 of offset.
    static func id(_ partition: Int, _ offset: Int64) -> UInt64 { UInt64(partition) << 48 | UInt64(offset) }

    mutating func sent(_ partition: Int, _ offset: Int64) {
        flying[partition].append(offset)
        next[partition] = offset + 1
        inFlight += 1
    }

    /// Goes on at `offset` without having sent what lies before.
    mutating func skip(_ partition: Int, to offset: Int64) {
        next[partition] = offset
        settleHead(partition)
    }

    mutating func acknowledge(_ id: UInt64) {
        let (partition, offset) = (Int(id >> 48), Int64(id & 0xffff_ffff_ffff))
        guard flying[partition].removeFirst(ifEqual: offset) else { return }
        inFlight -= 1
        settleHead(partition)
    }

    private mutating func settleHead(_ partition: Int) {
        settled[partition] = flying[partition].first ?? next[partition]
        trims[partition] = settled[partition]
    }

    /// Back to the first record of each partition that was not acknowledged.
    mutating func rewind() {
        next = settled
        flying = Array(repeating: OffsetQueue(), count: next.count)
        inFlight = 0
    }

    /// What may be trimmed since the last call.
    mutating func takeTrims() -> [Int: Int64] {
        defer { trims = [:] }
        return trims
    }

    func lag(_ ends: [Int64]) -> Int64 { zip(ends, settled).reduce(0) { $0 + max(0, $1.0 - $1.1) } }
}

/// Offsets in flight, first in, first out.
private struct OffsetQueue: Sendable {
    private var offsets: [Int64] = []
    private var head = 0

    var first: Int64? { head < offsets.count ? offsets[head] : nil }

    mutating func append(_ offset: Int64) { offsets.append(offset) }

    mutating func removeFirst(ifEqual offset: Int64) -> Bool {
        guard first == offset else { return false }
        head += 1
        // What was taken leaves together, so that taking one stays cheap.
        if head == offsets.count || head >= 4_096 {
            offsets.removeFirst(head)
            head = 0
        }
        return true
    }
}

/// Event time of one partition: the watermark is the largest timestamp less the bound less 1, and never goes back.
///
/// Source of the rule: Akidau et al., "The Dataflow Model", VLDB 2015, as bounded out-of-orderness. Two rules use the
/// clock: an event ahead of it counts as `now`, and a silent partition follows it so that its last window closes.
struct PartitionClock {
    let boundMs: Int64
    let idleMs: Int64
    let futureLimitMs: Int64
    private(set) var largest: Int64?
    private(set) var watermark: Int64?
    /// When the last request came (feedback says nothing about event time), or when the partition was taken over.
    private var lastActivity: Int64?

    init(_ settings: StreamSettings, largest: Int64?, watermark: Int64?) {
        boundMs = settings.boundMs
        idleMs = settings.idleMs
        futureLimitMs = settings.futureLimitMs
        self.largest = largest
        self.watermark = watermark
    }

    func isTooFarAhead(_ timestamp: Int64, now: Int64) -> Bool { timestamp > now.addingSaturating(futureLimitMs) }

    mutating func observe(_ timestamp: Int64, now: Int64) {
        lastActivity = now
        let seen = min(timestamp, now)
        guard seen > largest ?? .min else { return }
        largest = seen
        raise(to: seen)
    }

    mutating func advance(now: Int64) {
        guard let last = lastActivity else {
            lastActivity = now
            return
        }
        // A partition that never had an event has nothing to close.
        if now.subtractingSaturating(last) >= idleMs, largest != nil { raise(to: now) }
    }

    private mutating func raise(to timestamp: Int64) {
        let candidate = timestamp.subtractingSaturating(boundMs).subtractingSaturating(1)
        if candidate > watermark ?? .min { watermark = candidate }
    }
}

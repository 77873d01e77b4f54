/// Event time of one partition: the watermark is the largest timestamp less the bound less 1, and never goes back.
///
/// Source of the rule: Akidau et al., "The Dataflow Model", VLDB 2015, as bounded out-of-orderness. Two rules use the
/// clock: an event ahead of it counts as `now`, and a silent partition follows it so that the last window closes.
package struct PartitionClock: Sendable {
    private let boundMs: Int64
    private let idleMs: Int64
    private let futureLimitMs: Int64
    private let followsClock: Bool
    package private(set) var largest: Int64?
    package private(set) var watermark: Int64?
    /// Silent for as long as `idle_ms`: it then holds no other partition back.
    package private(set) var isIdle = false
    /// When the last request came (feedback says nothing about event time), or when the partition was taken over.
    private var lastActivity: Int64?

    package init(_ settings: StreamSettings, largest: Int64? = nil, watermark: Int64? = nil) {
        boundMs = settings.boundMs
        idleMs = settings.idleMs
        futureLimitMs = settings.futureLimitMs
        followsClock = settings.quietPartitionsFollowClock
        self.largest = largest
        self.watermark = watermark
    }

    package func isTooFarAhead(_ timestamp: Int64, now: Int64) -> Bool {
        timestamp > now.addingSaturating(futureLimitMs)
    }

    package mutating func observe(_ timestamp: Int64, now: Int64) {
        lastActivity = now
        isIdle = false
        // Without a limit the clock is not to be trusted at all.
        let seen = futureLimitMs == .max ? timestamp : min(timestamp, now)
        guard seen > largest ?? .min else { return }
        largest = seen
        raise(to: seen)
    }

    /// - Parameter isDrained: Whether nothing of the partition waits to be read, as far as is known.
    package mutating func advance(now: Int64, isDrained: Bool = true) {
        guard let last = lastActivity else {
            lastActivity = now
            return
        }
        guard now.subtractingSaturating(last) >= idleMs else { return }
        isIdle = true
        // One that never had an event too: its time is in what is said of the whole.
        if isDrained, followsClock { raise(to: now) }
    }

    private mutating func raise(to timestamp: Int64) {
        let candidate = timestamp.subtractingSaturating(boundMs).subtractingSaturating(1)
        if candidate > watermark ?? .min { watermark = candidate }
    }
}

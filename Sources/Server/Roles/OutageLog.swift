/// Says which of many failures in a row are worth a line: the first, one a minute, and the end of them.
package struct OutageLog: Sendable {
    /// Between two lines on the same outage, milliseconds.
    package static let everyMs: Int64 = 60_000

    private var since: Int64?
    private var saidAt: Int64 = 0

    package init() {}

    /// Whether to tell of a failure.
    package mutating func failed(at now: Int64) -> Bool {
        if since != nil, now - saidAt < Self.everyMs { return false }
        since = since ?? now
        saidAt = now
        return true
    }

    /// How long it failed, milliseconds, if it did until now.
    package mutating func worked(at now: Int64) -> Int64? {
        defer { since = nil }
        return since.map { now - $0 }
    }
}

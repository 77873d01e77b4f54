/// Which windows an event belongs to. All times and lengths are milliseconds.
package enum WindowAssigner: Sendable, Equatable {
    /// Windows `[offset + n·size, offset + (n + 1)·size)`.
    case tumbling(size: Int64, offset: Int64 = 0)
    /// Windows `[offset + n·hop, offset + n·hop + size)`: they overlap where `hop` is smaller than `size`, and leave
    /// gaps, in which events belong to no window, where it is larger.
    case sliding(size: Int64, hop: Int64, offset: Int64 = 0)
    /// Windows that grow with their events: two events of one key less than `gap` apart are in one window, which ends
    /// `gap` after its last event. A distance of exactly `gap` separates, so that the order of arrival decides nothing.
    case session(gap: Int64)

    /// The most panes that a sliding window may be put together from.
    package static let mostPanes: Int64 = 1_440

    /// What is wrong with the numbers, in words; `nil` where they make sense.
    package var problem: String? {
        switch self {
        case .tumbling(let size, let offset):
            if size < 1 { return "the size must be at least 1 ms." }
            if offset.magnitude >= size.magnitude { return "the offset must be smaller than the size." }
        case .sliding(let size, let hop, let offset):
            if size < 1 { return "the size must be at least 1 ms." }
            if hop < 1 { return "the hop must be at least 1 ms." }
            if offset.magnitude >= hop.magnitude { return "the offset must be smaller than the hop." }
            if size / Self.pane(size, hop) > Self.mostPanes {
                return "the size would be put together from more than \(Self.mostPanes) panes; "
                    + "choose a hop that shares a larger divisor with it."
            }
        case .session(let gap):
            if gap < 1 { return "the gap must be at least 1 ms." }
        }
        return nil
    }

    /// `nil` for sessions, which have no places of their own.
    var grid: AlignedGrid? {
        switch self {
        case .tumbling(let size, let offset): AlignedGrid(size: size, hop: size, offset: offset)
        case .sliding(let size, let hop, let offset): AlignedGrid(size: size, hop: hop, offset: offset)
        case .session: nil
        }
    }

    /// The length of the pieces that windows are put together from: the greatest common divisor of size and hop, so
    /// that an event is added once however many windows it is in (Li et al., "No pane, no gain", SIGMOD Record 2005).
    package static func pane(_ size: Int64, _ hop: Int64) -> Int64 {
        var (a, b) = (size, hop)
        while b != 0 { (a, b) = (b, a % b) }
        return a
    }
}

/// Windows at fixed places: tumbling ones are sliding ones whose hop is their size.
struct AlignedGrid: Equatable {
    let size: Int64
    let hop: Int64
    let offset: Int64
    let pane: Int64

    init(size: Int64, hop: Int64, offset: Int64) {
        self.size = size
        self.hop = hop
        self.offset = offset
        pane = WindowAssigner.pane(size, hop)
    }

    /// The windows that contain `timestamp`, the latest first; none in a gap.
    func windows(of timestamp: Int64) -> [Window] {
        var found: [Window] = []
        var start = floor(timestamp, to: hop)
        while timestamp.subtractingSaturating(start) < size {
            found.append(Window(start: start, end: start.addingSaturating(size)))
            let (before, overflow) = start.subtractingReportingOverflow(hop)
            if overflow { break }
            start = before
        }
        return found
    }

    /// The latest window that contains `timestamp`; `nil` in a gap.
    func latestWindow(of timestamp: Int64) -> Window? {
        let start = floor(timestamp, to: hop)
        guard timestamp.subtractingSaturating(start) < size else { return nil }
        return Window(start: start, end: start.addingSaturating(size))
    }

    func pane(of timestamp: Int64) -> Window {
        let start = floor(timestamp, to: pane)
        return Window(start: start, end: start.addingSaturating(pane))
    }

    /// Times before the offset floor downwards, never towards zero.
    private func floor(_ timestamp: Int64, to step: Int64) -> Int64 {
        let remainder = timestamp.subtractingSaturating(offset) % step
        return timestamp.subtractingSaturating(remainder < 0 ? remainder + step : remainder)
    }
}

extension Int64 {
    /// The sum, held at the ends of the range: arithmetic on times near the end of time must not trap.
    func addingSaturating(_ other: Int64) -> Int64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? (other < 0 ? .min : .max) : sum
    }

    func subtractingSaturating(_ other: Int64) -> Int64 {
        let (difference, overflow) = subtractingReportingOverflow(other)
        return overflow ? (other < 0 ? .max : .min) : difference
    }
}

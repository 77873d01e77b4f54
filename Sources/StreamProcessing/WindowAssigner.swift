/// Which windows an event belongs to. Sliding and session windows join as further cases.
package enum WindowAssigner: Sendable, Equatable {
    /// Windows `[offset + n·size, offset + (n + 1)·size)`; `size` at least 1, milliseconds.
    case tumbling(size: Int64, offset: Int64)

    /// Whether the sizes make sense: a size above 0 and an offset smaller than it.
    package var isValid: Bool {
        switch self {
        case .tumbling(let size, let offset): size > 0 && offset.magnitude < size.magnitude
        }
    }

    /// The window of an event time; times before the offset floor downwards, never towards zero.
    package func window(of timestamp: Int64) -> Window {
        switch self {
        case .tumbling(let size, let offset):
            let remainder = timestamp.subtractingSaturating(offset) % size
            let start = timestamp.subtractingSaturating(remainder < 0 ? remainder + size : remainder)
            return Window(start: start, end: start.addingSaturating(size))
        }
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

/// Counts since the start, and what there is now.
package struct LocalLogStatistics: Sendable, Equatable {
    package enum DropReason: String, Sendable, CaseIterable {
        /// More events came than could be written and the queue was full.
        case queueFull = "queue_full"
        /// Written, but the oldest when `max_bytes` was reached, and neither read nor shipped yet.
        case maxBytes = "max_bytes"
        /// Came after the log was closed, or could not be written before it was.
        case closed
    }

    /// Accepted into the queue.
    package var appended: Int64 = 0
    package var written: Int64 = 0
    /// Removed for their age, or to make room after they had been read or shipped; no loss.
    package var rotated: Int64 = 0
    package var dropped: [DropReason: Int64] = [:]
    /// Failed attempts to write or trim.
    package var writeFailures: Int64 = 0
    /// Why the latest attempt failed; `nil` when it did not.
    package var lastError: String?
    /// Waiting in memory now.
    package var queued = 0
    /// Bytes of records on disk now.
    package var bytes: Int64 = 0

    package init() {}
}

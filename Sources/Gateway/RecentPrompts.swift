package import Core
import Synchronization

/// The prompts that sessions have sent of late, so that one sent again is known for it.
///
/// A table with one place a hash: a newcomer takes its place, so memory is bounded whatever arrives and some repetitions
/// go unseen where many sessions are active. All of a gateway's loops share it, since a session's next request may come
/// over another connection.
package final class RecentPrompts: Sendable {
    /// Prompts remembered, at most; a power of two.
    package static let bound = 4_096
    /// A repetition after more than this is a new question, milliseconds.
    package static let spanMs: Int64 = 60_000

    private struct Entry {
        var key: UInt64
        var at: Int64
        var request: UUIDv7
    }
    /// Empty before the first prompt.
    private let entries = Mutex<[Entry?]>([])

    package init() {}

    /// Remembers a request's prompt.
    ///
    /// - Parameter at: milliseconds since the epoch.
    /// - Returns: The latest request with the same prompt in the same session, unless it is too long ago.
    package func remember(_ request: UUIDv7, session: UInt64, prompt: UInt64, at: Int64) -> UUIDv7? {
        let key = (session ^ prompt << 16) &* 0x9E37_79B9_7F4A_7C15
        let place = Int(key >> 52) & (Self.bound - 1)
        let entry = Entry(key: key, at: at, request: request)
        let former = entries.withLock { entries in
            if entries.isEmpty { entries = [Entry?](repeating: nil, count: Self.bound) }
            defer { entries[place] = entry }
            return entries[place]
        }
        guard let former, former.key == key, (0...Self.spanMs).contains(at - former.at) else { return nil }
        return former.request
    }
}

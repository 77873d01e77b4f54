import Core
import StreamProcessing
import Synchronization

/// How far a backfill is, shared by its two ends: what is read and what is stored.
final class BackfillProgress: Sendable {
    private struct State {
        /// Where reading began, by partition.
        var starts: [Int: Int64] = [:]
        /// Where the log ended when it was first seen, and with it the backfill.
        var ends: [Int: Int64] = [:]
        /// Partitions of which no request is stored yet.
        var empty: Set<Int> = []
        var done: Set<Int> = []
        /// Done, and still to be held back.
        var unread: Set<Int> = []
        /// Partitions whose log begins where the range was to be read from.
        var cut: Set<Int> = []
        var fault: TrimtabError?
    }

    private let partitions: Int
    /// A partition is done when its watermark is here.
    private let passedAt: Int64
    /// Or at the log's end, when the clock has closed its windows: then its watermark is here at least.
    private let clockAt: Int64
    private let state = Mutex(State())
    private let continuation: AsyncStream<Never>.Continuation
    /// Ends when all is done, or cannot be.
    let finished: AsyncStream<Never>

    init(partitions: Int, passedAt: Int64, clockAt: Int64) {
        (self.partitions, self.passedAt, self.clockAt) = (partitions, passedAt, clockAt)
        (finished, continuation) = AsyncStream.makeStream()
    }

    var fault: TrimtabError? { state.withLock { $0.fault } }
    var isDone: Bool { state.withLock { $0.done.count == partitions } }
    var cut: [Int] { state.withLock { $0.cut.sorted() } }

    func close() { continuation.finish() }

    func fail(_ fault: TrimtabError) {
        state.withLock { $0.fault = fault }
        close()
    }

    // MARK: Reading

    /// - Parameter cut: Whether the log has nothing older.
    func started(_ partition: Int, at offset: Int64, cut: Bool = false) {
        state.withLock { state in
            state.starts[partition] = offset
            if cut { state.cut.insert(partition) }
        }
    }

    /// Holds the ends as first known. For each partition that is read the one to go to, the end of all where not known.
    func ends(_ known: [Int: Int64]) -> [Int: Int64] {
        change { state in
            var ends: [Int: Int64] = [:]
            for (partition, start) in state.starts {
                let end = state.ends[partition] ?? known[partition]
                state.ends[partition] = end
                ends[partition] = end ?? .max
                if let end, end <= start, state.empty.contains(partition) { Self.finish(partition, &state) }
            }
            return ends
        }
    }

    func end(of partition: Int) -> Int64 { state.withLock { $0.ends[partition] ?? .max } }

    func takeUnread() -> [Int] {
        state.withLock { state in
            defer { state.unread = [] }
            return state.unread.sorted()
        }
    }

    // MARK: Storing

    func claimed(_ partition: Int, _ state: PartitionState?) {
        guard state?.largestTimestamp == nil else { return }
        self.state.withLock { _ = $0.empty.insert(partition) }
    }

    func stored(_ stored: PartitionState) {
        change { state in
            let partition = stored.partition
            let watermark = stored.watermark ?? .min
            if stored.largestTimestamp != nil { state.empty.remove(partition) }
            let isRead = stored.nextOffset >= state.ends[partition] ?? .max
            let isClosed = stored.largestTimestamp == nil || watermark >= clockAt
            if watermark >= passedAt || isRead && isClosed { Self.finish(partition, &state) }
        }
    }

    private func change<Value: Sendable>(_ body: (inout State) -> Value) -> Value {
        let (value, isDone) = state.withLock { state in
            let value = body(&state)
            return (value, state.done.count == partitions)
        }
        if isDone { close() }
        return value
    }

    private static func finish(_ partition: Int, _ state: inout State) {
        if state.done.insert(partition).inserted { state.unread.insert(partition) }
    }
}

import ControlLoop
import Logging
import ServiceLifecycle
import Synchronization

/// Reads the store's changes once and tells every open event stream.
final class EventHub: Service {
    /// More streams than this are refused.
    static let streamLimit = 64
    static let heartbeat: Duration = .seconds(10)

    enum Event: Sendable {
        case change(Change)
        /// Changes may have been missed: read everything anew.
        case reset
        case heartbeat
    }

    private struct State {
        var streams: [Int: AsyncStream<Event>.Continuation] = [:]
        var next = 0
        var closed = false
    }
    private let store: any AdminStore
    private let state = Mutex(State())

    init(store: any AdminStore) { self.store = store }

    var count: Int { state.withLock { $0.streams.count } }

    /// A stream of everything from now on; a reader that falls behind loses the oldest events. `nil` when there are
    /// too many, or the server is stopping.
    func open() -> AsyncStream<Event>? {
        let (stream, continuation) = AsyncStream.makeStream(
            of: Event.self, bufferingPolicy: .bufferingNewest(Change.bufferLimit))
        let id = state.withLock { state -> Int? in
            guard !state.closed, state.streams.count < Self.streamLimit else { return nil }
            state.next += 1
            state.streams[state.next] = continuation
            return state.next
        }
        guard let id else { return nil }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLock { _ = $0.streams.removeValue(forKey: id) }
        }
        return stream
    }

    func run() async throws {
        await cancelWhenGracefulShutdown {
            await withTaskGroup { group in
                group.addTask { await self.relay() }
                group.addTask {
                    while (try? await Task.sleep(for: Self.heartbeat)) != nil { self.publish(.heartbeat) }
                }
            }
        }
        let open = state.withLock { state in
            state.closed = true
            return Array(state.streams.values)
        }
        for stream in open { stream.finish() }
    }

    /// Follows the store; when it goes away, tries again and tells readers that they may have missed something.
    private func relay() async {
        while !Task.isCancelled {
            if let changes = try? await store.changes() {
                publish(.reset)
                for await change in changes { publish(.change(change)) }
            }
            try? await Task.sleep(for: .seconds(1))
        }
    }

    private func publish(_ event: Event) {
        let open = state.withLock { Array($0.streams.values) }
        for stream in open { stream.yield(event) }
    }
}

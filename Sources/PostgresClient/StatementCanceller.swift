import CPostgres
import Foundation
import Synchronization

/// Asks the server to stop the statement that a cancelled task waits for.
@safe final class StatementCanceller: Sendable {
    /// Safe to share: libpq only reads it, from any thread, and it is freed once, when nothing refers to it.
    private nonisolated(unsafe) let request: OpaquePointer?
    private let state = Mutex(State())

    private struct State {
        var running: UInt64?
        var last: UInt64 = 0
    }

    /// Each attempt may come before the server has begun the statement; so many are made, `pause` apart.
    private static let attempts = 50
    private static let pause = 0.1

    init(_ connection: OpaquePointer) { unsafe request = PQgetCancel(connection) }

    deinit { if let request = unsafe request { unsafe PQfreeCancel(request) } }

    /// A number for a statement to come.
    func number() -> UInt64 {
        state.withLock { state in
            state.last += 1
            return state.last
        }
    }

    func begin(_ statement: UInt64) { state.withLock { $0.running = statement } }

    /// After this no cancellation of the statement can hit the next one.
    func end() { state.withLock { $0.running = nil } }

    /// Returns at once: the request to the server goes out on a thread of its own, unless the statement is over by then.
    func cancel(_ statement: UInt64) {
        Thread.detachNewThread { [self] in
            for _ in 0..<Self.attempts {
                let sent = state.withLock { state in
                    guard state.running == statement, let request = unsafe request else { return false }
                    var message = [CChar](repeating: 0, count: 256)
                    // When even this fails, the server's own statement timeout is left.
                    return unsafe PQcancel(request, &message, 256) == 1
                }
                if !sent { return }
                Thread.sleep(forTimeInterval: Self.pause)
            }
        }
    }
}

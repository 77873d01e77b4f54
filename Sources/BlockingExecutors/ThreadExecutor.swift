import Dispatch
import Foundation
import Synchronization

/// Runs an actor's jobs, in order, on an operating system thread of its own.
///
/// For actors that call C functions which block: the cooperative pool has one thread a core and must never wait.
/// The thread starts with the first job and ends after `stop()`, or when nothing refers to the executor any more.
/// No job is lost: one that comes after `stop()` gets a thread again, which ends when it has nothing more to do.
package final class ThreadExecutor: SerialExecutor {
    private let queue: JobQueue

    /// - Parameter name: The thread's name in debuggers; the kernel keeps 15 bytes of it.
    package init(name: String) { queue = JobQueue(name: name) }

    deinit { queue.stop() }

    package func enqueue(_ job: consuming ExecutorJob) {
        queue.append(.init(job: UnownedJob(job), executor: self))
    }

    /// Lets the thread end once the jobs given so far, and those that they give, are done. Does not wait.
    package func stop() { queue.stop() }
}

/// The part of an executor that its thread keeps alive.
private final class JobQueue: Sendable {
    /// A waiting job keeps its executor, an idle thread does not.
    struct Entry: Sendable {
        let job: UnownedJob
        let executor: ThreadExecutor
    }

    private struct State {
        var entries: [Entry] = []
        var running = false
        var stopped = false
    }

    private let name: String
    private let state = Mutex(State())
    /// Raised when there may be something new to see; the thread looks at the state after every wake-up.
    private let news = DispatchSemaphore(value: 0)

    init(name: String) { self.name = name }

    func append(_ entry: Entry) {
        let start = state.withLock { state in
            state.entries.append(entry)
            defer { state.running = true }
            return !state.running
        }
        if start { startThread() } else { news.signal() }
    }

    func stop() {
        state.withLock { $0.stopped = true }
        news.signal()
    }

    private func startThread() {
        let thread = Thread { [self] in
            while let entries = next() {
                for entry in entries { entry.job.runSynchronously(on: entry.executor.asUnownedSerialExecutor()) }
            }
        }
        thread.name = name
        thread.start()
    }

    /// Waits for jobs and takes all there are; `nil` when the thread shall end.
    private func next() -> [Entry]? {
        while true {
            let (entries, end) = state.withLock { state in
                let entries = state.entries
                state.entries = []
                let end = entries.isEmpty && state.stopped
                if end { state.running = false }
                return (entries, end)
            }
            if end { return nil }
            if !entries.isEmpty { return entries }
            news.wait()
        }
    }
}

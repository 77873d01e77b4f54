package import Core
import Dispatch
import Foundation
package import struct Logging.Logger
import Synchronization
package import Telemetry

/// The gateway's own log: takes every event at once, and keeps it on disk until it is read or shipped.
///
/// `append` only fills a bounded queue; one thread numbers, encodes and writes what waits there. While the disk is full
/// or broken, events wait up to the bound, then new ones are dropped and counted; writing resumes by itself.
/// Close it: its thread lives until then.
package final class LocalLog: Sendable {
    package let settings: LocalLogSettings
    /// `<gateway id>/<run>`, under which this run's records are numbered.
    package let producer: String

    private struct Shared: Sendable {
        var queue: [LogEvent] = []
        var closing = false
        var closed = false
        var statistics = LocalLogStatistics()
        var endOffsets: [Int64]
        /// What a reader has stored away or the shipper has delivered, per partition: may go without loss.
        var doneBefore: [Int64]
        var trims: [Int: Int64] = [:]
        var closers: [CheckedContinuation<Void, Never>] = []
        /// Who waits for what has been appended so far to be in the file.
        var waiters: [(appended: Int64, continuation: CheckedContinuation<Bool, Never>)] = []

        mutating func takeWaiters(written: Int64) -> [CheckedContinuation<Bool, Never>] {
            let due = waiters.filter { $0.appended <= written }.map(\.continuation)
            if !due.isEmpty { waiters.removeAll { $0.appended <= written } }
            return due
        }

        mutating func account(for deleted: [LocalLogStore.Evicted]) {
            for row in deleted {
                statistics.bytes -= row.bytes
                let done = row.nextOffset <= doneBefore[row.partition]
                if done { statistics.rotated += Int64(row.count) }
                if !done { statistics.dropped[.maxBytes, default: 0] += Int64(row.count) }
            }
        }
    }

    /// Records written in one transaction; the writer wakes early for as many.
    private static let batchLimit = 1_000
    private static let retryMs = 100
    /// How often the writer looks for records that are old enough to go, at most.
    private static let longestExpiryMs: Int64 = 10_000

    private let shared: Mutex<Shared>
    /// Raised when the writer may have something to do; it looks at the state after every wake-up.
    private let news = DispatchSemaphore(value: 0)
    private let store: LocalLogStore
    private let lock: FileLock
    private let logger: Logger

    /// Opens or makes the file, takes a run number and starts the writer.
    ///
    /// - Throws: `TrimtabError` for a setting out of range, an unusable or foreign file, or a changed partition count.
    package init(settings: LocalLogSettings, logger: Logger = Logger(label: "trimtab.local_log")) throws(TrimtabError) {
        try settings.validate()
        self.settings = settings
        self.logger = logger
        let opened: LocalLogStore.Opened
        do {
            lock = try FileLock(guarding: settings.path, key: "gateway.local_log.path")
            store = try LocalLogStore(path: settings.path, pageLimit: settings.pageLimit)
            opened = try store.open(partitions: settings.partitions, firstRun: Self.now() / 1_000)
        } catch {
            throw LocalLogFault.described(error, path: settings.path)
        }
        producer = "\(settings.gatewayID)/\(opened.run)"
        var shared = Shared(
            endOffsets: opened.nextOffsets, doneBefore: Array(repeating: 0, count: settings.partitions))
        shared.statistics.bytes = opened.bytes
        self.shared = Mutex(shared)
        let batcher = LocalLogBatcher(producer: producer, nextOffsets: opened.nextOffsets)
        let thread = Thread { [self] in run(batcher) }
        thread.name = "local-log"
        thread.start()
    }

    /// Takes an event; never waits and never touches the disk.
    package func append(_ event: LogEvent) {
        let wake = shared.withLock { shared in
            guard !shared.closing else {
                shared.statistics.dropped[.closed, default: 0] += 1
                return false
            }
            guard shared.queue.count < settings.queueLimit else {
                shared.statistics.dropped[.queueFull, default: 0] += 1
                return false
            }
            shared.queue.append(event)
            shared.statistics.appended += 1
            return shared.queue.count == 1 || shared.queue.count == Self.batchLimit
        }
        if wake { news.signal() }
    }

    /// Events that may wait in memory of those who can send again; the rest of the queue is for those who cannot.
    package var resenderLimit: Int { max(1, settings.queueLimit / 2) }

    /// Takes all of these events in their order, or none where more than `resenderLimit` would wait then.
    ///
    /// - Returns: Whether they were taken.
    package func append(all events: [LogEvent]) -> Bool {
        let (taken, wake) = shared.withLock { shared in
            guard !shared.closing, shared.queue.count + events.count <= resenderLimit else {
                return (false, false)
            }
            let before = shared.queue.count
            shared.queue.append(contentsOf: events)
            shared.statistics.appended += Int64(events.count)
            return (true, before == 0 || before < Self.batchLimit && shared.queue.count >= Self.batchLimit)
        }
        if wake { news.signal() }
        return taken
    }

    /// Waits until all that has been appended is in the file.
    ///
    /// - Returns: `false` when writing fails or the log closes before; what was appended may still be written later.
    package func waitUntilWritten() async -> Bool {
        await withCheckedContinuation { continuation in
            let known: Bool? = shared.withLock { shared in
                if shared.statistics.written >= shared.statistics.appended { return true }
                if shared.closed { return false }
                shared.waiters.append((shared.statistics.appended, continuation))
                return nil
            }
            if let known { continuation.resume(returning: known) }
        }
    }

    package var statistics: LocalLogStatistics {
        shared.withLock { shared in
            var statistics = shared.statistics
            statistics.queued = shared.queue.count
            return statistics
        }
    }

    /// The offset after the newest written record, by partition.
    package var endOffsets: [Int64] { shared.withLock { $0.endOffsets } }

    /// Says that the records before `offset` are stored elsewhere: if they have to make room, nothing is lost.
    package func markDone(partition: Int, before offset: Int64) {
        shared.withLock { shared in
            guard shared.doneBefore.indices.contains(partition) else { return }
            shared.doneBefore[partition] = max(shared.doneBefore[partition], offset)
        }
    }

    /// Deletes, soon, what lies wholly before these offsets, by partition.
    package func trim(before offsets: [Int: Int64]) {
        guard !offsets.isEmpty else { return }
        for (partition, offset) in offsets { markDone(partition: partition, before: offset) }
        shared.withLock { $0.trims.merge(offsets, uniquingKeysWith: max) }
        news.signal()
    }

    /// Writes what waits and stops the writer; later events are dropped and counted. Idempotent.
    package func close() async {
        await withCheckedContinuation { continuation in
            let closed = shared.withLock { shared in
                shared.closing = true
                if !shared.closed { shared.closers.append(continuation) }
                return shared.closed
            }
            if closed { continuation.resume() } else { news.signal() }
        }
    }

    private static func now() -> Int64 { Int64(Date().timeIntervalSince1970 * 1_000) }
}

// MARK: - The writer's thread

extension LocalLog {
    private func run(_ batcher: LocalLogBatcher) {
        var batcher = batcher
        var unwritten: [LocalLogStore.Row] = []
        var failing = false
        var expireAt: Int64 = 0
        while true {
            let closing = waitForWork(failing: failing)
            applyTrims()
            if Self.now() >= expireAt {
                expire(writtenBefore: Self.now() - settings.retentionMs)
                expireAt = Self.now() + expiryMs
            }
            if unwritten.isEmpty { unwritten = batcher.rows(for: takeQueued(), at: Self.now()) }
            if !unwritten.isEmpty {
                failing = !write(unwritten, wasFailing: failing)
                if !failing { unwritten = [] }
            }
            if closing, failing || isDrained { break }
        }
        finish(unwritten: unwritten.reduce(0) { $0 + $1.count })
    }

    /// Returns when a batch is due: at once if one is full, else `flushMs` after the first event.
    ///
    /// - Returns: Whether the log is closing.
    private func waitForWork(failing: Bool) -> Bool {
        if failing {
            if !isClosing { _ = news.wait(timeout: .now() + .milliseconds(Self.retryMs)) }
            return isClosing
        }
        while true {
            let (queued, trims, closing) = shared.withLock { ($0.queue.count, !$0.trims.isEmpty, $0.closing) }
            if closing || queued >= Self.batchLimit { return closing }
            if queued > 0 {
                _ = news.wait(timeout: .now() + .milliseconds(settings.flushMs))
                return isClosing
            }
            if trims || news.wait(timeout: .now() + .milliseconds(Int(expiryMs))) == .timedOut { return false }
        }
    }

    private var isClosing: Bool { shared.withLock { $0.closing } }
    private var isDrained: Bool { shared.withLock { $0.queue.isEmpty } }

    private func takeQueued() -> [LogEvent] {
        shared.withLock { shared in
            if shared.queue.count <= Self.batchLimit {
                let taken = shared.queue
                shared.queue = []
                // As many will come until the next time; growing step by step would copy them over and over.
                shared.queue.reserveCapacity(taken.count)
                return taken
            }
            defer { shared.queue.removeFirst(Self.batchLimit) }
            return Array(shared.queue.prefix(Self.batchLimit))
        }
    }

    private func write(_ rows: [LocalLogStore.Row], wasFailing: Bool) -> Bool {
        do {
            let bytes = shared.withLock { $0.statistics.bytes }
            let evicted = try store.write(rows, producer: producer, bytes: bytes, maxBytes: settings.maxBytes)
            let waiters = shared.withLock { shared in
                for row in rows {
                    shared.endOffsets[row.partition] = row.baseOffset + Int64(row.count)
                    shared.statistics.written += Int64(row.count)
                    shared.statistics.bytes += Int64(row.payload.count)
                }
                shared.account(for: evicted)
                shared.statistics.lastError = nil
                return shared.takeWaiters(written: shared.statistics.written)
            }
            for waiter in waiters { waiter.resume(returning: true) }
            if wasFailing { logger.notice("Local log writes again", metadata: ["path": "\(settings.path)"]) }
            return true
        } catch {
            note(error, first: !wasFailing)
            // What is kept for replays makes room before anything is lost.
            if LocalLogFault.isFullDisk(error) { expire(writtenBefore: .max) }
            for waiter in shared.withLock({ $0.takeWaiters(written: .max) }) { waiter.resume(returning: false) }
            return false
        }
    }

    private var expiryMs: Int64 { min(max(settings.retentionMs / 10, 100), Self.longestExpiryMs) }

    /// Lets go what the stream has stored and nobody is expected to replay any more.
    private func expire(writtenBefore cutoff: Int64) {
        do {
            let done = shared.withLock { $0.doneBefore }
            let expired = try store.expire(writtenBefore: cutoff, doneBefore: done)
            shared.withLock { $0.account(for: expired) }
        } catch {
            note(error, first: true)
        }
    }

    private func applyTrims() {
        let trims = shared.withLock { shared in
            defer { shared.trims = [:] }
            return shared.trims
        }
        guard !trims.isEmpty else { return }
        do {
            let freed = try store.trim(trims)
            shared.withLock { $0.statistics.bytes -= freed }
        } catch {
            // Asked for again with the next acknowledgement, or at the next start.
            note(error, first: true)
        }
    }

    private func note(_ error: any Error, first: Bool) {
        shared.withLock { shared in
            shared.statistics.writeFailures += 1
            shared.statistics.lastError = "\(error)"
        }
        guard first else { return }
        logger.error(
            "Local log cannot write; events wait in memory",
            metadata: ["path": "\(settings.path)", "error": "\(error)"])
    }

    private func finish(unwritten: Int) {
        lock.release()
        let (closers, waiters) = shared.withLock { shared in
            let lost = unwritten + shared.queue.count
            if lost > 0 { shared.statistics.dropped[.closed, default: 0] += Int64(lost) }
            shared.queue = []
            shared.closed = true
            defer { shared.closers = [] }
            return (shared.closers, shared.takeWaiters(written: .max))
        }
        for closer in closers { closer.resume() }
        for waiter in waiters { waiter.resume(returning: false) }
    }
}

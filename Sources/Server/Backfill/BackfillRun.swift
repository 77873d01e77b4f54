package import ControlLoop
import Core
import EventLog
package import Logging
package import PostgresClient
import StateStore
import StreamProcessing

/// Counts a past range of the log again, beside live traffic and without touching what is its.
package struct BackfillRun: Sendable {
    private let settings: Settings
    private let pool: PostgresPool
    private let logger: Logger
    private let now: @Sendable () -> Int64

    /// Letters, digits, `.`, `_` and `-`; at most so many.
    private static let longestName = 64

    /// - Parameter now: The wall clock, milliseconds since the epoch.
    package init(
        settings: Settings, pool: PostgresPool, logger: Logger = Logger(label: "trimtab.backfill"),
        now: @escaping @Sendable () -> Int64
    ) {
        self.settings = settings
        self.pool = pool
        self.logger = logger
        self.now = now
    }

    /// Runs a new backfill, or one that was broken off, to its end.
    ///
    /// - Parameters:
    ///   - range: Milliseconds since the epoch; needed for a new one.
    ///   - name: `nil` makes one of the range.
    /// - Throws: `TrimtabError` `usage.…` when it cannot be as asked, `stream.backfill.in_use`, or the log's or the store's.
    package func run(_ range: Range<Int64>?, name: String?) async throws -> (Backfill, BackfillComparison) {
        let store = BackfillStore(pool)
        let backfill = try await prepared(range, name: name, store)
        let note = try await count(backfill, refused: store)
        try await store.finish(backfill.job, note: note, now: now())
        guard let finished = try await store.find(backfill.job) else { throw BackfillFault.missing(backfill.job) }
        return (finished, try await PostgresStreamRecords(pool).compareBackfill(backfill.job, limit: 50))
    }

    private func prepared(_ range: Range<Int64>?, name: String?, _ store: BackfillStore) async throws -> Backfill {
        let name = name ?? range.map { "\($0.lowerBound)-\($0.upperBound)" } ?? ""
        let allowed = name.utf8.allSatisfy {
            ($0 | 0x20) >= 0x61 && ($0 | 0x20) <= 0x7a || $0 >= 0x30 && $0 <= 0x39 || [0x2d, 0x2e, 0x5f].contains($0)
        }
        guard !name.isEmpty, name.utf8.count <= Self.longestName, allowed else {
            throw TrimtabError(
                "usage.backfill", name.isEmpty ? "There is no range." : "'\(name)' is no name of a backfill.",
                remedy: name.isEmpty ? "Say --from." : "Use letters, digits, '.', '_' and '-', at most 64.")
        }
        let job = StreamJob.backfillPrefix + name
        let definitions = settings.stream.processing.definitions
        if let found = try await store.find(job) {
            guard found.finishedAt == nil, found.topic == settings.eventLog.topic,
                found.definitions.map(\.name) == definitions.map(\.name)
            else {
                throw TrimtabError(
                    "usage.backfill_exists", "There is a backfill '\(job)' already.",
                    remedy: "Choose another --name, or `trimtab stream replay delete \(job)` first.")
            }
            logger.notice("Going on with a backfill that was broken off", metadata: ["job": "\(job)"])
            return found
        }
        guard let range else {
            throw TrimtabError("usage.backfill", "There is no backfill '\(job)' to go on with.", remedy: "Say --from.")
        }
        let backfill = Backfill(
            job: job, topic: settings.eventLog.topic, range: range,
            definitions: definitions.map { Backfill.Definition($0, start: range.lowerBound) }, startedAt: now())
        try await store.start(backfill)
        return backfill
    }

    /// - Returns: What may be missing, in words.
    private func count(_ backfill: Backfill, refused store: BackfillStore) async throws -> String {
        var stream = settings.stream.processing
        // A partition is alone with its own events, and closes its windows when they are at their end.
        (stream.alignMs, stream.idleMs, stream.quietPartitionsFollowClock) = (nil, 0, true)
        stream.keepRequests = 0
        let lateness = stream.definitions.map(\.latenessMs).max() ?? 0
        let reader = try reader(backfill.job)
        let progress: BackfillProgress
        let refused: [Int: Set<Int64>]
        do {
            progress = BackfillProgress(
                partitions: try await reader.partitionCount(), passedAt: backfill.range.upperBound + lateness,
                clockAt: now() - stream.boundMs - 1)
            refused = try await store.refusedAsFuture(
                topic: backfill.topic, since: backfill.range.lowerBound - 86_400_000)
        } catch {
            await reader.close()
            throw error
        }
        var work = StreamWorker.Settings()
        work.checkpointMs = min(settings.stream.checkpointMs, work.checkpointMs)
        let worker = StreamWorker(
            reader: BackfillReader(
                base: reader, progress: progress, from: backfill.range.lowerBound, refused: refused),
            store: BackfillCheckpoints(
                base: CheckpointStore(
                    pool, job: backfill.job, topic: backfill.topic, owner: settings.localLog.gatewayID),
                progress: progress, backfill: backfill.range),
            stream: stream, settings: work, logger: logger, now: now)
        try await withThrowingTaskGroup { group in
            group.addTask {
                defer { progress.close() }
                try await worker.run()
            }
            group.addTask {
                for await _ in progress.finished {}
                worker.stop()
            }
            try await group.waitForAll()
        }
        if let fault = progress.fault { throw fault }
        guard progress.isDone else { throw CancellationError() }
        return Self.note(cut: progress.cut, lost: worker.statistics.lost)
    }

    private func reader(_ job: String) throws -> any EventLogReader {
        guard settings.eventLog.kind == .kafka else {
            return try LocalLogReader(file: settings.localLog.path, topic: settings.eventLog.topic)
        }
        var kafka = settings.eventLog.kafka
        // A group of its own has all partitions, and takes none from the workers'.
        kafka.group += ".\(job).\(now())"
        return try KafkaLogReader(settings: kafka, logger: logger)
    }

    private static func note(cut: [Int], lost: Int64) -> String {
        var notes: [String] = []
        if !cut.isEmpty {
            let list = cut.map(String.init).joined(separator: ", ")
            notes.append(
                "The log of partition \(list) begins within the range or just before it: older records are gone.")
        }
        if lost > 0 { notes.append("\(lost) records were dropped from the log before they were read.") }
        return notes.joined(separator: " ")
    }
}

import Core
import EventLog
import Foundation
import PostgresClient
import Server
import StateStore
import StreamProcessing
import TestSupport
import Testing

/// A disk without room, the log's or PostgreSQL's, delays the stream and costs it no record.
@Suite(.enabled(if: TestPostgres.missing == nil), .timeLimit(.minutes(2))) struct DiskFullTests {
    private static let began = ContinuousClock.now

    /// Ten hours after the records, and moving.
    @Sendable private static func now() -> Int64 {
        Make.start + 36_000_000 + Int64((ContinuousClock.now - began) / .milliseconds(1))
    }

    private static func database() async throws -> PostgresPool {
        let pool = PostgresPool(PostgresConfiguration(url: try await TestPostgres.database()))
        _ = try await Migrator(pool).migrate()
        return pool
    }

    private static func log(_ change: (inout LocalLogSettings) -> Void = { _ in }) throws -> LocalLog {
        let folder = NSTemporaryDirectory() + "trimtab-full-\(UInt64.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        var settings = LocalLogSettings(path: "\(folder)/events.sqlite", gatewayID: "full")
        change(&settings)
        return try LocalLog(settings: settings)
    }

    private static func close(_ log: LocalLog, _ pool: PostgresPool) async throws {
        await log.close()
        await pool.close()
        try FileManager.default.removeItem(at: URL(filePath: log.settings.path).deletingLastPathComponent())
    }

    private static func worker(_ log: LocalLog, _ pool: PostgresPool) throws -> StreamWorker {
        var settings = StreamWorker.Settings()
        (settings.checkpointMs, settings.retryMs, settings.longestRetryMs) = (20, 10, 20)
        var stream = Make.settings { $0.latenessMs = 86_400_000 }
        stream.idleMs = 20
        return StreamWorker(
            reader: try LocalLogReader(log: log, topic: "events"),
            store: CheckpointStore(pool, job: "main", topic: "events", owner: "full"), stream: stream,
            settings: settings, now: now
        ) { offsets in
            for (partition, offset) in offsets { log.markDone(partition: partition, before: offset) }
        }
    }

    private static func counted(_ pool: PostgresPool) async throws -> Int64 {
        try await pool.withConnection {
            try await $0.query("SELECT COALESCE(sum(requests), 0)::bigint AS n FROM window_results")
        }.first.map { try $0["n"] as Int64 } ?? -1
    }

    private static func append(_ number: UInt64, to log: LocalLog) {
        log.append(Make.request(number, at: Int64(number % 20_000)))
    }

    @Test func aFullDiskOfPostgreSQLIsWaitedFor() async throws {
        let (pool, log) = (try await Self.database(), try Self.log())
        try await pool.withConnection {
            try await $0.script(
                """
                CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = 'disk_full'; END $$;
                CREATE TRIGGER full_disk BEFORE INSERT ON window_results EXECUTE FUNCTION full_disk();
                """)
        }
        let worker = try Self.worker(log, pool)
        let running = Task { try await worker.run() }
        for number in 0..<5_000 as Range<UInt64> { Self.append(number, to: log) }
        #expect(try await eventually(within: 30) { worker.statistics.failedCheckpoints > 5 })
        #expect(try await Self.counted(pool) == 0)
        try await pool.withConnection { try await $0.script("DROP TRIGGER full_disk ON window_results") }
        #expect(try await eventually(within: 30) { try await Self.counted(pool) == 5_000 })
        worker.stop()
        try await running.value
        try await Self.close(log, pool)
    }

    /// The log keeps what is stored for replays, and lets go of it when there is no room for what is new.
    @Test func aFullDiskOfTheLogTakesWhatIsStoredAndNothingElse() async throws {
        let pool = try await Self.database()
        let log = try Self.log { ($0.pageLimit, $0.queueLimit) = (60, 2_000) }
        var number: UInt64 = 0
        #expect(
            try await eventually(within: 30) {
                for _ in 0..<200 {
                    Self.append(number, to: log)
                    number += 1
                }
                return log.statistics.writeFailures > 0
            })
        while log.statistics.dropped[.queueFull, default: 0] < 50 {
            Self.append(number, to: log)
            number += 1
        }
        // What was taken is kept; what was refused was counted as such.
        let worker = try Self.worker(log, pool)
        let running = Task { try await worker.run() }
        #expect(try await eventually(within: 30) { log.statistics.lastError == nil })
        for _ in 0..<20 {
            for _ in 0..<500 {
                Self.append(number, to: log)
                number += 1
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        #expect(try await eventually(within: 30) { try await Self.counted(pool) == log.statistics.appended })
        #expect(log.statistics.appended + log.statistics.dropped[.queueFull, default: 0] == Int64(number))
        #expect(log.statistics.dropped[.maxBytes] == nil && log.statistics.rotated > 0)
        worker.stop()
        try await running.value
        try await Self.close(log, pool)
    }
}

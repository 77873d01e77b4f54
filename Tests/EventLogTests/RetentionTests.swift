import Core
import EventLog
import Foundation
import GRDB
import Telemetry
import Testing

/// What the local log keeps, for how long, and who can still read it.
@Suite struct RetentionTests {
    private func write(_ events: [LogEvent], to log: LocalLog) async throws {
        let target = log.statistics.written + Int64(events.count)
        for event in events { log.append(event) }
        try await eventually("Nothing was written.") { log.statistics.written == target }
    }

    @Test func whatTheStreamHasStoredGoesWithAgeAndNothingElseDoes() async throws {
        let folder = try TemporaryFolder()
        var settings = folder.settings(partitions: 2)
        settings.retentionMs = 200
        let log = try LocalLog(settings: settings)
        var source = EventSource(seed: 31)
        try await write(source.next(500), to: log)
        log.markDone(partition: 0, before: log.endOffsets[0])
        try await eventually("Nothing grew old.") { log.statistics.rotated == log.endOffsets[0] }
        // Twice the time in which the other partition would have gone too.
        try await Task.sleep(for: .milliseconds(400))
        #expect(log.statistics.rotated == log.endOffsets[0])
        #expect(log.statistics.dropped.isEmpty)
        let reading = try await LocalLogReader(log: log, topic: "events").collect(from: [0: 0, 1: 0]) {
            $0.records.count == Int(log.endOffsets[1]) && $0.gaps.count == 1
        }
        #expect(reading.records.allSatisfy { $0.partition == 1 })
        #expect(reading.gaps == ["0: 0..<\(log.endOffsets[0])"])
        await log.close()
    }

    @Test func whatIsYoungStaysForAReplay() async throws {
        let folder = try TemporaryFolder()
        let log = try LocalLog(settings: folder.settings(partitions: 1))
        var source = EventSource(seed: 32)
        try await write(source.next(300), to: log)
        log.markDone(partition: 0, before: 300)
        await log.close()
        let reopened = try LocalLog(settings: folder.settings(partitions: 1))
        let reading = try await LocalLogReader(log: reopened, topic: "events").collect { $0.records.count == 300 }
        #expect(reading.records.count == 300)
        #expect(reopened.statistics.rotated == 0)
        await reopened.close()
    }

    @Test func aReplayReadsTheFileBesideTheWriterAndWithoutOne() async throws {
        let folder = try TemporaryFolder()
        var settings = folder.settings(partitions: 1)
        settings.maxBytes = 1 << 16
        let log = try LocalLog(settings: settings)
        var source = EventSource(seed: 33)
        try await write(source.next(100), to: log)
        let replay = try LocalLogReader(file: settings.path, topic: "events")
        #expect(try await replay.partitionCount() == 1)
        #expect(try await replay.collect { $0.records.count == 100 }.records.count == 100)
        try await write(source.next(50), to: log)
        #expect(try await replay.collect { $0.records.count == 50 }.records.map(\.offset) == Array(100..<150))
        #expect(try await replay.endOffsets() == [0: 150])
        // That a replay has seen them does not make them stored: what has to make room for others is lost.
        while log.statistics.dropped.isEmpty, log.statistics.rotated == 0 { try await write(source.next(100), to: log) }
        #expect(log.statistics.rotated == 0)
        await replay.close()
        await log.close()

        let kept = log.endOffsets[0] - log.statistics.dropped[.maxBytes, default: 0]
        let later = try LocalLogReader(file: settings.path, topic: "events")
        let reading = try await later.collect { $0.records.count == Int(kept) }
        #expect(reading.records.last?.offset == log.endOffsets[0] - 1)
        await later.close()
        #expect { try LocalLogReader(file: folder.path + "/none.db", topic: "events") } throws: {
            ($0 as? TrimtabError)?.code == "local_log.unusable"
        }
    }

    /// The first format knew when a batch was written, not the times of its records.
    @Test func aFileOfTheFirstFormatIsBroughtForward() async throws {
        let folder = try TemporaryFolder()
        let settings = folder.settings(partitions: 1)
        var source = EventSource(seed: 34)
        let log = try LocalLog(settings: settings)
        try await write(source.next(200), to: log)
        await log.close()
        let file = try DatabaseQueue(path: settings.path)
        try await file.write { database in
            try database.execute(sql: "ALTER TABLE batches DROP COLUMN largest_at; PRAGMA user_version = 1")
        }
        try file.close()
        #expect {
            try LocalLogReader(file: settings.path, topic: "events")
        } throws: { error in
            let error = error as? TrimtabError
            return error?.code == "local_log.version" && error?.remedy.contains("Start the gateway") == true
        }

        let reopened = try LocalLog(settings: settings)
        let later = source.next(100)
        try await write(later, to: reopened)
        let reader = try LocalLogReader(log: reopened, topic: "events")
        #expect(try await reader.collect { $0.records.count == 300 }.records.map(\.offset) == Array(0..<300))
        // The old batches were written after the time asked for, so they may hold records of it.
        #expect(try await reader.offset(partition: 0, atOrAfter: later[50].at) == 0)
        await reopened.close()
    }

    @Test func aFileOfALaterVersionIsRefused() async throws {
        let folder = try TemporaryFolder()
        await (try LocalLog(settings: folder.settings())).close()
        let file = try DatabaseQueue(path: folder.settings().path)
        try await file.write { try $0.execute(sql: "PRAGMA user_version = 99") }
        try file.close()
        #expect { try LocalLog(settings: folder.settings()) } throws: {
            "\($0)".contains("format 99")
        }
    }
}

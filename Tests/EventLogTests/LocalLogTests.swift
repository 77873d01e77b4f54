import Core
import EventLog
import Foundation
import Telemetry
import Testing

@Suite struct LocalLogTests {
    @Test func givesBackWhatWasAppendedInOrderAndNumbered() async throws {
        let folder = try TemporaryFolder()
        let log = try LocalLog(settings: folder.settings())
        var source = EventSource(seed: 1)
        let events = source.next(5_000)
        for event in events { log.append(event) }
        let reader = try LocalLogReader(log: log, topic: "events")
        let reading = try await reader.collect { $0.records.count >= events.count }

        #expect(reading.records.count == events.count)
        for partition in 0..<4 {
            let expected = events.filter { $0.bucketID.partition(of: 4) == partition }
            let records = reading.records(of: partition)
            #expect(records.map(\.id) == expected.map(\.id))
            #expect(records.map(\.kind) == expected.map(\.kind))
            #expect(records.map(\.offset) == Array(0..<Int64(expected.count)))
            #expect(records.map(\.seq) == Array(1...Int64(expected.count)))
            #expect(records.allSatisfy { $0.producer == log.producer })
        }
        await log.close()
        #expect(log.statistics.written == 5_000)
        #expect(log.statistics.dropped.isEmpty)
    }

    @Test func offsetsGoOnOverRunsAndNumbersAreNeverUsedTwice() async throws {
        let folder = try TemporaryFolder()
        var source = EventSource(seed: 2)
        var producers: [String] = []
        for _ in 0..<4 {
            let log = try LocalLog(settings: folder.settings())
            producers.append(log.producer)
            for event in source.next(300) { log.append(event) }
            await log.close()
        }
        #expect(Set(producers).count == 4)

        let log = try LocalLog(settings: folder.settings())
        let reading = try await LocalLogReader(log: log, topic: "events").collect { $0.records.count >= 1_200 }
        for partition in 0..<4 {
            let records = reading.records(of: partition)
            #expect(records.map(\.offset) == Array(0..<Int64(records.count)))
        }
        #expect(Set(reading.records.map { "\($0.producer) \($0.partition) \($0.seq)" }).count == 1_200)
        await log.close()
    }

    /// The file and its write-ahead log, copied from under a running writer, are what a kill -9 would leave.
    @Test func holdsEveryEventOlderThanAHundredMillisecondsAtAKill() async throws {
        let folder = try TemporaryFolder()
        let log = try LocalLog(settings: folder.settings())
        var source = EventSource(seed: 3)
        let events = source.next(700)
        for event in events { log.append(event) }
        try await Task.sleep(for: .milliseconds(100))
        for suffix in ["", "-wal"] {
            try FileManager.default.copyItem(
                atPath: log.settings.path + suffix, toPath: folder.settings("killed.db").path + suffix)
        }
        let reopened = try LocalLog(settings: folder.settings("killed.db"))
        let reading = try await LocalLogReader(log: reopened, topic: "events").collect { $0.records.count >= 700 }
        #expect(Set(reading.records.map(\.id)) == Set(events.map(\.id)))
        #expect(reopened.producer != log.producer)
        await reopened.close()
        await log.close()
    }

    /// Half of the queue is for those who cannot send again; whoever can hears whether the file has what was taken.
    @Test func whoCanSendAgainIsTakenWholeOrNotAtAll() async throws {
        let folder = try TemporaryFolder()
        var settings = folder.settings()
        settings.queueLimit = 100
        let log = try LocalLog(settings: settings)
        var source = EventSource(seed: 9)
        #expect(!log.append(all: source.next(51)))
        let events = source.next(50)
        #expect(log.append(all: events))
        #expect(await log.waitUntilWritten())
        #expect(log.statistics.written == 50 && log.statistics.dropped.isEmpty)
        let reading = try await LocalLogReader(log: log, topic: "events").collect { $0.records.count >= 50 }
        #expect(Set(reading.records.map(\.id)) == Set(events.map(\.id)))
        await log.close()
        #expect(!log.append(all: source.next(1)))
        #expect(await log.waitUntilWritten(), "nothing is missing")
    }

    @Test func aFullDiskCostsNothingUntilTheQueueIsFullAndWritingResumes() async throws {
        let folder = try TemporaryFolder()
        var settings = folder.settings()
        settings.pageLimit = 30
        settings.queueLimit = 2_000
        let log = try LocalLog(settings: settings)
        var source = EventSource(seed: 4)
        var accepted: [LogEvent] = []
        func append() {
            let before = log.statistics.appended
            let event = source.next()
            log.append(event)
            if log.statistics.appended > before { accepted.append(event) }
        }
        try await eventually("The disk never filled.") {
            for _ in 0..<200 { append() }
            return log.statistics.writeFailures > 0
        }
        while log.statistics.dropped[.queueFull, default: 0] < 50 { append() }
        #expect(log.statistics.lastError != nil)

        // Make room as a shipper would, again and again, for what waits in memory needs room too.
        let reader = try LocalLogReader(log: log, topic: "events")
        var seen: [String] = []
        let deadline = ContinuousClock.now + .seconds(30)
        while seen.count < accepted.count, .now < deadline {
            switch try await reader.next(timeout: .milliseconds(50)) {
            case .assigned(let partitions):
                for partition in partitions { try await reader.start(partition: partition, at: 0) }
            case .batch(let batch):
                seen += try ReadRecord.all(of: batch).map(\.id)
                if let next = batch.nextOffset { log.trim(before: [batch.partition: next]) }
            case .gap, .revoked, .lost, .idle: break
            }
        }
        #expect(seen.count == accepted.count)
        #expect(Set(seen) == Set(accepted.map(\.id)))
        try await eventually("The log stayed broken.") { log.statistics.lastError == nil }
        await log.close()
        #expect(log.statistics.written == Int64(accepted.count))
    }

    @Test func dropsTheOldestPastItsBoundAndCountsThem() async throws {
        let folder = try TemporaryFolder()
        var settings = folder.settings()
        settings.maxBytes = 1 << 16
        let log = try LocalLog(settings: settings)
        var source = EventSource(seed: 5)
        for _ in 0..<20 {
            for event in source.next(100) { log.append(event) }
            let target = log.statistics.appended
            try await eventually("Nothing was written.") { log.statistics.written == target }
        }
        let statistics = log.statistics
        #expect(statistics.bytes <= settings.maxBytes)
        let reading = try await LocalLogReader(log: log, topic: "events").collect(from: [0: 0, 1: 0, 2: 0, 3: 0]) {
            Int64($0.records.count) >= 2_000 - statistics.dropped[.maxBytes, default: 0]
        }
        #expect(Int64(reading.records.count) == 2_000 - statistics.dropped[.maxBytes, default: 0])
        #expect(reading.gaps.count == 4)
        await log.close()
    }

    @Test func whatWasStoredAwayMakesRoomWithoutLoss() async throws {
        let folder = try TemporaryFolder()
        var settings = folder.settings(partitions: 1)
        settings.maxBytes = 1 << 16
        let log = try LocalLog(settings: settings)
        var source = EventSource(seed: 6)
        for _ in 0..<20 {
            for event in source.next(100) { log.append(event) }
            let target = log.statistics.appended
            try await eventually("Nothing was written.") { log.statistics.written == target }
            log.markDone(partition: 0, before: target)
        }
        #expect(log.statistics.dropped.isEmpty)
        #expect(log.statistics.rotated > 0)
        await log.close()
    }

    @Test func trimsWhatWasShipped() async throws {
        let folder = try TemporaryFolder()
        let log = try LocalLog(settings: folder.settings(partitions: 1))
        var source = EventSource(seed: 7)
        for event in source.next(500) { log.append(event) }
        try await eventually("Nothing was written.") { log.statistics.written == 500 }
        log.trim(before: [0: 500])
        try await eventually("Nothing was freed.") { log.statistics.bytes == 0 }
        await log.close()

        let reopened = try LocalLog(settings: folder.settings(partitions: 1))
        #expect(reopened.endOffsets == [500])
        await reopened.close()
    }

    @Test func takesEventsFromManyThreadsAtOnce() async throws {
        let folder = try TemporaryFolder()
        let log = try LocalLog(settings: folder.settings())
        await withTaskGroup(of: Void.self) { group in
            for seed in 0..<8 {
                group.addTask {
                    var source = EventSource(seed: UInt64(seed))
                    for event in source.next(1_000) { log.append(event) }
                }
            }
        }
        await log.close()
        #expect(log.statistics.written == 8_000)
        #expect(log.endOffsets.reduce(0, +) == 8_000)
        var source = EventSource(seed: 9)
        log.append(source.next())
        #expect(log.statistics.dropped == [.closed: 1])
    }

    @Test func refusesAChangedPartitionCountASecondWriterAndBadSettings() async throws {
        let folder = try TemporaryFolder()
        let log = try LocalLog(settings: folder.settings())
        #expect { try LocalLog(settings: folder.settings()) } throws: {
            ($0 as? TrimtabError)?.code == "local_log.in_use"
        }
        await log.close()

        let other = try TemporaryFolder()
        await (try LocalLog(settings: other.settings(partitions: 4))).close()
        #expect {
            try LocalLog(settings: other.settings(partitions: 12))
        } throws: { error in
            let error = error as? TrimtabError
            return error?.code == "local_log.partitions" && error?.remedy.contains("gateway.local_log.path") == true
        }
        var settings = folder.settings("late.db")
        settings.flushMs = 80
        #expect { try LocalLog(settings: settings) } throws: {
            "\($0)".contains("gateway.local_log.flush_ms is 80")
        }
    }

    @Test func refusesToReadOnFromAnOffsetThatItDoesNotReach() async throws {
        let folder = try TemporaryFolder()
        let log = try LocalLog(settings: folder.settings())
        let reader = try LocalLogReader(log: log, topic: "events")
        await #expect { try await reader.start(partition: 0, at: 17) } throws: {
            ($0 as? TrimtabError)?.code == "event_log.ahead"
        }
        await log.close()
    }
}

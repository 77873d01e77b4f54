import Core
import EventLog
import Foundation
import Synchronization
import TestSupport
import Testing

@Suite struct ShipperTests {
    private static let partitions = 4

    private func settings(
        _ properties: [String: String], topic: String = KafkaLogSettings.defaultTopic
    ) -> KafkaLogSettings {
        var settings = KafkaLogSettings(properties: properties)
        settings.topic = topic
        settings.partitions = Self.partitions
        return settings
    }

    private func cluster() throws -> MockKafka {
        let kafka = try MockKafka()
        kafka.createTopic(KafkaLogSettings.defaultTopic, partitions: Int32(Self.partitions))
        return kafka
    }

    /// Records come at least once; what matters is that a reader that drops numbers it has seen gets each once, in order.
    private func expectComplete(_ reading: Reading, _ events: Int) {
        var unique = 0
        for partition in 0..<Self.partitions {
            var last: Int64 = 0
            for record in reading.records(of: partition) where record.seq > last {
                #expect(record.seq == last + 1, "A record was overtaken or lost.")
                last = record.seq
                unique += 1
            }
        }
        #expect(unique == events)
    }

    @Test(.enabled(if: TestKafka.isMock, "\(TestKafka.faultsNeeded)"))
    func aBrokerThatGoesAwayUnderLoadCostsNothing() async throws {
        let kafka = try cluster()
        let folder = try TemporaryFolder()
        let log = try LocalLog(settings: folder.settings(partitions: Self.partitions))
        let shipper = try Shipper(log: log, settings: settings(kafka.groupProperties))
        let shipping = Task { try await shipper.run() }
        let appending = Task {
            var source = EventSource(seed: 21)
            for _ in 0..<300 {
                for event in source.next(50) { log.append(event) }
                try await Task.sleep(for: .milliseconds(10))
            }
        }
        for _ in 0..<3 {
            try await Task.sleep(for: .milliseconds(400))
            kafka.setDown()
            try await Task.sleep(for: .milliseconds(500))
            kafka.setUp()
        }
        // A final error in the middle: the shipper has to go back and send again.
        kafka.fail(.produce, with: [10])
        try await appending.value
        try await eventually("The shipper did not catch up.") {
            shipper.status.lagRecords == 0 && log.statistics.written == 15_000 && log.statistics.bytes == 0
        }
        let reader = try KafkaLogReader(settings: settings(kafka.groupProperties))
        let reading = try await reader.collect { Set($0.records.map(\.id)).count >= 15_000 }
        expectComplete(reading, 15_000)
        #expect(shipper.status.rewinds > 0)
        #expect(log.statistics.dropped.isEmpty)
        await reader.close()
        shipping.cancel()
        try await shipping.value
        await log.close()
        kafka.close()
    }

    @Test(.enabled(if: TestKafka.isMock, "\(TestKafka.faultsNeeded)"))
    func aRestartSendsTheRestUnderTheOldNumbers() async throws {
        let kafka = try cluster()
        let folder = try TemporaryFolder()
        var source = EventSource(seed: 22)
        kafka.setDown()
        for _ in 0..<2 {
            let log = try LocalLog(settings: folder.settings(partitions: Self.partitions))
            let shipper = try Shipper(log: log, settings: settings(kafka.groupProperties))
            let shipping = Task { try await shipper.run() }
            for event in source.next(500) { log.append(event) }
            try await eventually("Nothing was written.") { log.statistics.written == 500 }
            shipping.cancel()
            try await shipping.value
            await log.close()
        }
        kafka.setUp()
        let log = try LocalLog(settings: folder.settings(partitions: Self.partitions))
        let shipper = try Shipper(log: log, settings: settings(kafka.groupProperties))
        let shipping = Task { try await shipper.run() }
        let reader = try KafkaLogReader(settings: settings(kafka.groupProperties))
        let reading = try await reader.collect { Set($0.records.map(\.id)).count >= 1_000 }
        #expect(Set(reading.records.map(\.id)).count == 1_000)
        #expect(Set(reading.records.map(\.producer)).count == 2)
        try await eventually("The log was not trimmed.") { log.statistics.bytes == 0 }
        await reader.close()
        shipping.cancel()
        try await shipping.value
        await log.close()
        kafka.close()
    }

    @Test(.enabled(if: TestKafka.isMock, "\(TestKafka.faultsNeeded)"))
    func itSaysSinceWhenRecordsWait() async throws {
        let kafka = try cluster()
        let folder = try TemporaryFolder()
        var source = EventSource(seed: 24)
        func now() -> Int64 { Int64(Date().timeIntervalSince1970 * 1_000) }
        kafka.setDown()
        var log = try LocalLog(settings: folder.settings(partitions: Self.partitions))
        var shipper = try Shipper(log: log, settings: settings(kafka.groupProperties))
        #expect(await shipper.unshippedSince(now: now() + 60_000) == nil, "there are none")
        let began = now()
        for event in source.next(200) { log.append(event) }
        #expect(await log.waitUntilWritten())
        let since = try #require(await shipper.unshippedSince(now: now() + 60_000))
        #expect((began...now()).contains(since))
        #expect(await shipper.unshippedSince(now: since + 5_000) == nil, "they may be on their way")
        #expect(await shipper.unshippedSince(now: since + 5_001) == since)
        // Later ones do not make the oldest younger, and neither does a restart.
        try await Task.sleep(for: .milliseconds(20))
        for event in source.next(200) { log.append(event) }
        #expect(await log.waitUntilWritten())
        #expect(await shipper.unshippedSince(now: now() + 60_000) == since)
        await log.close()
        log = try LocalLog(settings: folder.settings(partitions: Self.partitions))
        shipper = try Shipper(log: log, settings: settings(kafka.groupProperties))
        #expect(await shipper.unshippedSince(now: now() + 60_000) == since)
        // Once they are in Kafka there is nothing to say.
        kafka.setUp()
        let running = shipper
        let shipping = Task { try await running.run() }
        try await eventually("It still says that records wait.") {
            await running.unshippedSince(now: now() + 60_000) == nil
        }
        #expect(running.status.acknowledged == 400)
        shipping.cancel()
        try await shipping.value
        await log.close()
        kafka.close()
    }

    @Test func aWrongPartitionCountOrPropertyEndsItWithARemedy() async throws {
        let kafka = try TestKafka()
        let topic = try await kafka.topic(partitions: 7)
        let folder = try TemporaryFolder()
        let log = try LocalLog(settings: folder.settings(partitions: Self.partitions))
        let shipper = try Shipper(log: log, settings: settings(kafka.groupProperties, topic: topic))
        await #expect { try await shipper.run() } throws: { error in
            let error = error as? TrimtabError
            return error?.code == "event_log.kafka.partitions" && error?.remedy.contains("configure 7") == true
        }
        let mistyped = settings(kafka.properties.merging(["lingr.ms": "5"]) { $1 })
        await #expect { try await Shipper(log: log, settings: mistyped).run() } throws: {
            "\($0)".contains("event_log.kafka.properties.lingr.ms")
        }
        await log.close()
        kafka.close()
    }

    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/kcat"), "kcat is not installed"))
    func kcatReadsEveryRecordAsJSONWithItsKind() async throws {
        let kafka = try TestKafka()
        let topic = try await kafka.topic(partitions: Self.partitions)
        let folder = try TemporaryFolder()
        let log = try LocalLog(settings: folder.settings(partitions: Self.partitions))
        let shipper = try Shipper(log: log, settings: settings(kafka.groupProperties, topic: topic))
        let shipping = Task { try await shipper.run() }
        var source = EventSource(seed: 23)
        for event in source.next(500) { log.append(event) }
        try await eventually("Nothing was shipped.") { shipper.status.acknowledged == 500 }

        let kcat = Process()
        let output = Pipe()
        kcat.executableURL = URL(fileURLWithPath: "/usr/bin/kcat")
        kcat.arguments =
            kafka.properties.flatMap { ["-X", "\($0)=\($1)"] } + [
                "-C", "-t", topic, "-o", "beginning", "-e", "-q",
                "-f", "%p\\t%k\\t%h\\t%s\\n",
            ]
        kcat.standardOutput = output
        try kcat.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        kcat.waitUntilExit()
        let lines = text.split(separator: "\n")
        #expect(lines.count == 500)
        for line in lines {
            let parts = line.split(separator: "\t", maxSplits: 3).map(String.init)
            let json = try #require(
                try JSONSerialization.jsonObject(with: Data(parts[3].utf8)) as? [String: Any])
            let isFeedback = json["request"] != nil
            #expect(parts[2] == (isFeedback ? "kind=feedback" : "kind=request"))
            let id = try #require((isFeedback ? json["request"] : json["id"]) as? String)
            #expect(id.hasSuffix(parts[1]), "The key is the bucket, the id's last three digits.")
            #expect(Int(parts[1], radix: 16).map { $0 % Self.partitions } == Int(parts[0]))
        }
        shipping.cancel()
        try await shipping.value
        await log.close()
        kafka.close()
    }
}

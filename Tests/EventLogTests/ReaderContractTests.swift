import Core
import EventLog
import Foundation
import Telemetry
import TestSupport
import Testing

/// A local log with a reader behind it: directly, or through the shipper and a Kafka cluster.
final class LogUnderTest: Sendable {
    enum Kind: String, Sendable, CaseIterable { case embedded, kafka }

    let log: LocalLog
    let shipper: Shipper?
    private let folder: TemporaryFolder
    private let kafka: TestKafka?
    private let kafkaSettings: KafkaLogSettings?
    private let shipping: Task<Void, any Error>?

    static let partitions = 4

    init(_ kind: Kind) async throws {
        folder = try TemporaryFolder()
        log = try LocalLog(settings: folder.settings(partitions: Self.partitions))
        guard kind == .kafka else {
            (kafka, kafkaSettings, shipping, shipper) = (nil, nil, nil, nil)
            return
        }
        let kafka = try TestKafka()
        var settings = KafkaLogSettings(properties: kafka.groupProperties)
        settings.topic = try await kafka.topic(partitions: Self.partitions)
        settings.group = settings.topic
        settings.partitions = Self.partitions
        let shipper = try Shipper(log: log, settings: settings)
        (self.kafka, kafkaSettings, self.shipper) = (kafka, settings, shipper)
        shipping = Task { try await shipper.run() }
    }

    func reader() throws -> any EventLogReader {
        if let kafkaSettings { return try KafkaLogReader(settings: kafkaSettings) }
        return try LocalLogReader(log: log, topic: KafkaLogSettings.defaultTopic)
    }

    /// librdkafka's mock cluster answers "none" to every time.
    var knowsTimes: Bool { kafka == nil || !TestKafka.isMock }
    var topic: String { kafkaSettings?.topic ?? KafkaLogSettings.defaultTopic }

    /// Waits until the reader can have all that was written.
    func shipped() async throws {
        guard let shipper else { return }
        try await eventually("The shipper did not catch up.") {
            shipper.status.acknowledged == log.statistics.written
        }
    }

    func close() async throws {
        shipping?.cancel()
        try await shipping?.value
        await log.close()
        kafka?.close()
    }
}

/// What the stream may rely on, whichever log it reads.
@Suite struct ReaderContractTests {
    @Test(arguments: LogUnderTest.Kind.allCases)
    func everyEventComesOnceInOrder(kind: LogUnderTest.Kind) async throws {
        let subject = try await LogUnderTest(kind)
        var source = EventSource(seed: 11)
        let events = source.next(10_000)
        for event in events { subject.log.append(event) }
        let reader = try subject.reader()
        #expect(try await reader.partitionCount() == LogUnderTest.partitions)
        #expect(reader.topic == subject.topic)
        let reading = try await reader.collect { $0.records.count >= events.count }

        #expect(reading.records.count == events.count)
        #expect(reading.gaps.isEmpty)
        for partition in 0..<LogUnderTest.partitions {
            let expected = events.filter { $0.bucketID.partition(of: LogUnderTest.partitions) == partition }
            let records = reading.records(of: partition)
            #expect(records.map(\.id) == expected.map(\.id))
            #expect(records.map(\.kind) == expected.map(\.kind))
            #expect(records.map(\.seq) == Array(1...Int64(expected.count)))
            #expect(records.map(\.offset) == Array(0..<Int64(expected.count)))
        }
        let ends = try await reader.endOffsets()
        #expect(ends.values.reduce(0, +) == Int64(events.count))
        #expect(Set(reading.records.map(\.producer)) == [subject.log.producer])
        await reader.close()
        try await subject.close()
    }

    @Test(arguments: LogUnderTest.Kind.allCases)
    func readsOnFromTheOffsetsGiven(kind: LogUnderTest.Kind) async throws {
        let subject = try await LogUnderTest(kind)
        var source = EventSource(seed: 12)
        for event in source.next(2_000) { subject.log.append(event) }
        let from: [Int: Int64] = [0: 0, 1: 17, 2: 250, 3: 300]
        try await eventually("Nothing was written.") { subject.log.statistics.written == 2_000 }
        let expected = zip(0..., subject.log.endOffsets).reduce(0) { $0 + Int($1.1 - (from[$1.0] ?? 0)) }
        let reader = try subject.reader()
        let reading = try await reader.collect(from: from) { $0.records.count >= expected }
        #expect(reading.records.count == expected)
        for (partition, offset) in from { #expect(reading.records(of: partition).first?.offset == offset) }
        await reader.close()
        try await subject.close()
    }

    /// A stream whose checkpoint failed has lost its state of the partition, and goes back to what is stored.
    @Test(arguments: LogUnderTest.Kind.allCases)
    func aPartitionStartedAgainIsReadAgainFromThere(kind: LogUnderTest.Kind) async throws {
        let subject = try await LogUnderTest(kind)
        var source = EventSource(seed: 15)
        for event in source.next(4_000) { subject.log.append(event) }
        try await eventually("Nothing was written.") { subject.log.statistics.written == 4_000 }
        let reader = try subject.reader()
        _ = try await reader.collect { $0.records.count >= 1_000 }
        let ends = subject.log.endOffsets
        for partition in ends.indices {
            try await reader.pause([partition])
            try await reader.start(partition: partition, at: 10)
            try await reader.resume([partition])
        }
        let expected = ends.reduce(0) { $0 + Int($1) - 10 }
        let reading = try await reader.collect { $0.records.count >= expected }
        for partition in ends.indices {
            #expect(reading.records(of: partition).map(\.offset) == Array(10..<ends[partition]))
        }
        await reader.close()
        try await subject.close()
    }

    @Test(arguments: LogUnderTest.Kind.allCases)
    func aPausedPartitionWaitsAndMissesNothing(kind: LogUnderTest.Kind) async throws {
        let subject = try await LogUnderTest(kind)
        let reader = try subject.reader()
        // The first assignment takes a Kafka group some seconds; records come afterwards.
        var source = EventSource(seed: 13)
        for event in source.next(100) { subject.log.append(event) }
        var reading = try await reader.collect { $0.records.count >= 100 }
        try await reader.pause([2])
        try await Task.sleep(for: .milliseconds(100))
        for event in source.next(1_000) { subject.log.append(event) }
        try await eventually("Nothing was written.") { subject.log.statistics.written == 1_100 }
        let others = subject.log.endOffsets.enumerated().filter { $0.offset != 2 }.reduce(0) { $0 + Int($1.element) }
        let before = reading.records.filter { $0.partition != 2 }.count
        let more = try await reader.collect { $0.records.count >= others - before }
        #expect(more.records(of: 2).isEmpty)
        reading.records += more.records
        try await reader.resume([2])
        reading.records += try await reader.collect { $0.records.count >= 1_100 - reading.records.count }.records
        #expect(reading.records(of: 2).map(\.offset) == Array(0..<subject.log.endOffsets[2]))
        #expect(reading.records.count == 1_100)
        await reader.close()
        try await subject.close()
    }

    @Test(arguments: LogUnderTest.Kind.allCases)
    func anIdleLogSaysSoAndAClosedReaderThrows(kind: LogUnderTest.Kind) async throws {
        let subject = try await LogUnderTest(kind)
        let reader = try subject.reader()
        let reading = try await reader.collect(limit: .milliseconds(600)) { _ in false }
        #expect(reading.records.isEmpty)
        await reader.close()
        await #expect(throws: TrimtabError.self) {
            for _ in 0..<10 { _ = try await reader.next(timeout: .milliseconds(10)) }
        }
        try await subject.close()
    }

    @Test(arguments: LogUnderTest.Kind.allCases)
    func aReplayFromATimeMissesNoRecordOfThatTimeOrLater(kind: LogUnderTest.Kind) async throws {
        let subject = try await LogUnderTest(kind)
        var source = EventSource(seed: 15)
        var events: [LogEvent] = []
        for _ in 0..<5 {
            let more = source.next(200)
            for event in more { subject.log.append(event) }
            events += more
            try await eventually("Nothing was written.") { subject.log.statistics.written == Int64(events.count) }
        }
        try await subject.shipped()
        let reader = try subject.reader()
        let time = events[700].at
        if subject.knowsTimes {
            var offsets: [Int: Int64] = [:]
            for partition in 0..<LogUnderTest.partitions {
                let own = events.filter { $0.bucketID.partition(of: LogUnderTest.partitions) == partition }
                let first = Int64(try #require(own.firstIndex { $0.at >= time }))
                let offset = try #require(try await reader.offset(partition: partition, atOrAfter: time))
                #expect(offset <= first)
                #expect(try await reader.offset(partition: partition, atOrAfter: 0) == 0)
                offsets[partition] = offset
                guard kind == .embedded else { continue }
                #expect(offset > 0, "The first groups of records are passed over.")
                #expect(try await reader.offset(partition: partition, atOrAfter: events[999].at + 1) == nil)
            }
            let wanted = Set(events.filter { $0.at >= time }.map(\.id))
            let reading = try await reader.collect(from: offsets) { wanted.isSubset(of: Set($0.records.map(\.id))) }
            #expect(wanted.isSubset(of: Set(reading.records.map(\.id))))
        } else {
            await #expect { try await reader.offset(partition: 0, atOrAfter: time) } throws: {
                ($0 as? TrimtabError)?.code == "event_log.kafka.times"
            }
        }
        await reader.close()
        try await subject.close()
    }

    @Test(arguments: LogUnderTest.Kind.allCases)
    func aParserMayReadPastTheLastRecord(kind: LogUnderTest.Kind) async throws {
        let subject = try await LogUnderTest(kind)
        var source = EventSource(seed: 14)
        subject.log.append(source.next())
        let reader = try subject.reader()
        var batch: EventBatch?
        try await eventually("No batch came.") {
            switch try await reader.next(timeout: .milliseconds(100)) {
            case .assigned(let partitions):
                for partition in partitions {
                    try await reader.start(partition: partition, at: EventLogOffset.beginning)
                }
            case .batch(let found): batch = found
            default: break
            }
            return batch != nil
        }
        let last = try #require(batch?.entries.last)
        #expect((batch?.bytes.count ?? 0) >= last.range.upperBound + EventBatch.padding)
        await reader.close()
        try await subject.close()
    }
}

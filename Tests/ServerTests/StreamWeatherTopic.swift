import Core
import EventLog
import Foundation
import Telemetry
import TestSupport
import Testing

/// A topic on three mock brokers or the cluster given, fed through a gateway's log and shipper.
final class StreamWeatherTopic {
    private let kafka: TestKafka
    private let topic: String
    private let stage: StreamWeatherStage
    private let partitions: Int
    private let log: LocalLog
    private let shipper: Shipper
    private let shipping: Task<Void, any Error>
    private var sent: UInt64 = 0
    private var bytes: [Int]

    /// What injects faults; `nil` for a cluster given from outside.
    var mock: MockKafka? { kafka.mock }

    init(_ stage: StreamWeatherStage, partitions: Int) async throws {
        self.stage = stage
        self.partitions = partitions
        bytes = Array(repeating: 0, count: partitions)
        let kafka = try TestKafka(brokers: 3)
        let topic = try await kafka.topic(partitions: partitions)
        (self.kafka, self.topic) = (kafka, topic)
        var settings = LocalLogSettings(
            path: "\(stage.folder)/events.sqlite", gatewayID: "weather", partitions: partitions)
        settings.queueLimit = Int(stage.records.total)
        log = try LocalLog(settings: settings)
        // With more requests on their way the mock loses records it has acknowledged: it checks no sequence, so it
        // takes one after it has failed the one before, and the client believes that it has both.
        let oneAtATime: [String: String] = kafka.mock == nil ? [:] : ["max.in.flight.requests.per.connection": "1"]
        var target = KafkaLogSettings(properties: kafka.groupProperties.merging(oneAtATime) { $1 })
        target.topic = topic
        target.partitions = partitions
        let shipper = try Shipper(log: log, settings: target)
        self.shipper = shipper
        shipping = Task { try await shipper.run() }
    }

    /// Each run is a consumer group. The mock's coordinator stays: it ends the process on some ways of joining again.
    func settings(_ run: String) async throws -> String {
        let group = "\(topic).\(run)"
        mock?.coordinate(group: group, on: 1)
        let properties = kafka.groupProperties.map { "\"\($0)\": \"\($1)\"" }.joined(separator: ", ")
        let settings = "{group: \(group), properties: {\(properties)}}"
        return try await stage.settings(
            run, eventLog: "{kind: kafka, topic: \(topic), partitions: \(partitions), kafka: \(settings)}")
    }

    func worker(_ number: Int, _ file: String) throws -> ServiceProcess {
        let folder = "\(stage.folder)/\(number)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        return try ServiceProcess(
            ["serve", "--roles", "stream", "--config", file, "--set", "gateway.id=worker-\(number)"], folder: folder,
            port: 18_580 + number)
    }

    func send(upTo last: UInt64) {
        while sent < last {
            sent += 1
            let event = stage.records.event(sent)
            var json: [UInt8] = []
            EventEncoder.encode(event, into: &json)
            bytes[event.bucketID.partition(of: partitions)] += json.count
            log.append(event)
        }
    }

    func moveLeaders() {
        for partition in 0..<20 as Range<Int32> {
            mock?.moveLeader(of: partition, in: topic, to: 1 + partition % 3)
        }
    }

    /// Waits until the brokers have every record, and keep it: a mock drops what exceeds 5 MiB a partition.
    func isDelivered() async throws -> Bool {
        let limit = mock == nil ? Int.max : 4 << 20
        #expect(bytes.allSatisfy { $0 > 0 && $0 < limit })
        return try await eventually(within: 60) { self.shipper.status.acknowledged == Int64(self.stage.records.total) }
    }

    func close() async throws {
        shipping.cancel()
        try? await shipping.value
        await log.close()
        kafka.close()
    }
}

import KafkaClient
import TestSupport
import Testing

struct ReadNumber: Equatable, Sendable {
    var number: Int
    var offset: Int64
    var header: String?

    static func all(of batch: KafkaBatch) -> [ReadNumber] {
        batch.records.map { record in
            let text = String(decoding: batch.bytes[record.range], as: UTF8.self)
            let number = Int(text.prefix { $0 != " " }) ?? -1
            return ReadNumber(number: number, offset: record.offset, header: record.header)
        }
    }
}

extension TestKafka {
    func settings(
        topic: String, assignor: KafkaConsumerSettings.Assignor = .cooperativeSticky
    ) -> KafkaConsumerSettings {
        var settings = KafkaConsumerSettings(topic: topic, group: topic, properties: groupProperties)
        settings.assignor = assignor
        return settings
    }
}

extension MockKafka {
    func settings(assignor: KafkaConsumerSettings.Assignor = .cooperativeSticky) -> KafkaConsumerSettings {
        var settings = KafkaConsumerSettings(topic: "events", group: "test", properties: groupProperties)
        settings.assignor = assignor
        return settings
    }
}

extension KafkaProducer {
    /// Sends the number as text, followed by `padding` spaces.
    func send(_ number: Int, partition: Int, padding: Int = 0) -> Outcome {
        let value = Array(String(number).utf8) + Array(repeating: 32, count: padding)
        return produce(
            partition: partition, key: "0ff", header: ("kind", "request"), value: value[...], id: UInt64(number))
    }

    func deliveries(_ count: Int, limit: Duration = .seconds(30)) async throws -> [KafkaDelivery] {
        var all: [KafkaDelivery] = []
        let deadline = ContinuousClock.now + limit
        while all.count < count, .now < deadline {
            all += takeDeliveries()
            try await Task.sleep(for: .milliseconds(5))
        }
        return all
    }
}

extension KafkaConsumer {
    /// Reads every partition from its beginning until `count` records are here.
    func collect(_ count: Int, limit: Duration = .seconds(30)) async throws -> [Int: [ReadNumber]] {
        var records: [Int: [ReadNumber]] = [:]
        var total = 0
        let deadline = ContinuousClock.now + limit
        while total < count, .now < deadline {
            switch try await next(timeout: .milliseconds(200)) {
            case .assigned(let partitions): for partition in partitions { start(partition: partition, at: -2) }
            case .revoked(let partitions): release(partitions)
            case .batch(let batch):
                records[batch.partition, default: []] += ReadNumber.all(of: batch)
                total += batch.records.count
            case .lost, .overtaken, nil: break
            }
        }
        return records
    }
}

package import Core
import KafkaClient
package import struct Logging.Logger
import Synchronization
import Telemetry

/// Reads the topic as a member of a consumer group, so that stream workers share its partitions.
package final class KafkaLogReader: EventLogReader {
    package var topic: String { settings.topic }
    private let settings: KafkaLogSettings
    private let consumer: KafkaConsumer
    private let check = Mutex<Task<Void, Never>?>(nil)
    /// Why the topic can never be read.
    private let topicFault = Mutex<TrimtabError?>(nil)

    private static let checkPause = Duration.seconds(5)

    /// Joins the group; a cluster that is away is waited for.
    ///
    /// - Throws: `TrimtabError` for a setting that cannot be used.
    package init(
        settings: KafkaLogSettings, logger: Logger = Logger(label: "trimtab.event_log")
    ) throws(TrimtabError) {
        try settings.validate()
        self.settings = settings
        var client = KafkaConsumerSettings(
            topic: settings.topic, group: settings.group, properties: settings.properties)
        client.headerFromValue = { unsafe LogEvent.Kind(written: $0)?.rawValue }
        client.padding = EventBatch.padding
        client.assignor = settings.assignor == .range ? .range : .cooperativeSticky
        do {
            consumer = try KafkaConsumer(settings: client) { error in
                logger.warning("Kafka consumer reports an error", metadata: ["error": "\(error)"])
            }
        } catch {
            throw settings.described(error)
        }
        // Beside the reading, which waits for the cluster too: a question may take seconds.
        check.withLock { $0 = Task { [self] in await checkTopic(logger: logger) } }
    }

    /// Makes the topic if there is none, and checks the count.
    package func partitionCount() async throws -> Int {
        do {
            try await settings.ensureTopic()
        } catch {
            throw settings.described(error)
        }
        return settings.partitions
    }

    package func next(timeout: Duration) async throws -> EventLogSignal {
        if let fault = topicFault.withLock({ $0 }) { throw fault }
        let event: KafkaConsumerEvent?
        do {
            event = try await consumer.next(timeout: timeout)
        } catch {
            throw settings.described(error)
        }
        return switch event {
        case nil: .idle
        case .assigned(let partitions): .assigned(partitions)
        case .revoked(let partitions): .revoked(partitions)
        case .lost(let partitions): .lost(partitions)
        case .overtaken(let partition, let from, let to): .gap(partition: partition, from: from, to: to)
        case .batch(let batch): .batch(EventBatch(batch))
        }
    }

    /// That the log ends before `offset` is found out by reading: then `next` throws.
    package func start(partition: Int, at offset: Int64) { consumer.start(partition: partition, at: offset) }

    package func release(_ partitions: [Int]) { consumer.release(partitions) }

    package func pause(_ partitions: [Int]) { consumer.pause(partitions) }

    package func resume(_ partitions: [Int]) { consumer.resume(partitions) }

    package func endOffsets() -> [Int: Int64] { consumer.endOffsets() }

    /// By the time at which the cluster got the records, which is never before their own.
    package func offset(partition: Int, atOrAfter time: Int64) async throws -> Int64? {
        do {
            return try await KafkaAdmin.offset(
                in: settings.topic, partition: partition, atOrAfter: time, properties: settings.properties)
        } catch {
            throw settings.described(error)
        }
    }

    package func close() async {
        check.withLock { $0?.cancel() }
        await consumer.close()
    }

    /// Looks at the topic until it is there as configured or is seen to be another.
    private func checkTopic(logger: Logger) async {
        while !Task.isCancelled {
            do {
                return try await settings.ensureTopic()
            } catch is CancellationError {
                return
            } catch {
                let described = settings.described(error)
                guard KafkaLogSettings.isTransient(error) else { return topicFault.withLock { $0 = described } }
                logger.error("Kafka topic cannot be checked; trying again", metadata: ["error": "\(described)"])
            }
            try? await Task.sleep(for: Self.checkPause)
        }
    }
}

extension EventBatch {
    /// Of a batch that is padded.
    fileprivate init(_ batch: KafkaBatch) {
        self.init(partition: batch.partition, bytes: batch.bytes)
        // Neighbours tend to be of one kind.
        var (header, kind): (String?, LogEvent.Kind?)
        entries = batch.records.map { record in
            if record.header != header { (header, kind) = (record.header, record.header.flatMap(LogEvent.Kind.init)) }
            return Entry(offset: record.offset, kind: kind, range: record.range)
        }
    }
}

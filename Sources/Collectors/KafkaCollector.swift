import Core
import KafkaClient
package import Logging
import ServiceLifecycle
import Telemetry

/// A payload of the topic that is no export.
package struct UnreadablePayload: Sendable, Equatable {
    package let topic: String
    package let partition: Int
    package let offset: Int64
    /// When it was found, milliseconds since the epoch.
    package let at: Int64
    package let detail: String
    /// Its first bytes.
    package let raw: [UInt8]
}

/// Reads exports from a Kafka topic. The group's offset moves on only when the local log's file has the records, so what
/// is read twice is dropped by its span ids, and nothing is passed over.
package struct KafkaCollector: Service {
    /// Keeps dead letters.
    package typealias DeadLetters = @Sendable ([UnreadablePayload]) async throws -> Void

    private static let mostRawBytes = 65_536
    /// Dead letters that wait for their store; past it the oldest go, counted.
    private static let mostWaiting = 1_000
    private static let longestPause = Duration.seconds(30)

    let ingest: SpanIngest
    let settings: CollectorSettings.Kafka
    let logger: Logger
    let now: @Sendable () -> Int64
    let keep: DeadLetters

    /// - Parameters:
    ///   - now: The wall clock, milliseconds since the epoch.
    ///   - keep: What it throws leaves the letters waiting for the next turn.
    package init(
        ingest: SpanIngest, settings: CollectorSettings.Kafka, logger: Logger, now: @escaping @Sendable () -> Int64,
        keep: @escaping DeadLetters
    ) {
        self.ingest = ingest
        self.settings = settings
        self.logger = logger
        self.now = now
        self.keep = keep
    }

    /// Runs until graceful shutdown. A cluster that is away is waited for.
    ///
    /// - Throws: `TrimtabError` for a client property that cannot be used.
    package func run() async throws {
        try await cancelWhenGracefulShutdown {
            var pause = Duration.seconds(1)
            while !Task.isCancelled {
                let consumer = try makeConsumer()
                do {
                    try await read(consumer) { pause = .seconds(1) }
                } catch  where !Task.isCancelled {
                    logger.error("The collector's consumer failed", metadata: ["error": "\(error)"])
                } catch {}
                await consumer.close()
                try? await Task.sleep(for: pause)
                pause = min(pause * 2, Self.longestPause)
            }
        }
    }

    private func makeConsumer() throws -> KafkaConsumer {
        var client = KafkaConsumerSettings(
            topic: settings.topic, group: settings.group, properties: settings.properties)
        client.header = "content-type"
        do {
            return try KafkaConsumer(settings: client) { [logger] error in
                logger.warning("The collector's consumer reports an error", metadata: ["error": "\(error)"])
            }
        } catch {
            throw TrimtabError(
                "collector.kafka.property", "collector.kafka.properties cannot be used: \(error).",
                remedy: "Correct or remove it; librdkafka's CONFIGURATION.md lists all properties.")
        }
    }

    private func read(_ consumer: KafkaConsumer, onProgress: () -> Void) async throws {
        var waiting: [UnreadablePayload] = []
        var next: [Int: Int64] = [:]
        while !Task.isCancelled {
            switch try await consumer.next(timeout: .milliseconds(500)) {
            case .assigned(let partitions):
                for partition in partitions { consumer.start(partition: partition, at: KafkaConsumer.committed) }
            case .revoked(let partitions):
                // Every batch is committed before the next event is taken.
                for partition in partitions { next[partition] = nil }
                consumer.release(partitions)
            case .lost(let partitions): for partition in partitions { next[partition] = nil }
            case .overtaken(let partition, let from, let to):
                logger.error(
                    "Exports were dropped from the topic before they were read",
                    metadata: ["partition": "\(partition)", "from": "\(from)", "to": "\(to)"])
            case .batch(let batch):
                // Before the commit, so that a kill behind it takes none that the store would have taken.
                waiting = await store(waiting + (try await take(batch)))
                try await patiently { () async throws(SpanIngest.Refusal) in try await ingest.settle() }
                if let last = batch.records.last {
                    next[batch.partition] = last.offset + 1
                    consumer.commit([batch.partition: last.offset + 1])
                }
                onProgress()
            case nil: waiting = await store(waiting)
            }
            ingest.note(lag: Self.lag(consumer.endOffsets(), next))
        }
    }

    private static func lag(_ ends: [Int: Int64], _ next: [Int: Int64]) -> [Int: Int64] {
        next.reduce(into: [:]) { lag, entry in
            if let end = ends[entry.key] { lag[entry.key] = max(0, end - entry.value) }
        }
    }

    /// - Returns: what could not be read.
    private func take(_ batch: KafkaBatch) async throws -> [UnreadablePayload] {
        var unreadable: [UnreadablePayload] = []
        for record in batch.records where !record.range.isEmpty {
            let payload = Array(batch.bytes[record.range])
            let spans: [OTLPSpan]
            do {
                spans = try TraceExport.read(payload, as: Self.encoding(record.header, payload))
            } catch {
                ingest.count(.malformed, of: .kafka)
                unreadable.append(
                    UnreadablePayload(
                        topic: settings.topic, partition: batch.partition, offset: record.offset, at: now(),
                        detail: "\(error)", raw: Array(payload.prefix(Self.mostRawBytes))))
                continue
            }
            let receipt = try await patiently { () async throws(SpanIngest.Refusal) in
                try ingest.admit()
                return try await ingest.take(spans, from: .kafka, key: nil)
            }
            ingest.count(.stored, of: .kafka)
            if receipt.rejected > 0 {
                logger.warning(
                    "Spans of the topic cannot be records",
                    metadata: [
                        "partition": "\(batch.partition)", "offset": "\(record.offset)",
                        "reasons": "\(ExportAnswer(receipt).message)",
                    ])
            }
        }
        return unreadable
    }

    /// Tries again until the log takes it: the topic keeps what has not been read.
    private func patiently<Value>(
        _ attempt: () async throws(SpanIngest.Refusal) -> Value
    ) async throws -> Value {
        while true {
            do {
                return try await attempt()
            } catch .rateLimited(let wait), .unavailable(let wait) {
                try await Task.sleep(for: max(wait, .milliseconds(10)))
            }
        }
    }

    /// A protobuf export begins with the tag of its first field, never with a brace.
    static func encoding(_ header: String?, _ payload: [UInt8]) -> TraceExport.Encoding {
        switch header {
        case let type? where type.contains("json"): .json
        case let type? where type.contains("protobuf"): .protobuf
        default: payload.first == UInt8(ascii: "{") ? .json : .protobuf
        }
    }

    /// - Returns: what has to wait.
    private func store(_ letters: [UnreadablePayload]) async -> [UnreadablePayload] {
        guard !letters.isEmpty else { return [] }
        do {
            try await keep(letters)
            return []
        } catch {
            let excess = max(0, letters.count - Self.mostWaiting)
            if excess > 0 { ingest.noteLostDeadLetters(excess) }
            return Array(letters.dropFirst(excess))
        }
    }
}

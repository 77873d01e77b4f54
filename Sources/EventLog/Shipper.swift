package import Core
import GRDB
import KafkaClient
package import struct Logging.Logger
import Synchronization
import Telemetry

/// How far the shipper is.
package struct ShipperStatus: Sendable, Equatable {
    /// Records written to the local log and not acknowledged by the cluster.
    package var lagRecords: Int64 = 0
    package var acknowledged: Int64 = 0
    /// Times it went back to the first record not acknowledged.
    package var rewinds: Int64 = 0
    /// Records larger than the client may send; passed over, for they would hold up all after them.
    package var oversized: Int64 = 0
    /// What the cluster or the client complained of last; `nil` after an acknowledgement.
    package var lastError: String?
    /// Offsets before which everything is acknowledged, was passed over, or had to make room; by partition.
    package var settled: [Int64] = []
}

/// Sends the local log to Kafka, partition by partition strictly in order, and trims it as the cluster acknowledges.
///
/// A record keeps the number that it has in the local log however often it is sent, so readers can drop what they have
/// seen. On any failure it goes back to the first record not acknowledged with a new producer, after a pause.
package final class Shipper: Sendable {
    private let log: LocalLog
    private let settings: KafkaLogSettings
    private let logger: Logger
    private let database: DatabaseQueue
    private let state = Mutex(ShipperStatus())

    private static let idlePause = Duration.milliseconds(5)
    /// After each failure in a row the pause doubles, from the first to the second.
    private static let backoff = (first: Duration.milliseconds(100), longest: Duration.seconds(10))
    /// How long a stopping shipper waits for what is in flight; the rest goes out at the next start.
    private static let drainMs: Int32 = 500
    /// What has waited less is on its way, milliseconds.
    private static let patienceMs: Int64 = 5_000

    /// - Throws: `TrimtabError` for settings that cannot be used, or a local log with another partition count.
    package init(
        log: LocalLog, settings: KafkaLogSettings, logger: Logger = Logger(label: "trimtab.shipper")
    ) throws(TrimtabError) {
        try settings.validate()
        guard log.settings.partitions == settings.partitions else {
            throw TrimtabError(
                "event_log.kafka.partitions",
                "The local log has \(log.settings.partitions) partitions, and event_log.kafka.partitions is "
                    + "\(settings.partitions).",
                remedy: "Make them equal; a log with another count needs a new gateway.local_log.path.")
        }
        do {
            database = try LocalLogStore.reading(path: log.settings.path)
        } catch {
            throw LocalLogFault.described(error, path: log.settings.path)
        }
        self.log = log
        self.settings = settings
        self.logger = logger
        state.withLock { $0.settled = Array(repeating: 0, count: settings.partitions) }
    }

    package var status: ShipperStatus { state.withLock { $0 } }

    /// When the oldest record that is not in Kafka was written, milliseconds since the epoch; `nil` if there is none that
    /// has waited for more than five seconds. Records of an earlier run count too.
    package func unshippedSince(now: Int64) async -> Int64? {
        let waiting = zip(status.settled, log.endOffsets).enumerated().filter { $0.element.0 < $0.element.1 }
        guard !waiting.isEmpty else { return nil }
        // A file that cannot be read is what shipping itself fails on, and says so.
        let written = try? await database.read { database in
            try waiting.compactMap { partition, offsets in
                try LocalLogStore.written(database, partition: partition, from: offsets.0)
            }
        }
        return written?.min().flatMap { now - $0 > Self.patienceMs ? $0 : nil }
    }

    /// Ships until the task is cancelled.
    ///
    /// - Throws: `TrimtabError` for what only a person can mend: a property, the topic's partition count, the file.
    package func run() async throws {
        var cursor = ShipperCursor(partitions: settings.partitions)
        var pause = Self.backoff.first
        while !Task.isCancelled {
            let before = status.acknowledged
            do {
                try await ship(&cursor)
            } catch is CancellationError {
                return
            } catch  where KafkaLogSettings.isTransient(error) {
                cursor.rewind()
                note(error)
                if status.acknowledged > before { pause = Self.backoff.first }
                do { try await Task.sleep(for: pause) } catch { return }
                pause = min(pause * 2, Self.backoff.longest)
            } catch {
                throw settings.described(error)
            }
        }
    }

    /// Ships with one producer until it fails or the task is cancelled.
    private func ship(_ cursor: inout ShipperCursor) async throws {
        try await settings.ensureTopic()
        let producer = try KafkaProducer(
            topic: settings.topic, properties: settings.properties, maxInFlight: settings.maxInFlight
        ) { [self] error in
            logger.warning("Kafka producer reports an error", metadata: ["error": "\(error)"])
            state.withLock { $0.lastError = "\(error)" }
        }
        do {
            while !Task.isCancelled {
                let acknowledged = try settle(&cursor, producer.takeDeliveries())
                let sent = try await send(&cursor, producer)
                if !acknowledged, !sent { try? await Task.sleep(for: Self.idlePause) }
            }
        } catch {
            await producer.close()
            throw error
        }
        await producer.close(flushMs: Self.drainMs)
        _ = try? settle(&cursor, producer.takeDeliveries())
    }

    /// Takes over what the cluster acknowledged.
    private func settle(_ cursor: inout ShipperCursor, _ deliveries: [KafkaDelivery]) throws -> Bool {
        var failure: KafkaError?
        var acknowledged: Int64 = 0
        for delivery in deliveries where failure == nil {
            failure = delivery.error
            if failure == nil {
                cursor.acknowledge(delivery.id)
                acknowledged += 1
            }
        }
        let ends = log.endOffsets
        state.withLock { state in
            state.acknowledged += acknowledged
            state.lagRecords = cursor.lag(ends)
            state.settled = cursor.settled
            if acknowledged > 0 { state.lastError = nil }
        }
        if acknowledged > 0 { log.trim(before: cursor.takeTrims()) }
        if let failure { throw failure }
        return acknowledged > 0
    }

    /// Fills the window with what is next in each partition.
    private func send(_ cursor: inout ShipperCursor, _ producer: KafkaProducer) async throws -> Bool {
        var sent = false
        let ends = log.endOffsets
        for partition in 0..<settings.partitions {
            let from = cursor.next[partition]
            guard cursor.inFlight < settings.maxInFlight, from < ends[partition] else { continue }
            let batch = try await database.read { try LocalLogStore.read($0, partition: partition, from: from) }
            // Nothing left of what was written: it had to make room before it could be sent.
            if batch.entries.isEmpty { cursor.skip(partition, to: ends[partition]) }
            for entry in batch.entries {
                guard cursor.inFlight < settings.maxInFlight else { break }
                switch produce(entry, batch, producer) {
                case .queued: cursor.sent(partition, entry.offset)
                case .full: return sent
                case .failed(let error): try passOver(error, entry, partition, &cursor)
                }
                sent = true
            }
        }
        return sent
    }

    private func produce(_ entry: EventBatch.Entry, _ batch: EventBatch, _ producer: KafkaProducer)
        -> KafkaProducer.Outcome
    {
        let bucket = LocalLogFrame.bucket(of: entry, in: batch)
        let digits = String(bucket, radix: 16)
        return producer.produce(
            partition: batch.partition, key: String(repeating: "0", count: 3 - digits.utf8.count) + digits,
            header: ("kind", entry.kind?.rawValue ?? ""), value: batch.bytes[entry.range],
            id: ShipperCursor.id(batch.partition, entry.offset))
    }

    private func passOver(
        _ error: KafkaError, _ entry: EventBatch.Entry, _ partition: Int, _ cursor: inout ShipperCursor
    ) throws {
        guard error.isOversized else { throw error }
        cursor.skip(partition, to: entry.offset + 1)
        state.withLock { $0.oversized += 1 }
        logger.error(
            "Record is too large for the Kafka client and was passed over",
            metadata: ["bytes": "\(entry.range.count)", "key": "event_log.kafka.properties.message.max.bytes"])
    }

    private func note(_ error: any Error) {
        let error = settings.described(error)
        state.withLock { state in
            state.rewinds += 1
            state.lastError = "\(error)"
        }
        logger.warning("Shipping to Kafka failed; trying again", metadata: ["error": "\(error)"])
    }
}

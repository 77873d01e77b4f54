import Core
import EventLog
import Foundation
import Telemetry
import Testing

/// A folder of a test's own, gone with it.
final class TemporaryFolder: Sendable {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "trimtab-log-\(UInt64.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func settings(_ name: String = "log.db", partitions: Int = 4) -> LocalLogSettings {
        LocalLogSettings(path: path + "/" + name, gatewayID: "gw-test", partitions: partitions)
    }
}

/// Seeded events whose request ids count up, every tenth a feedback.
struct EventSource {
    private var random: SplitMix64
    private var number: Int64 = 0

    init(seed: UInt64) { random = SplitMix64(seed: seed) }

    mutating func next(tag: String = "") -> LogEvent {
        number += 1
        let at = 1_763_650_000_000 + number
        let id = UUIDv7(milliseconds: at, using: &random)
        guard number % 10 == 0 else {
            var record = RequestRecord(
                id: id, at: at, startedAt: at - 100, route: "support-chat", outcome: .complete, status: 200,
                totalMs: 100)
            record.clientRequestID = tag.isEmpty ? nil : tag
            return .request(record)
        }
        let request = UUIDv7(milliseconds: at, using: &random)
        return .feedback(Feedback(id: id, request: request, at: at, name: "quality", value: 0.5, source: .user))
    }

    mutating func next(_ count: Int, tag: String = "") -> [LogEvent] { (0..<count).map { _ in next(tag: tag) } }
}

extension LogEvent {
    var id: String {
        switch self {
        case .request(let record): "\(record.id)"
        case .feedback(let feedback): "\(feedback.id)"
        }
    }
}

/// One record as a reader sees it.
struct ReadRecord: Equatable {
    var partition: Int
    var offset: Int64
    var kind: LogEvent.Kind?
    var id: String
    var producer: String
    var seq: Int64

    static func all(of batch: EventBatch) throws -> [ReadRecord] {
        try batch.entries.map { entry in
            let json = try JSONSerialization.jsonObject(with: Data(batch.bytes[entry.range])) as? [String: Any]
            return ReadRecord(
                partition: batch.partition, offset: entry.offset, kind: entry.kind,
                id: try #require(json?["id"] as? String), producer: try #require(json?["producer"] as? String),
                seq: Int64(try #require(json?["seq"] as? Int)))
        }
    }
}

/// What a test saw of a log until it stopped looking.
struct Reading {
    var records: [ReadRecord] = []
    var gaps: [String] = []

    func records(of partition: Int) -> [ReadRecord] { records.filter { $0.partition == partition } }
}

extension EventLogReader {
    /// Starts every partition where `offsets` says, else at the beginning, and reads until `done` or `limit` has passed.
    func collect(
        from offsets: [Int: Int64] = [:], limit: Duration = .seconds(30), until done: (Reading) -> Bool
    ) async throws -> Reading {
        var reading = Reading()
        let deadline = ContinuousClock.now + limit
        while !done(reading), .now < deadline {
            switch try await next(timeout: .milliseconds(200)) {
            case .assigned(let partitions):
                for partition in partitions {
                    try await start(partition: partition, at: offsets[partition] ?? EventLogOffset.beginning)
                }
            case .revoked(let partitions): try await release(partitions)
            case .batch(let batch): reading.records += try ReadRecord.all(of: batch)
            case .gap(let partition, let from, let to): reading.gaps.append("\(partition): \(from)..<\(to)")
            case .lost, .idle: break
            }
        }
        return reading
    }
}

/// Polls until `condition` holds.
func eventually(
    within limit: Duration = .seconds(20), _ comment: Comment, location: SourceLocation = #_sourceLocation,
    _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + limit
    while try await !condition() {
        guard .now < deadline else {
            Issue.record(comment, sourceLocation: location)
            return
        }
        try await Task.sleep(for: .milliseconds(10))
    }
}

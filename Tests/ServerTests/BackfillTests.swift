import ControlLoop
import Core
import EventLog
import Foundation
import PostgresClient
import Server
import StateStore
import StreamProcessing
import Telemetry
import TestSupport
import Testing

/// A past range that is counted again gives what live traffic gave, and changes nothing of it.
@Suite(.enabled(if: TestPostgres.missing == nil), .timeLimit(.minutes(3))) struct BackfillTests {
    @Sendable private static func now() -> Int64 { Int64(Date().timeIntervalSince1970 * 1_000) }

    /// A stream that has counted a log of its own: some five minutes of an hour ago.
    private struct Stage {
        let settings: Settings
        let pool: PostgresPool
        let log: LocalLog
        let start: Int64
        let folder: String

        init(_ yaml: String = "") async throws {
            let url = try await TestPostgres.database()
            folder = NSTemporaryDirectory() + "trimtab-backfill-\(UInt64.random(in: 0 ... .max))"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            settings = try Settings(
                SettingsSource(
                    yaml: """
                        data_dir: "\(folder)"
                        state: {postgres: {url: "\(url)"}}
                        \(yaml)
                        stream:
                          window_s: 10
                          analyzer_windows: false
                          bound_s: 1
                          lateness_s: 5
                          idle_s: 0.1
                          checkpoint_s: 0.05
                          windows:
                            sliding: {kind: sliding, key: [route, key], size_s: 20, hop_s: 5, aggregates: [total_ms, quantiles(total_ms), distinct(user), feedback]}
                            visits: {kind: session, key: [session], gap_s: 4}
                            pieces: {key: [variant], size_s: 30, discarding: true, early_count: 7}
                        """))
            pool = PostgresPool(PostgresConfiguration(url: url))
            _ = try await Migrator(pool).migrate()
            log = try LocalLog(settings: settings.localLog)
            start = (BackfillTests.now() - 3_600_000) / 60_000 * 60_000
        }

        func close() async {
            await log.close()
            await pool.close()
            try? FileManager.default.removeItem(atPath: folder)
        }

        var end: Int64 { start + 300_000 }

        /// Out of order, some late, some malformed in meaning, with rollout evidence and feedback.
        func events(_ count: UInt64) -> [LogEvent] {
            var random = SplitMix64(seed: 11)
            var events: [LogEvent] = []
            for number in 0..<count {
                var at = start + Int64(number) * 300_000 / Int64(count) - Int64(random.next() % 900)
                if number % 97 == 96 { at -= 30_000 }
                let ended = at
                let variety = random.next()
                events.append(
                    Make.request(number, at: 0) {
                        $0.id = UUIDv7(milliseconds: ended, using: &random)
                        ($0.at, $0.startedAt) = (ended, ended - 100)
                        $0.route = "r\(variety % 3)"
                        $0.session = "s\(variety % 20)"
                        $0.user = "u\(variety % 50)"
                        $0.variant = variety % 2 == 0 ? "a" : "b"
                        $0.totalMs = Double(variety % 10_000) / 7
                        guard variety % 5 == 0 else { return }
                        ($0.rollout, $0.step, $0.arm, $0.candidateWeight) = (Make.id(77), 1, .candidate, 0.1)
                    })
                guard number % 10 == 9, case .request(let judged) = events[Int(random.next() % UInt64(events.count))]
                else { continue }
                events.append(
                    .feedback(
                        Feedback(
                            id: Make.id(9_000_000 + number), request: judged.id, at: ended, name: "quality", value: 0.5,
                            source: .user)))
            }
            return events
        }

        /// Counts the log as the service does, until nothing is left to count.
        func live(_ reader: any EventLogReader) async throws {
            var work = StreamWorker.Settings()
            work.checkpointMs = settings.stream.checkpointMs
            let worker = StreamWorker(
                reader: reader,
                store: CheckpointStore(
                    pool, job: settings.stream.job, topic: settings.eventLog.topic, owner: "live"),
                stream: settings.stream.processing, settings: work, now: BackfillTests.now)
            let running = Task { try await worker.run() }
            let partitions = settings.eventLog.partitions
            let counted = try await eventually(within: 60) {
                let standing = worker.statistics.partitions
                return standing.count == partitions
                    && standing.values.allSatisfy { $0.lag == 0 && $0.openWindows == 0 && $0.watermark ?? 0 > end }
            }
            #expect(counted)
            worker.stop()
            try await running.value
        }

        func fill(_ count: UInt64) async throws {
            for event in events(count) { log.append(event) }
            #expect(await log.waitUntilWritten())
            try await live(LocalLogReader(log: log, topic: settings.eventLog.topic))
        }

        var run: BackfillRun { BackfillRun(settings: settings, pool: pool, now: BackfillTests.now) }

        /// Everything that is live traffic's.
        func held() async throws -> [String] {
            try await pool.withConnection { connection in
                var found: [String] = []
                for query in [
                    "requests", "feedback", "evidence_panes", "dead_letters", "window_feedback",
                    "window_results WHERE job = 'main'", "stream_partitions WHERE job = 'main'", "rollups_due",
                ] {
                    let table = query.prefix { $0 != " " }
                    let rows = try await connection.query(
                        "SELECT md5(t::text) AS row FROM \(table) t \(query.dropFirst(table.count)) ORDER BY 1"
                    ).rows
                    found += try rows.map { "\(table) \(try $0["row"] as String)" }
                }
                return found
            }
        }
    }

    private static func expectEqual(_ comparison: BackfillComparison, atLeast windows: Int64) {
        #expect(comparison[.equal] >= windows && comparison.differences.isEmpty)
        #expect(comparison.counts.keys.allSatisfy { $0 == .equal }, "\(comparison)")
    }

    @Test("A range counted again equals what live traffic gave, and nothing of it is touched")
    func equal() async throws {
        let stage = try await Stage()
        try await stage.fill(6_000)
        let before = try await stage.held()
        #expect(Set(before.map { $0.prefix { $0 != " " } }).count == 8, "Something to compare is missing.")
        let (whole, comparison) = try await stage.run.run(stage.start - 60_000..<stage.end + 60_000, name: "whole")
        #expect(whole.job == "backfill-whole" && whole.finishedAt != nil && whole.note == "")
        Self.expectEqual(comparison, atLeast: 1_000)
        // From the middle of the log, where nothing is known of what came before.
        let (_, part) = try await stage.run.run(stage.start + 101_000..<stage.start + 212_000, name: nil)
        Self.expectEqual(part, atLeast: 300)
        #expect(part[.equal] < comparison[.equal])
        #expect(try await stage.held() == before)
        let again = await #expect(throws: TrimtabError.self) {
            try await stage.run.run(stage.start..<stage.end, name: "whole")
        }
        #expect(again?.code == "usage.backfill_exists")
        await stage.close()
    }

    @Test("A live result that was changed, and one that is gone, are shown")
    func different() async throws {
        let stage = try await Stage()
        try await stage.fill(2_000)
        try await stage.pool.withConnection { connection in
            _ = try await connection.query(
                """
                UPDATE window_results SET requests = requests + 1 WHERE ctid = (SELECT ctid FROM window_results
                WHERE definition = 'requests' AND window_start > $1 ORDER BY window_start, partition LIMIT 1)
                """, [stage.start + 30_000])
            _ = try await connection.query(
                """
                DELETE FROM window_results WHERE ctid = (SELECT ctid FROM window_results
                WHERE definition = 'sliding' AND window_start > $1 ORDER BY window_start, partition LIMIT 1)
                """, [stage.start + 60_000])
        }
        let (backfill, comparison) = try await stage.run.run(stage.start..<stage.end, name: "look")
        #expect(comparison[.differing] == 1 && comparison[.onlyBackfill] == 1 && comparison[.onlyLive] == 0)
        #expect(comparison[.equal] > 100 && comparison[.notFinal] == 0)
        let changed = try #require(comparison.differences.first { $0.verdict == .differing })
        #expect(changed.id.key.window == "requests" && changed.live?.requests == (changed.backfill?.requests ?? 0) + 1)
        #expect(try await PostgresStreamRecords(stage.pool).compareBackfill(backfill.job, limit: 50) == comparison)
        await stage.close()
    }

    @Test("A backfill that is broken off goes on under its name")
    func brokenOff() async throws {
        let stage = try await Stage()
        try await stage.fill(6_000)
        let range = stage.start - 60_000..<stage.end + 60_000
        let first = Task { try await stage.run.run(range, name: "long") }
        let begun = try await eventually {
            try await PostgresStreamRecords(stage.pool).partitions().contains { $0.job == "backfill-long" }
        }
        #expect(begun)
        first.cancel()
        let ended = try? await first.value
        let comparison: BackfillComparison
        if let ended { comparison = ended.1 } else { comparison = try await stage.run.run(nil, name: "long").1 }
        Self.expectEqual(comparison, atLeast: 1_000)
        await stage.close()
    }

    @Test("Where the log begins within the range, the comparison says so")
    func cut() async throws {
        let stage = try await Stage()
        try await stage.fill(6_000)
        await stage.log.close()
        var settings = stage.settings.localLog
        settings.retentionMs = 1
        let log = try LocalLog(settings: settings)
        let half = log.endOffsets[0] / 2
        log.markDone(partition: 0, before: half)
        #expect(try await eventually { log.statistics.rotated > 0 })
        await log.close()
        let (backfill, comparison) = try await stage.run.run(stage.start - 60_000..<stage.end + 60_000, name: "cut")
        #expect(
            backfill.note == "The log of partition 0 begins within the range or just before it: older records are gone."
        )
        #expect(comparison[.onlyLive] > 0 && comparison[.equal] > 0)
        await stage.close()
    }

    @Test("Names and ranges that cannot be are refused")
    func refused() async throws {
        let stage = try await Stage()
        for (range, name) in [(nil, nil), (nil, "none"), (0..<1, "a b"), (0..<1, ""), (0..<1, "ä")]
            as [(Range<Int64>?, String?)]
        {
            let error = await #expect(throws: TrimtabError.self) { try await stage.run.run(range, name: name) }
            #expect(error?.code == "usage.backfill", "\(name ?? "")")
        }
        await stage.close()
    }

    @Test("A range is read from Kafka in a group of its own")
    func kafka() async throws {
        let kafka = try TestKafka()
        defer { kafka.close() }
        let topic = try await kafka.topic(partitions: 4)
        let properties = kafka.groupProperties.map { "\"\($0.key)\": \"\($0.value)\"" }.joined(separator: ", ")
        let stage = try await Stage(
            "event_log: {kind: kafka, topic: \"\(topic)\", partitions: 4, kafka: {properties: {\(properties)}}}")
        for event in stage.events(2_000) { stage.log.append(event) }
        #expect(await stage.log.waitUntilWritten())
        let shipper = try Shipper(log: stage.log, settings: stage.settings.eventLog.kafka)
        let shipping = Task { try await shipper.run() }
        try await stage.live(try KafkaLogReader(settings: stage.settings.eventLog.kafka))
        shipping.cancel()
        _ = try? await shipping.value
        let (_, comparison) = try await stage.run.run(stage.start - 60_000..<stage.end + 60_000, name: "topic")
        Self.expectEqual(comparison, atLeast: 300)
        await stage.close()
    }
}

import Core
import EventLog
import Foundation
import PostgresClient
import StreamProcessing
import Telemetry
import TestSupport
import Testing

/// Requests of a past half hour, numbered, a little out of order, and what must come of them.
struct NumberedRecords: Sendable {
    struct Place: Hashable {
        var start: Int64
        var route: String
    }

    private static let routes: UInt64 = 5
    let total: UInt64
    private let start = Int64(Date().timeIntervalSince1970) * 1_000 - 7_200_000

    init(total: UInt64) { self.total = total }

    func event(_ number: UInt64) -> LogEvent {
        Make.request(number, at: 0, producer: "test-\(number % 4)/1", seq: Int64(number)) {
            $0.at = start + Int64(number * 1_800_000 / total) - Int64(number * 7919 % 700)
            $0.startedAt = $0.at - 100
            $0.route = "route-\(number % Self.routes)"
            $0.session = "s\(number / 2_000)"
            $0.cost = NanoUSD(Int64(number % 1_000))
        }
    }

    /// Requests and cost by definition, as psql prints them: each record is in three sliding windows.
    var sums: String {
        let cost = (1...total).reduce(0) { $0 + $1 % 1_000 }
        return "requests|\(total)|\(cost)\nsessions|\(total)|\(cost)\nsliding|\(3 * total)|\(3 * cost)"
    }

    /// The requests in each window and route.
    func windows(seconds: Int64) -> [Place: Int] {
        let size = seconds * 1_000
        return (1...total).reduce(into: [:]) { windows, number in
            guard case .request(let record) = event(number) else { return }
            windows[Place(start: record.at / size * size, route: record.route), default: 0] += 1
        }
    }
}

/// Numbered records, and a PostgreSQL of their own with a database a run.
struct StreamWeatherStage {
    let records: NumberedRecords
    let folder: String
    let cluster: PostgresCluster
    private let windowS: Int64
    private let latenessS: Int

    init(total: UInt64, windowS: Int64, latenessS: Int) async throws {
        records = NumberedRecords(total: total)
        folder = try ServiceProcess.temporaryFolder()
        cluster = try await TestPostgres.startCluster(throwAway: false)
        self.windowS = windowS
        self.latenessS = latenessS
    }

    func close() async {
        await cluster.stop()
        try? FileManager.default.removeItem(atPath: folder)
    }

    /// Makes the run's database.
    ///
    /// - Returns: The configuration's path.
    func settings(_ database: String, eventLog: String) async throws -> String {
        try await cluster.createDatabase(database)
        let file = "\(folder)/\(database).yaml"
        let text = """
            secret: a secret of the tests that has 32 bytes
            gateway: {id: weather, drain_s: 1}
            event_log: \(eventLog)
            providers:
              sim: {base_url: "http://127.0.0.1:9", api_key: none, models: [small]}
            prices:
              sim/small: {input_usd_per_mtok: 1, output_usd_per_mtok: 1}
            routes:
              route-0: {targets: [sim/small], allowed: ["sim/*"]}
            stream:
              window_s: \(windowS)
              analyzer_windows: false
              bound_s: 1
              idle_s: 1
              lateness_s: \(latenessS)
              keep_requests: 0.001
              checkpoint_s: 0.2
              windows:
                sliding: {kind: sliding, key: [route], size_s: \(3 * windowS), hop_s: \(windowS), lateness_s: \(latenessS)}
                sessions: {kind: session, key: [session], gap_s: 60, lateness_s: \(latenessS)}
            state: {postgres: {url: "\(cluster.url(database: database))"}}
            observability: {log_level: error}
            """
        try text.write(toFile: file, atomically: true, encoding: .utf8)
        _ = try await Shell.run(ServiceProcess.program, ["migrate", "--config", file])
        return file
    }

    func sql(_ database: String, _ query: String) async throws -> String {
        try await Shell.sql(cluster.url(database: database), query)
    }

    /// Writes records to the local log's file, which no process may have open.
    func append(_ numbers: ClosedRange<UInt64>) async throws {
        let log = try LocalLog(settings: LocalLogSettings(path: "\(folder)/events.sqlite", gatewayID: "weather"))
        for number in numbers {
            while log.statistics.queued > 30_000 { try await Task.sleep(for: .milliseconds(1)) }
            log.append(records.event(number))
        }
        await log.close()
        #expect(log.statistics.written == Int64(numbers.count))
    }

    /// How many records are read and stored; `nil` while the database is away.
    private func stored(in database: String) async throws -> UInt64? {
        UInt64(try await sql(database, "SELECT coalesce(sum(next_offset), 0)::bigint FROM stream_partitions"))
    }

    /// Whether this share of the records is read and stored.
    func isRead(_ database: String, share: Double) async throws -> Bool {
        Double(try await stored(in: database) ?? 0) >= share * Double(records.total)
    }

    /// Expects that some of the first records wait to be read, and not only to be stored: a worker stores after 100,000
    /// at the latest.
    func expectUnread(ofFirst written: UInt64, in database: String) async throws {
        let done = try #require(try await stored(in: database))
        #expect(done + UInt64(PartitionOwnership.Settings().unstoredEvents) < written)
    }

    /// The partitions that a worker was the last to claim.
    func owned(_ database: String, by worker: Int) async throws -> Int? {
        Int(try await sql(database, "SELECT count(*) FROM stream_partitions WHERE owner = 'worker-\(worker)'"))
    }

    /// Waits for the last window, and looks at each: a record in a wrong one would leave the sums as they are.
    func expectEveryRecordOnce(in database: String) async throws {
        // Named, so that a report tells what they are.
        let (sums, standing) = try await sumsAtLast(in: database)
        #expect(sums == records.sums, "read by \(standing)")
        let rows = try await sql(
            database,
            """
            SELECT window_start, route, sum(requests)::bigint FROM window_results WHERE definition = 'requests'
            GROUP BY 1, 2
            """
        ).split(separator: "\n").map { $0.split(separator: "|").map(String.init) }
        let counted = rows.map { (NumberedRecords.Place(start: Int64($0[0]) ?? 0, route: $0[1]), Int($0[2])) }
        #expect(Dictionary(uniqueKeysWithValues: counted) == records.windows(seconds: windowS).mapValues(Optional.some))
        let deadLetters = try await sql(database, "SELECT reason, count(*) FROM dead_letters GROUP BY 1")
        #expect(deadLetters.isEmpty)
    }

    /// Waits for the right sums as long as the stream gets on: a machine may be slow.
    ///
    /// - Returns: The sums, and how far which worker is.
    private func sumsAtLast(in database: String) async throws -> (sums: String, standing: String) {
        let query = """
            SELECT definition, sum(requests)::bigint, sum(cost_sum)::bigint FROM window_results GROUP BY 1 ORDER BY 1
            """
        var (sums, standing) = ("", "")
        var changedAt = ContinuousClock.now
        while sums != records.sums, changedAt + .seconds(60) > .now {
            let former = (sums, standing)
            sums = try await sql(database, query)
            standing = try await sql(
                database, "SELECT owner, count(*), sum(next_offset) FROM stream_partitions GROUP BY 1 ORDER BY 1")
            if former != (sums, standing) { changedAt = .now }
            try await Task.sleep(for: .milliseconds(100))
        }
        return (sums, standing)
    }

    /// Compares the result rows of two runs. Left out is when a pane fired, which the clock decides where a partition is
    /// silent.
    func expectSameRows(in one: String, and other: String) async throws {
        let (rows, others) = (try await rows(of: one), try await rows(of: other))
        #expect(rows == others)
    }

    /// Number and digest of a run's result rows, sketches included, by definition.
    private func rows(of database: String) async throws -> String {
        try await sql(
            database,
            """
            SELECT definition, count(*), md5(string_agg(r::text, ',' ORDER BY r::text)) FROM (
                SELECT definition, window_start, window_end, route, model_key, arm, policy, others, partition, delta,
                    requests, failures, cost_n, cost_sum, cost_sum_of_squares, unknown_cost, input_tokens,
                    output_tokens, aggregate
                FROM window_results) r
            GROUP BY 1 ORDER BY 1
            """)
    }
}

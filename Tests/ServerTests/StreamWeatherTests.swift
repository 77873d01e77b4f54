import Core
import EventLog
import Foundation
import PostgresClient
import Telemetry
import TestSupport
import Testing

/// The stream in processes of its own, killed, stopped and cut off in every way, over numbered records.
@Suite(.serialized) struct StreamWeatherTests {
    private static let routes = 5
    private static let sum = "SELECT definition, sum(requests)::bigint, sum(cost_sum)::bigint FROM window_results"

    /// Record `number` of a past hour, `total` of which lie within half an hour, a little out of order.
    private static func event(_ number: UInt64, of total: UInt64, since start: Int64) -> LogEvent {
        Make.request(number, at: 0, producer: "test-\(number % 4)/1", seq: Int64(number)) {
            $0.at = start + Int64(number * 1_800_000 / total) - Int64(number * 7919 % 700)
            $0.startedAt = $0.at - 100
            $0.route = "route-\(number % UInt64(routes))"
            $0.session = "s\(number / 2_000)"
            $0.cost = NanoUSD(Int64(number % 1_000))
        }
    }

    /// What the sums have to be, as psql prints them: each record is in three sliding windows.
    private static func truth(_ total: UInt64) -> String {
        let cost = (1...total).reduce(0) { $0 + $1 % 1_000 }
        return "requests|\(total)|\(cost)\nsessions|\(total)|\(cost)\nsliding|\(3 * total)|\(3 * cost)"
    }

    /// - Parameter latenessS: Long where partitions fall silent between two lots of records, and so follow the clock.
    private static func settings(_ cluster: PostgresCluster, eventLog: String, latenessS: Int) -> String {
        """
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
          window_s: 10
          bound_s: 1
          idle_s: 1
          lateness_s: \(latenessS)
          keep_requests: 0.001
          checkpoint_s: 0.2
          windows:
            sliding: {kind: sliding, key: [route], size_s: 30, hop_s: 10, lateness_s: \(latenessS)}
            sessions: {kind: session, key: [session], gap_s: 60, lateness_s: \(latenessS)}
        state: {postgres: {url: "\(cluster.url())"}}
        observability: {log_level: error}
        """
    }

    /// Every window's sum by route, which a record counted in a wrong window would change.
    private func expectWindows(_ cluster: PostgresCluster, _ total: UInt64, since start: Int64) async throws {
        struct Place: Hashable {
            var start: Int64
            var route: String
        }
        var expected: [Place: Int] = [:]
        for number in 1...total {
            guard case .request(let record) = Self.event(number, of: total, since: start) else { continue }
            expected[Place(start: record.at / 10_000 * 10_000, route: record.route), default: 0] += 1
        }
        let rows = try await Shell.sql(
            cluster.url(),
            """
            SELECT window_start, route, sum(requests)::bigint FROM window_results WHERE definition = 'requests'
            GROUP BY 1, 2
            """
        ).split(separator: "\n").map { $0.split(separator: "|").map(String.init) }
        let counted = Dictionary(
            uniqueKeysWithValues: rows.map { (Place(start: Int64($0[0]) ?? 0, route: $0[1]), Int($0[2])) })
        #expect(counted == expected.mapValues(Optional.some))
        #expect(try await Shell.sql(cluster.url(), "SELECT count(*) FROM dead_letters") == "0")
    }

    @Test(.enabled(if: TestPostgres.missing == nil), .timeLimit(.minutes(4)))
    func killsAndAStoreAwayCostNoneOfAMillionRecords() async throws {
        let total: UInt64 = 1_000_000
        let folder = try ServiceProcess.temporaryFolder()
        let cluster = try await TestPostgres.startCluster(throwAway: false)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let start = Int64(Date().timeIntervalSince1970) * 1_000 - 7_200_000
        let log = try LocalLog(
            settings: LocalLogSettings(path: "\(folder)/events.sqlite", gatewayID: "weather"))
        for number in 1...total {
            while log.statistics.queued > 30_000 { try await Task.sleep(for: .milliseconds(1)) }
            log.append(Self.event(number, of: total, since: start))
        }
        await log.close()
        #expect(log.statistics.written == Int64(total))

        let file = "\(folder)/trimtab.yaml"
        try Self.settings(cluster, eventLog: "{kind: embedded}", latenessS: 60).write(
            toFile: file, atomically: true, encoding: .utf8)
        _ = try await Shell.run(ServiceProcess.program, ["migrate", "--config", file])
        let service = try ServiceProcess(
            ["serve", "--roles", "gateway,stream", "--config", file], folder: folder, port: 18_480)
        var random = SplitMix64(seed: 11)
        for round in 0..<6 {
            try await Task.sleep(for: .milliseconds(900 + Int(random.next() % 900)))
            if round == 3 {
                await cluster.stop()
                try await Task.sleep(for: .seconds(2))
                try await cluster.start()
            }
            service.kill()
            try service.start()
        }
        let found = try? await Wait.upTo(seconds: 90) { () -> Bool? in
            let sums = try await Shell.sql(cluster.url(), Self.sum + " GROUP BY 1 ORDER BY 1")
            return sums == Self.truth(total) ? true : nil
        }
        #expect(found == true)
        #expect(try await Shell.sql(cluster.url(), Self.sum + " GROUP BY 1 ORDER BY 1") == Self.truth(total))
        try await expectWindows(cluster, total, since: start)
        service.kill()
        await cluster.stop()
    }

    @Test(.enabled(if: TestPostgres.missing == nil), .timeLimit(.minutes(4)))
    func workersOfAGroupThatComeGoAndStandStillCountEveryRecordOnce() async throws {
        let (total, partitions): (UInt64, Int) = (150_000, 104)
        let folder = try ServiceProcess.temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let cluster = try await TestPostgres.startCluster(throwAway: false)
        let kafka = try MockKafka(brokers: 3)
        let topic = KafkaLogSettings.defaultTopic
        kafka.createTopic(topic, partitions: Int32(partitions))
        let properties = kafka.groupProperties.map { "\"\($0)\": \"\($1)\"" }.joined(separator: ", ")
        let file = "\(folder)/trimtab.yaml"
        let eventLog = "{kind: kafka, topic: \(topic), partitions: \(partitions), kafka: {properties: {\(properties)}}}"
        try Self.settings(cluster, eventLog: eventLog, latenessS: 604_800).write(
            toFile: file, atomically: true, encoding: .utf8)
        _ = try await Shell.run(ServiceProcess.program, ["migrate", "--config", file])
        let start = Int64(Date().timeIntervalSince1970) * 1_000 - 7_200_000
        func worker(_ number: Int) throws -> ServiceProcess {
            try ServiceProcess(
                ["serve", "--roles", "stream", "--config", file], folder: "\(folder)/\(number)",
                port: 18_580 + number)
        }
        var logSettings = LocalLogSettings(
            path: "\(folder)/events.sqlite", gatewayID: "weather", partitions: partitions)
        logSettings.queueLimit = Int(total)
        let log = try LocalLog(settings: logSettings)
        var shipping = KafkaLogSettings(properties: kafka.groupProperties)
        shipping.partitions = partitions
        let shipper = try Shipper(log: log, settings: shipping)
        let shipped = Task { try await shipper.run() }
        var bytes = Array(repeating: 0, count: partitions)
        var sent: UInt64 = 0
        func send(upTo last: UInt64) {
            while sent < last {
                sent += 1
                let event = Self.event(sent, of: total, since: start)
                var json: [UInt8] = []
                EventEncoder.encode(event, into: &json)
                bytes[event.bucketID.partition(of: partitions)] += json.count
                log.append(event)
            }
        }
        for number in 1...3 {
            try FileManager.default.createDirectory(atPath: "\(folder)/\(number)", withIntermediateDirectories: true)
        }
        let first = try worker(1)
        let second = try worker(2)
        send(upTo: total / 3)
        try await Task.sleep(for: .seconds(8))
        kafka.fail(.produce, with: [7, 19, 6])
        kafka.fail(.fetch, with: [6, 6, 3, 7])
        kafka.fail(.heartbeat, with: [27, 22])
        let third = try worker(3)
        send(upTo: total / 2)
        try await Task.sleep(for: .seconds(4))
        first.kill()
        for partition in 0..<20 as Range<Int32> { kafka.moveLeader(of: partition, in: topic, to: 1 + partition % 3) }
        send(upTo: total * 2 / 3)
        try await Task.sleep(for: .seconds(1))
        // Still for longer than its session, the second one wakes up as a member that is none any more.
        second.signal(SIGSTOP)
        try first.start()
        kafka.setDown(broker: 2)
        try await Task.sleep(for: .seconds(2))
        kafka.setUp(broker: 2)
        kafka.fail(.joinGroup, with: [16, 14])
        send(upTo: total)
        await cluster.stop()
        try await Task.sleep(for: .seconds(3))
        try await cluster.start()
        try await Task.sleep(for: .seconds(4))
        second.signal(SIGCONT)
        #expect(bytes.allSatisfy { $0 < 4 << 20 }, "the mock would drop what exceeds 5 MiB a partition")
        let delivered = try await eventually(within: 60) { shipper.status.acknowledged == Int64(total) }
        #expect(delivered)
        let found = try? await Wait.upTo(seconds: 90) { () -> Bool? in
            let sums = try await Shell.sql(cluster.url(), Self.sum + " GROUP BY 1 ORDER BY 1")
            return sums == Self.truth(total) ? true : nil
        }
        #expect(found == true)
        #expect(try await Shell.sql(cluster.url(), Self.sum + " GROUP BY 1 ORDER BY 1") == Self.truth(total))
        try await expectWindows(cluster, total, since: start)
        for service in [first, second, third] { service.kill() }
        shipped.cancel()
        try? await shipped.value
        await log.close()
        kafka.close()
        await cluster.stop()
    }
}

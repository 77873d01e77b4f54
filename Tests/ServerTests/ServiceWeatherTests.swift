import Core
import Foundation
import PostgresClient
import TestSupport
import Testing

/// `trimtab serve` in a process of its own, before simulated providers, with a PostgreSQL and Kafka brokers that come
/// and go.
@Suite(.serialized) struct ServiceWeatherTests {
    private static let port = 18_380
    private static let topic = "trimtab.events.v1"

    /// Everything around the service.
    private final class Stage {
        let folder: String
        let cluster: PostgresCluster
        let kafka: MockKafka
        private let fleet: Process
        let service: ServiceProcess
        private(set) var key = ""

        init() async throws {
            folder = try ServiceProcess.temporaryFolder()
            cluster = try await TestPostgres.startCluster(throwAway: false)
            kafka = try MockKafka()
            kafka.createTopic(ServiceWeatherTests.topic, partitions: 4)
            let (fleet, output) = try Shell.start(
                ServiceProcess.program, ["simulate", "fleet", "--scenario", "savings", "--port", "0"])
            self.fleet = fleet
            let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
            let url = try #require(line.split(whereSeparator: \.isWhitespace).first { $0.hasPrefix("http") })
            let properties = kafka.groupProperties.map { "\"\($0)\": \"\($1)\"" }.joined(separator: ", ")
            let settings = """
                secret: a secret of the tests that has 32 bytes
                gateway: {id: weather, drain_s: 1}
                event_log: {kind: kafka, topic: \(ServiceWeatherTests.topic), partitions: 4, kafka: {properties: {\(properties)}}}
                providers:
                  sim: {base_url: "\(url)", api_key: simulated, models: [strong-large, cheap-mini]}
                prices:
                  sim/strong-large: {input_usd_per_mtok: 2.5, output_usd_per_mtok: 10}
                routes:
                  support-chat: {targets: [sim/strong-large], allowed: ["sim/*"], exploration: {share: 0.1}}
                stream: {window_s: 1, bound_s: 0.5, idle_s: 1, checkpoint_s: 0.2}
                state: {postgres: {url: "\(cluster.url())"}}
                observability: {log_level: error}
                """
            service = try await ServiceProcess.serving(settings, folder: folder, port: ServiceWeatherTests.port)
            try await service.ready()
            key = try #require(try await created(["keys", "create", "weather"]))
        }

        /// The secret of a key that the command line has made.
        private func created(_ arguments: [String]) async throws -> String? {
            let text = try await service.command(arguments + ["--output", "json"])
            return try (JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])?["secret"] as? String
        }

        /// Sends the scenario's traffic for a while.
        func replay(seconds: Int) throws -> (Process, Pipe) {
            try Shell.start(
                ServiceProcess.program,
                [
                    "simulate", "replay", "--scenario", "savings", "--gateway", "http://127.0.0.1:\(service.port)",
                    "--key", key, "--route", "support-chat", "--seconds", "\(seconds)",
                ])
        }

        static let unshipped = "SELECT unshipped_since FROM gateways WHERE id = 'weather'"

        func sql(_ query: String) async throws -> String { try await Shell.sql(cluster.url(), query) }

        /// What the service says of its database; it stays ready without, for its gateway serves on.
        func seesDatabase() async throws -> Bool {
            let text = try await Shell.run("/usr/bin/curl", ["-sf", "http://127.0.0.1:\(service.port + 50)/readyz"])
            #expect(text.hasSuffix(#""ready":true}"#))
            return text.contains(#"{"name":"postgres","ready":true"#)
        }

        func stop() async {
            service.kill()
            fleet.terminate()
            kafka.close()
            await cluster.stop()
            try? FileManager.default.removeItem(atPath: folder)
        }
    }

    /// What `trimtab simulate replay` says.
    private func result(of replay: (Process, Pipe)) throws -> [String: Int] {
        let text = String(decoding: replay.1.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        let words = text.split { $0.isWhitespace || $0 == "," }
        return Dictionary(
            zip(words, words.dropFirst()).compactMap { name, number in Int(number).map { (String(name), $0) } },
            uniquingKeysWith: { first, _ in first })
    }

    @Test(
        .enabled(if: TestPostgres.missing == nil), .enabled(if: TestKafka.isMock, "\(TestKafka.faultsNeeded)"),
        .timeLimit(.minutes(4)))
    func aDatabaseAndBrokersThatGoAwayUnderLoadCostNothing() async throws {
        let stage = try await Stage()
        do {
            let replay = try stage.replay(seconds: 20)
            try await Task.sleep(for: .seconds(3))
            await stage.cluster.stop()
            #expect(try await eventually { try await !stage.seesDatabase() })
            try await Task.sleep(for: .seconds(3))
            try await stage.cluster.start()
            #expect(try await eventually(within: 30) { try await stage.seesDatabase() })
            stage.kafka.setDown()
            // The gateway says since when its records wait, once that is longer than usual.
            #expect(try await eventually(within: 20) { try await stage.sql(Stage.unshipped) != "" })
            stage.kafka.setUp()
            #expect(try await eventually(within: 30) { try await stage.sql(Stage.unshipped) == "" })
            let traffic = try result(of: replay)
            let sent = try #require(traffic["sent"])
            #expect(sent > 1_500)
            let counted = try await Wait.upTo(seconds: 60) { () -> Int? in
                let counted =
                    Int(
                        try await stage.sql(
                            "SELECT sum(requests)::bigint FROM window_results WHERE definition = 'requests'")) ?? 0
                return counted >= sent ? counted : nil
            }
            #expect(counted == sent)
            #expect(try await stage.sql("SELECT count(*) FROM dead_letters") == "0")
            // The simulated provider fails one in a thousand by itself; nothing else failed anybody.
            let failed = "SELECT count(*) FROM requests WHERE outcome <> 'complete'"
            #expect(traffic["failed"] == Int(try await stage.sql(failed)))
            #expect(try await stage.sql(failed + " AND outcome <> 'upstream_error'") == "0")

            try await expectBrokenEventsPutAside(stage, counted: sent)

            // A stop does not wait for a database that is away.
            await stage.cluster.stop()
            #expect(stage.service.stop() == 0)
        } catch {
            await stage.stop()
            throw error
        }
        await stage.stop()
    }

    /// A foreign record in the topic is kept with its place and reason, and what follows it is counted.
    private func expectBrokenEventsPutAside(_ stage: Stage, counted before: Int) async throws {
        _ = try await Shell.run(
            "/usr/bin/kcat",
            ["-P", "-b", stage.kafka.bootstrapServers, "-t", Self.topic, "-p", "1", "-H", "kind=request"],
            input: #"{"v":1,"id":"not an id""# + "\n")
        let dead = try await Wait.upTo(seconds: 30) { () -> String? in
            let row = try await stage.sql(
                "SELECT topic, partition, reason, convert_from(raw, 'UTF8') FROM dead_letters")
            return row.isEmpty ? nil : row
        }
        #expect(dead.hasPrefix("\(Self.topic)|1|"))
        #expect(dead.hasSuffix(#"|{"v":1,"id":"not an id""#))
        let sent = try #require(try result(of: stage.replay(seconds: 3))["sent"])
        let counted = try await Wait.upTo(seconds: 60) { () -> Int? in
            let counted =
                Int(
                    try await stage.sql(
                        "SELECT sum(requests)::bigint FROM window_results WHERE definition = 'requests'")) ?? 0
            return counted >= before + sent ? counted : nil
        }
        #expect(counted == before + sent)
        #expect(sent > 200)
    }
}

import Core
import Foundation
import PostgresClient
import TestSupport
import Testing

/// The real program in the middle of a rollout, with a PostgreSQL that goes away and comes back.
@Suite(.serialized, .enabled(if: TestPostgres.missing == nil)) struct RolloutWeatherTests {
    private static let port = 18_580
    private static let leaseMs: Int64 = 2_000

    /// All roles in one process; route `chat` with policy 2, a sound model, and policy 3, whose provider does not answer.
    private final class Stage {
        let cluster: PostgresCluster
        let service: ServiceProcess
        private let fleet: Process
        private(set) var key = ""

        init() async throws {
            let folder = try ServiceProcess.temporaryFolder()
            cluster = try await TestPostgres.startCluster(throwAway: false)
            let (fleet, output) = try Shell.start(
                ServiceProcess.program, ["simulate", "fleet", "--scenario", "savings", "--port", "0"])
            self.fleet = fleet
            let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
            let url = try #require(line.split(whereSeparator: \.isWhitespace).first { $0.hasPrefix("http") })
            let off = ["bad_answers", "slow", "cost", "timeouts", "slow_first_token", "slow_median", "refusals"]
            let guardrails = (off + ["schema_failures", "dear"]).map { "\($0): 0" }.joined(separator: ", ")
            let settings = """
                secret: a secret of the tests that has 32 bytes
                gateway: {id: weather, drain_s: 1}
                providers:
                  sim: {base_url: "\(url)", api_key: simulated, models: [strong-large, cheap-mini]}
                  gone: {base_url: "http://127.0.0.1:1/v1", api_key: none, models: [away]}
                routes:
                  chat:
                    targets: [sim/strong-large]
                    allowed: ["sim/*", "gone/*"]
                    autonomy: observe
                    sticky: request
                    holdout: 0
                    guardrails: {errors: 1, \(guardrails)}
                rollouts:
                  {steps: [0.5, 1], min_step_s: 5, min_step_requests: 50, objective_cycle_s: 0, watch_s: 0,
                   max_failure_rate_rise: 1, lease_s: \(leaseMs / 1_000), tick_s: 0.1}
                stream: {window_s: 1, bound_s: 0.5, idle_s: 1, checkpoint_s: 0.2}
                state: {postgres: {url: "\(cluster.url())"}}
                observability: {log_level: error}
                """
            service = try await ServiceProcess.serving(settings, folder: folder, port: RolloutWeatherTests.port)
            try await service.ready()
            key = try #require(try await service.post("keys", ["name": "weather"])?["secret"] as? String)
            for (provider, model) in [("sim", "cheap-mini"), ("gone", "away")] {
                let targets = [["provider": provider, "model": model]]
                #expect(try await service.post("routes/chat/policies", ["reason": "try", "targets": targets]) != nil)
            }
        }

        func start(_ policy: Int) async throws -> String {
            let body: [String: Any] = ["route": "chat", "policy": policy, "reason": "weather"]
            return try #require(try await service.post("rollouts", body)?["rollout"] as? String)
        }

        /// Sends the scenario's traffic for a while.
        func traffic(seconds: Int) throws -> Process {
            try Shell.start(
                ServiceProcess.program,
                [
                    "simulate", "replay", "--scenario", "savings", "--gateway", "http://127.0.0.1:\(service.port)",
                    "--key", key, "--route", "chat", "--seconds", "\(seconds)",
                ]
            ).0
        }

        func rollout(_ id: String) async throws -> [String: Any] {
            try #require(try await service.get("/api/v1/rollouts/\(id)"))
        }

        /// Waits until a rollout is over and the gateways have said so.
        func end(of id: String) async throws -> [String: Any] {
            try await Wait.upTo(seconds: 60) {
                let rollout = try await self.rollout(id)
                return rollout["acknowledgement"] == nil ? nil : rollout
            }
        }

        func sql(_ query: String) async throws -> String { try await Shell.sql(cluster.url(), query) }

        func stop() async {
            service.kill()
            fleet.terminate()
            await cluster.stop()
            try? FileManager.default.removeItem(atPath: service.folder)
            try? FileManager.default.removeItem(atPath: cluster.settings.folder)
        }
    }

    private static func now() -> Int64 { Int64(Date().timeIntervalSince1970 * 1_000) }

    private static func timeline(_ rollout: [String: Any]) -> [String] {
        (rollout["timeline"] as? [[String: Any]])?.compactMap { $0["event"] as? String } ?? []
    }

    @Test(.timeLimit(.minutes(4))) func aDatabaseThatGoesAwayChangesNoVerdict() async throws {
        let stage = try await Stage()
        do {
            try await duringAStep(stage)
            try await whileARollbackIsDue(stage)
        } catch {
            await stage.stop()
            throw error
        }
        await stage.stop()
    }

    /// The gateway serves on, stable alone once its lease has run out; the step begins anew, and each request counts once.
    private func duringAStep(_ stage: Stage) async throws {
        let id = try await stage.start(2)
        let traffic = try stage.traffic(seconds: 16)
        try await Task.sleep(for: .seconds(3))
        // Connections are cut at the beginning of the stop, which may take long.
        let leaving = Self.now()
        await stage.cluster.stop()
        let away = Self.now()
        try await Task.sleep(for: .milliseconds(Self.leaseMs + 2_000))
        let back = Self.now()
        try await stage.cluster.start()
        let rollout = try await stage.end(of: id)
        traffic.waitUntilExit()

        #expect(rollout["state"] as? String == "promoted")
        #expect(Self.timeline(rollout) == ["step", "interrupted", "promoted", "acknowledged"])
        #expect(try #require(rollout["ended_at"] as? Int) >= Int(back) + 5_000)
        let log = try await stage.service.recordsInLog()
        // A millisecond is lost where one clock reading becomes another.
        let meanwhile = log.filter { $0.startedAt > away + Self.leaseMs + 1 && $0.startedAt < back }
        #expect(meanwhile.count > 50 && meanwhile.allSatisfy { $0.arm == nil })
        #expect(log.contains { $0.startedAt > leaving && $0.startedAt < away + Self.leaseMs && $0.arm == "candidate" })
        try await expectEachCountedOnce(stage, of: id, log)
    }

    /// All evidence of the harm comes while nobody can judge it.
    private func whileARollbackIsDue(_ stage: Stage) async throws {
        let id = try await stage.start(3)
        let epoch = try #require(try await stage.service.epoch())
        // The gateway has the candidate before the database goes.
        _ = try await Wait.upTo(seconds: 10) { try await stage.service.servedEpoch() == epoch ? true : nil }
        await stage.cluster.stop()
        let away = Self.now()
        let traffic = try stage.traffic(seconds: 6)
        traffic.waitUntilExit()
        let back = Self.now()
        try await stage.cluster.start()
        let rollout = try await stage.end(of: id)

        #expect(rollout["state"] as? String == "rolled_back")
        #expect(Self.timeline(rollout).count { $0 == "rolled_back" } == 1)
        #expect(try await stage.sql("SELECT count(*) FROM audit WHERE action = 'rollout.rolled_back'") == "1")
        #expect(
            try await stage.sql("SELECT stable, candidate IS NULL, weight FROM routing_table WHERE route = 'chat'")
                == "2|t|0")
        let acknowledgement = rollout["acknowledgement"] as? [String: Any]
        #expect(acknowledgement?["gateways"] as? Int == 1)
        #expect((acknowledgement?["missing"] as? [String])?.isEmpty == true)
        let log = try await stage.service.recordsInLog().filter { $0.startedAt > away }
        let failed = log.filter { $0.arm == "candidate" && $0.outcome != "complete" }
        #expect(failed.count >= 5 && failed.allSatisfy { $0.rollout == id })
        let late = log.filter { $0.startedAt > away + Self.leaseMs + 1 && $0.startedAt < back }
        // The simulated provider fails now and then by itself.
        #expect(late.count > 50 && late.allSatisfy { $0.arm == nil })
        #expect(20 * late.count { $0.outcome != "complete" } < late.count)
        try await expectEachCountedOnce(stage, of: id, try await stage.service.recordsInLog())
    }

    /// What is in the log is in the database, once; and the stored trials give the verdict that was given.
    private func expectEachCountedOnce(
        _ stage: Stage, of rollout: String, _ log: [ServiceProcess.LoggedRequest]
    ) async throws {
        let counted = try await Wait.upTo(seconds: 30) { () -> Int? in
            let counted =
                Int(
                    try await stage.sql(
                        "SELECT sum(requests)::bigint FROM window_results WHERE definition = 'requests'")) ?? 0
            return counted >= log.count ? counted : nil
        }
        #expect(counted == log.count)
        #expect(try await stage.sql("SELECT count(*) FROM dead_letters") == "0")
        let own = log.count { $0.rollout == rollout }
        #expect(try await stage.sql("SELECT count(*) FROM requests WHERE rollout = '\(rollout)'") == "\(own)")
        let replay = try #require(try await stage.service.get("/api/v1/rollouts/\(rollout)/replay"))
        #expect(replay["matches"] as? Bool == true, "\(replay)")
    }
}

extension ServiceProcess {
    /// Posts to the control API with the first token.
    fileprivate func post(_ path: String, _ body: [String: Any]) async throws -> [String: Any]? {
        guard let token = secret("admin.token") else { return nil }
        let json = String(decoding: try JSONSerialization.data(withJSONObject: body), as: UTF8.self)
        let text = try await Shell.run(
            "/usr/bin/curl",
            [
                "-s", "-m", "5", "-H", "Authorization: Bearer \(token)", "-H", "Content-Type: application/json",
                "--data", json, "http://127.0.0.1:\(port + 50)/api/v1/\(path)",
            ])
        return try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
    }

    /// The epoch of the route `chat`.
    fileprivate func epoch() async throws -> Int? {
        (try await get("/api/v1/routes/chat")?["pointer"] as? [String: Any])?["epoch"] as? Int
    }

    /// The epoch that the gateway serves.
    fileprivate func servedEpoch() async throws -> Int? {
        try await metric("trimtab_gateway_routing_table_epoch").map { Int($0) }
    }
}

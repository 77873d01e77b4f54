import Core
import Foundation
import PostgresClient
import StateStore
import StreamProcessing
import Telemetry
import TestSupport

/// How long a candidate is served after the verdict against it: two control processes, two gateways and PostgreSQL, and
/// the leader killed in between.
enum RollbackBench: Benchmark {
    static let name = "rollouts-rollback"
    private static let (commands, verdicts, kills) = (100, 50, 20)

    static func run() async throws -> [Figure] {
        try await PrivatePostgres.with { cluster, folder in
            let stage = try await RollbackStage(folder, database: cluster.url())
            do {
                try await stage.prepare()
                let figures = try await measure(stage)
                await stage.stop()
                return figures
            } catch {
                await stage.stop()
                throw error
            }
        }
    }

    private static func measure(_ stage: RollbackStage) async throws -> [Figure] {
        var (aborted, acknowledged, judged): ([Double], [Double], [Double]) = ([], [], [])
        for _ in 0..<commands {
            let rollout = try await stage.start()
            let began = ContinuousClock.now
            try await stage.abort(rollout)
            aborted.append(try await stage.untilServed(since: began))
            acknowledged.append(try await stage.acknowledgedMs(rollout))
        }
        for _ in 0..<verdicts {
            let rollout = try await stage.start()
            try await stage.storeHarm(of: rollout)
            judged.append(try await stage.untilServed(since: .now))
            acknowledged.append(try await stage.acknowledgedMs(rollout))
        }
        show("request to abort until both gateways serve weight 0", aborted)
        show("evidence stored until both gateways serve weight 0", judged)
        show("the same from the verdict, as the product says", acknowledged)

        var killed: [Double] = []
        for isCommand in [true, false] {
            var times: [Double] = []
            for _ in 0..<kills {
                let rollout = try await stage.start()
                let leader = try await stage.leader()
                var began = ContinuousClock.now
                if isCommand {
                    try await stage.abort(rollout, at: leader)
                } else {
                    // A leader that stands still cannot have looked.
                    leader.process.freeze()
                    try await stage.storeHarm(of: rollout)
                    began = .now
                }
                leader.process.end()
                times.append(try await stage.untilServed(since: began))
                _ = try await stage.acknowledgedMs(rollout)
                try await stage.restart(leader)
            }
            show(isCommand ? "leader killed right after the abort" : "leader killed before it saw the evidence", times)
            killed += times
        }
        return [
            Figure(name: "rollback.propagation_p99", value: aborted.percentile(0.99), unit: "ms"),
            Figure(name: "rollback.acknowledged_p99", value: acknowledged.percentile(0.99), unit: "ms"),
            Figure(name: "rollback.from_evidence_p99", value: judged.percentile(0.99), unit: "ms"),
            Figure(name: "rollback.leader_killed_max", value: killed.percentile(1), unit: "ms"),
        ]
    }

    private static func show(_ what: String, _ times: [Double]) {
        let figures = [0.5, 0.99, 1].map { String(format: "%.1f", times.percentile($0)) }
        print("\(what): median \(figures[0]) ms, p99 \(figures[1]) ms, slowest \(figures[2]) ms of \(times.count)")
    }
}

/// A leader and its standby, two gateways, and the database between them.
private final class RollbackStage {
    /// One process of the service.
    final class Server {
        let name: String
        let role: String
        let port: Int
        fileprivate(set) var process: ChildProcess
        fileprivate(set) var api: LoopbackConnection

        fileprivate init(_ name: String, role: String, folder: URL) throws {
            (self.name, self.role, port) = (name, role, try LoopbackConnection.freePort())
            (process, api) = try Self.launch(name, role: role, port: port, folder: folder)
        }

        fileprivate func relaunch(_ folder: URL) throws {
            (process, api) = try Self.launch(name, role: role, port: port, folder: folder)
        }

        private static func launch(
            _ name: String, role: String, port: Int, folder: URL
        ) throws -> (ChildProcess, LoopbackConnection) {
            let settings = [
                "data_dir=\(folder.path)/\(name)", "gateway.id=\(name)", "api.bind=127.0.0.1:\(port)",
                "gateway.bind=127.0.0.1:\(try LoopbackConnection.freePort())",
            ]
            let process = try ChildProcess(
                ChildProcess.trimtab,
                ["serve", "--config", "\(folder.path)/trimtab.yaml", "--roles", role]
                    + settings.flatMap { ["--set", $0] }, log: folder.appending(path: "\(name).log"))
            return (process, LoopbackConnection(port: port))
        }

        fileprivate func ready() async throws {
            let request = LoopbackConnection.request("GET", "/readyz")
            try await process.wait(every: .milliseconds(5), for: "readiness") {
                (try? await api.exchange(request))?.status == 200
            }
        }

        /// A metric without labels; `nil` while the process does not answer.
        fileprivate func metric(_ name: String) async -> Double? {
            let answer = try? await api.exchange(LoopbackConnection.request("GET", "/metrics"))
            guard let text = answer.map({ String(decoding: $0.body, as: UTF8.self) }) else { return nil }
            let line = text.split(separator: "\n").first { $0.hasPrefix("\(name) ") }
            return line.flatMap { Double($0.dropFirst(name.count + 1)) }
        }
    }

    private struct Created: Decodable { var version: Int }
    private struct Started: Decodable { var rollout: String }
    private struct RouteState: Decodable {
        var pointer: Pointer
        struct Pointer: Decodable { var epoch: Double }
    }
    private struct Ended: Decodable {
        var acknowledgement: Acknowledgement?
        struct Acknowledgement: Decodable {
            var ms: Double?
            var gateways: Int
            var missing: [String]
        }
    }

    private let folder: URL
    private let checkpoints: CheckpointStore
    private let partition: Int64
    private var panes: Int64 = 0
    private let controls: [Server]
    private let gateways: [Server]
    private let token: String
    private var candidate = 0
    /// Of the table before the rollback.
    private var epoch = 0.0

    init(_ folder: URL, database: String) async throws {
        self.folder = folder
        let settings = """
            secret: a secret of the benchmark of 32 bytes
            providers:
              bench: {base_url: "http://127.0.0.1:1/v1", models: [small, large]}
            routes:
              chat: {targets: [bench/small], allowed: ["bench/*"], autonomy: observe}
            state: {postgres: {url: "\(database)"}}
            observability: {log_level: error}
            """
        let file = folder.appending(path: "trimtab.yaml")
        try settings.write(to: file, atomically: true, encoding: .utf8)
        _ = try await ChildProcess(
            ChildProcess.trimtab, ["migrate", "--config", file.path], log: folder.appending(path: "migrate.log")
        ).output()
        let pool = PostgresPool(PostgresConfiguration(url: database))
        checkpoints = CheckpointStore(pool, job: "main", topic: "bench", owner: "bench")
        partition = try await checkpoints.claim(partition: 0).epoch
        var servers: [Server] = []
        var token = ""
        do {
            for (name, role) in [
                ("control-1", "control"), ("control-2", "control"), ("gateway-1", "gateway"), ("gateway-2", "gateway"),
            ] {
                servers.append(try Server(name, role: role, folder: folder))
                try await servers[servers.count - 1].ready()
                // The first one seeds; what it seeds last is the token.
                if servers.count == 1 { token = try await Self.firstToken(folder.appending(path: name), servers[0]) }
            }
        } catch {
            for server in servers { await server.process.stop() }
            throw error
        }
        (self.token, controls, gateways) = (token, Array(servers.prefix(2)), Array(servers.suffix(2)))
    }

    func stop() async {
        for server in controls + gateways { await server.process.stop() }
    }

    /// Makes the policy that every rollout tries.
    func prepare() async throws {
        let policy = #"{"reason":"bench","targets":[{"provider":"bench","model":"large"}]}"#
        candidate = try await send("POST", "routes/chat/policies", policy, to: controls[0], as: Created.self).version
    }

    private static func firstToken(_ data: URL, _ server: Server) async throws -> String {
        var token = ""
        try await server.process.wait(every: .milliseconds(10), for: "token") {
            let text = try? String(contentsOf: data.appending(path: DataFolder.tokenFile), encoding: .utf8)
            token = (text ?? "").trimmingCharacters(in: .whitespacesAndNewlines)
            let request = LoopbackConnection.request("GET", "/api/v1/routes/chat", token: token)
            return (try? await server.api.exchange(request))?.status == 200
        }
        return token
    }

    /// Starts a rollout that both gateways serve.
    func start() async throws -> UUIDv7 {
        let leader = try await leader()
        let body = #"{"route":"chat","policy":\#(candidate),"reason":"bench"}"#
        let rollout = try await send("POST", "rollouts", body, to: leader, as: Started.self).rollout
        epoch = try await send("GET", "routes/chat", "", to: leader, as: RouteState.self).pointer.epoch - 1
        _ = try await untilServed(since: .now)
        epoch += 1
        guard let id = UUIDv7(rollout) else {
            throw TrimtabError("bench.rollout", "'\(rollout)' is no id.", remedy: "This is a defect.")
        }
        return id
    }

    func abort(_ rollout: UUIDv7, at control: Server? = nil) async throws {
        let control = if let control { control } else { try await leader() }
        _ = try await exchange("POST", "rollouts/\(rollout):abort", "", to: control)
    }

    /// Forty failures of the candidate's first forty requests, as the stream stores them.
    func storeHarm(of rollout: UUIDv7) async throws {
        panes += 1
        var state = PartitionState(partition: 0)
        state.paneNumber = panes
        var checkpoint = Checkpoint(state: state)
        checkpoint.panes = [
            EvidencePane(
                key: EvidenceKey(rollout: rollout, step: 0, arm: .candidate), partition: 0, number: panes,
                candidateWeight: 0.01, trials: .requests(40, failures: 40, at: Make.start))
        ]
        guard try await checkpoints.commit([(partition, checkpoint)]).isEmpty else {
            throw TrimtabError("bench.checkpoint", "Another worker owns the partition.", remedy: "This is a defect.")
        }
    }

    /// Milliseconds until both gateways serve a table that is newer than the one before.
    func untilServed(since began: ContinuousClock.Instant) async throws -> Double {
        for gateway in gateways {
            try await gateway.process.wait(every: .milliseconds(1), for: "epoch") { [epoch] in
                await gateway.metric("trimtab_gateway_routing_table_epoch").map { $0 > epoch } == true
            }
        }
        return (ContinuousClock.now - began) / .milliseconds(1)
    }

    /// What the product says of the time from the verdict to the last gateway; both must have said so.
    func acknowledgedMs(_ rollout: UUIDv7) async throws -> Double {
        var found: Ended.Acknowledgement?
        let leader = try await leader()
        try await leader.process.wait(every: .milliseconds(10), for: "acknowledgement") {
            found = try? await send("GET", "rollouts/\(rollout)", "", to: leader, as: Ended.self).acknowledgement
            return found != nil
        }
        guard let found, let ms = found.ms, found.gateways == 2, found.missing.isEmpty else {
            throw TrimtabError("bench.acknowledgement", "Not both gateways said so.", remedy: "This is a defect.")
        }
        return ms
    }

    /// The control process that leads; waits until one does.
    func leader() async throws -> Server {
        let deadline = ContinuousClock.now + .seconds(30)
        while ContinuousClock.now < deadline {
            for control in controls where await control.metric("trimtab_control_leader_state") == 1 { return control }
            try await Task.sleep(for: .milliseconds(5))
        }
        throw TrimtabError("bench.leader", "No process leads.", remedy: "This is a defect.")
    }

    /// Starts a killed process anew; it stands by.
    func restart(_ server: Server) async throws {
        try server.relaunch(folder)
        try await server.ready()
    }

    private func send<Value: Decodable>(
        _ method: String, _ path: String, _ body: String, to control: Server, as type: Value.Type
    ) async throws -> Value {
        try JSONDecoder().decode(type, from: try await exchange(method, path, body, to: control))
    }

    private func exchange(_ method: String, _ path: String, _ body: String, to control: Server) async throws -> Data {
        let answer = try await control.api.exchange(
            LoopbackConnection.request(method, "/api/v1/\(path)", token: token, body: body))
        guard (200..<300).contains(answer.status) else {
            throw TrimtabError(
                "bench.api", "\(method) \(path): \(answer.status) \(String(decoding: answer.body, as: UTF8.self))",
                remedy: "This is a defect.")
        }
        return answer.body
    }
}

import Core
import Foundation
import PostgresClient

/// The whole service in one process against a PostgreSQL that runs: start, idle memory, stop, and how fast a rollback
/// reaches the gateway.
enum ServeBench: Benchmark {
    static let name = "serve"
    private static let starts = 5
    private static let rollbacks = 25

    static func run() async throws -> [Figure] {
        try await PrivatePostgres.with { cluster, folder in try await measure(folder, database: cluster.url()) }
    }

    private static func measure(_ folder: URL, database: String) async throws -> [Figure] {
        let (gatewayPort, port) = (try LoopbackConnection.freePort(), try LoopbackConnection.freePort())
        let settings = """
            data_dir: \(folder.path)/data
            gateway: {id: bench, bind: "127.0.0.1:\(gatewayPort)"}
            api: {bind: "127.0.0.1:\(port)"}
            providers:
              bench: {base_url: "http://127.0.0.1:1/v1", models: [small, large]}
            routes:
              chat: {targets: [bench/small], allowed: ["bench/*"], autonomy: observe}
            state: {postgres: {url: "\(database)"}}
            observability: {log_level: error}
            """
        let file = folder.appending(path: "trimtab.yaml")
        try settings.write(to: file, atomically: true, encoding: .utf8)
        let log = folder.appending(path: "trimtab.log")
        let migrated = try await ChildProcess(ChildProcess.trimtab, ["migrate", "--config", file.path], log: log)
            .output()
        print(migrated.split(separator: "\n").last.map(String.init) ?? "")

        var (startTimes, stopTimes, memory, propagation): ([Double], [Double], [Double], [Double]) = ([], [], [], [])
        for round in 1...starts {
            let began = ContinuousClock.now
            let server = try ChildProcess(ChildProcess.trimtab, ["serve", "--config", file.path], log: log)
            do {
                let api = LoopbackConnection(port: port)
                let ready = LoopbackConnection.request("GET", "/readyz")
                try await server.wait(every: .milliseconds(5), for: "readiness") {
                    (try? await api.exchange(ready))?.status == 200
                }
                startTimes.append((ContinuousClock.now - began) / .milliseconds(1))
                try await Task.sleep(for: .seconds(2))
                memory.append(server.residentMB)
                if round == starts {
                    let client = RollbackClient(
                        api: api, token: try await RollbackClient.token(in: folder.appending(path: "data")))
                    propagation = try await client.measure(rollbacks)
                }
            } catch {
                await server.stop()
                throw error
            }
            stopTimes.append(await server.stop() / .milliseconds(1))
            print("start \(round): ready after \(startTimes[round - 1]) ms, stopped after \(stopTimes[round - 1]) ms")
        }
        print("\(propagation.count) rollbacks: median \(propagation.median) ms")
        return [
            Figure(name: "serve.start", value: startTimes.median, unit: "ms"),
            Figure(name: "serve.stop", value: stopTimes.median, unit: "ms"),
            Figure(name: "serve.rss_idle", value: memory.median, unit: "MB"),
            Figure(name: "rollback.propagation_p99", value: propagation.percentile(0.99), unit: "ms"),
        ]
    }
}

/// Starts rollouts through the control API, aborts them, and sees when the gateway serves the table of the abort.
private struct RollbackClient {
    let api: LoopbackConnection
    let token: String

    private struct Created: Decodable { var version: Int }
    private struct Started: Decodable { var rollout: String }
    private struct RouteState: Decodable {
        var pointer: Pointer
        struct Pointer: Decodable { var epoch: Int64 }
    }

    /// The token that the first start leaves in the data folder.
    static func token(in folder: URL) async throws -> String {
        try String(contentsOf: folder.appending(path: DataFolder.tokenFile), encoding: .utf8)
            .trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// Milliseconds from the request to abort, which comes before the verdict, to the gateway's new table.
    func measure(_ count: Int) async throws -> [Double] {
        let policy = #"{"reason":"bench","targets":[{"provider":"bench","model":"large"}]}"#
        let version = try await send("POST", "routes/chat/policies", policy, as: Created.self).version
        let start = #"{"route":"chat","policy":\#(version),"reason":"bench"}"#
        var times: [Double] = []
        for _ in 0..<count {
            let rollout = try await send("POST", "rollouts", start, as: Started.self).rollout
            try await awaitEpoch()
            let began = ContinuousClock.now
            _ = try await exchange("POST", "rollouts/\(rollout):abort", "")
            try await awaitEpoch()
            times.append((ContinuousClock.now - began) / .milliseconds(1))
        }
        return times
    }

    /// Waits until the gateway serves the route's present epoch.
    private func awaitEpoch() async throws {
        let wanted = try await send("GET", "routes/chat", "", as: RouteState.self).pointer.epoch
        let name = "trimtab_gateway_routing_table_epoch "
        let deadline = ContinuousClock.now + .seconds(30)
        while ContinuousClock.now < deadline {
            let answer = try await api.exchange(LoopbackConnection.request("GET", "/metrics"))
            let line = String(decoding: answer.body, as: UTF8.self).split(separator: "\n").first { $0.hasPrefix(name) }
            if let line, let served = Double(line.dropFirst(name.count)), served >= Double(wanted) { return }
            try await Task.sleep(for: .milliseconds(2))
        }
        throw TrimtabError("bench.epoch", "The gateway does not reach epoch \(wanted).", remedy: "This is a defect.")
    }

    private func send<Value: Decodable>(
        _ method: String, _ path: String, _ body: String, as type: Value.Type
    ) async throws -> Value {
        try JSONDecoder().decode(type, from: try await exchange(method, path, body))
    }

    private func exchange(_ method: String, _ path: String, _ body: String) async throws -> Data {
        let answer = try await api.exchange(
            LoopbackConnection.request(method, "/api/v1/\(path)", token: token, body: body))
        guard (200..<300).contains(answer.status) else {
            throw TrimtabError(
                "bench.api", "\(method) \(path): \(answer.status) \(String(decoding: answer.body, as: UTF8.self))",
                remedy: "This is a defect.")
        }
        return answer.body
    }
}

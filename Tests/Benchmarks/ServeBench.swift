import Core
import Foundation
import PostgresClient

/// The whole service in one process against a PostgreSQL that runs: start, idle memory and stop.
enum ServeBench: Benchmark {
    static let name = "serve"
    private static let starts = 5

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

        var (startTimes, stopTimes, memory): ([Double], [Double], [Double]) = ([], [], [])
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
            } catch {
                await server.stop()
                throw error
            }
            stopTimes.append(await server.stop() / .milliseconds(1))
            print("start \(round): ready after \(startTimes[round - 1]) ms, stopped after \(stopTimes[round - 1]) ms")
        }
        return [
            Figure(name: "serve.start", value: startTimes.median, unit: "ms"),
            Figure(name: "serve.stop", value: stopTimes.median, unit: "ms"),
            Figure(name: "serve.rss_idle", value: memory.median, unit: "MB"),
        ]
    }
}

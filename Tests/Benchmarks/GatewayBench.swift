import Core
import Foundation
import Policy
import StateStore

/// The gateway beside nginx as a proxy of the same upstream, in the same run: CPU for each chat request, latency added,
/// memory. The gateway checks a key, routes, splits a canary off and appends a record for each.
enum GatewayBench: Benchmark {
    static let name = "gateway"
    private static let rounds = 3
    private static let pacedTurns = 15
    private static let pacedSeconds = 1.0
    private static let chat =
        #"{"model":"chat","messages":[{"role":"system","content":"You are a helpful assistant."},"#
        + #"{"role":"user","content":"Write one sentence about the keel of a boat."}],"temperature":0.2}"#

    static func run() async throws -> [Figure] {
        guard let nginx = ChildProcess.find("nginx"), let wrk = ChildProcess.find("wrk") else {
            print("gateway skipped: it needs nginx and wrk (Debian: nginx-light, wrk)")
            return []
        }
        let folder = FileManager.default.temporaryDirectory.appending(path: "trimtab-bench-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let stage = try GatewayStage(folder: folder, nginx: nginx)
        do {
            let figures = try await measure(stage, wrk: wrk)
            await stage.stop()
            return figures
        } catch {
            await stage.stop()
            throw error
        }
    }

    private static func measure(_ stage: GatewayStage, wrk: String) async throws -> [Figure] {
        let request = LoopbackConnection.request("POST", GatewayStage.path, token: stage.key, body: chat)
        for (process, port) in [
            (stage.upstream, stage.upstreamPort), (stage.proxy, stage.proxyPort), (stage.gateway, stage.gatewayPort),
        ] {
            let probe = LoopbackConnection(port: port)
            try await process.wait(every: .milliseconds(20), for: "answer on port \(port)") {
                (try? await probe.exchange(request))?.status == 200
            }
        }
        try await Task.sleep(for: .seconds(1))
        let idle = stage.gateway.residentMB

        let script = stage.folder.appending(path: "chat.lua")
        let lua = """
            wrk.method = "POST"
            wrk.body = '\(chat)'
            wrk.headers["Content-Type"] = "application/json"
            wrk.headers["Authorization"] = "Bearer \(stage.key)"
            """
        try lua.write(to: script, atomically: true, encoding: .utf8)
        var (ratios, costs, rates): ([Double], [Double], [Double]) = ([], [], [])
        for round in 1...rounds {
            let load = Load(wrk: wrk, script: script.path, log: stage.folder.appending(path: "wrk.log"))
            let theirs = try await load.run(stage.proxy, port: stage.proxyPort)
            let ours = try await load.run(stage.gateway, port: stage.gatewayPort)
            print("round \(round): nginx \(theirs.line); gateway \(ours.line)")
            ratios.append(ours.cpuMicroseconds / theirs.cpuMicroseconds)
            costs.append(ours.cpuMicroseconds)
            rates.append(ours.rate)
        }
        let added = try addedLatency(stage, request, rate: rates.median / 2)
        return [
            Figure(name: "gateway.cpu_vs_nginx", value: ratios.median, unit: "ratio"),
            Figure(name: "gateway.cpu_per_request_us", value: costs.median, unit: "us"),
            Figure(name: "gateway.added_p50", value: added.gateway.p50.median, unit: "ms"),
            Figure(name: "gateway.added_p99", value: added.gateway.p99.median, unit: "ms"),
            Figure(name: "nginx.added_p50", value: added.nginx.p50.median, unit: "ms"),
            Figure(name: "nginx.added_p99", value: added.nginx.p99.median, unit: "ms"),
            Figure(name: "upstream.p99", value: added.directP99, unit: "ms"),
            Figure(name: "gateway.rss_idle", value: idle, unit: "MB"),
        ]
    }

    /// How much later answers come through a proxy than from the upstream itself, at an open-loop pace.
    private struct AddedLatency {
        var p50: [Double] = []
        var p99: [Double] = []

        mutating func add(_ through: [Double], over direct: [Double]) {
            p50.append(through.median - direct.median)
            p99.append(through.percentile(0.99) - direct.percentile(0.99))
        }
    }

    /// Short turns in which upstream, nginx and the gateway are measured one after the other, so that a disturbance of
    /// the machine spoils a turn and not the median over them.
    private static func addedLatency(
        _ stage: GatewayStage, _ request: [UInt8], rate: Double
    ) throws -> (gateway: AddedLatency, nginx: AddedLatency, directP99: Double) {
        let loads = try [stage.upstreamPort, stage.proxyPort, stage.gatewayPort]
            .map { try PacedLoad(port: $0, request: request) }
        // The first answers pay for the connections.
        for load in loads { _ = try load.run(rate: rate, seconds: pacedSeconds) }
        var (gateway, nginx, direct): (AddedLatency, AddedLatency, [Double]) = (.init(), .init(), [])
        for _ in 1...pacedTurns {
            let times = try loads.map { try $0.run(rate: rate, seconds: pacedSeconds) }
            nginx.add(times[1], over: times[0])
            gateway.add(times[2], over: times[0])
            direct.append(times[0].percentile(0.99))
        }
        for (name, added) in [("nginx", nginx), ("gateway", gateway)] {
            let turns = added.p99.sorted().map { "\(($0 * 100).rounded() / 100)" }.joined(separator: " ")
            print("\(pacedTurns) turns at \(Int(rate)) requests/s, p99 added by \(name): \(turns) ms")
        }
        return (gateway, nginx, direct.median)
    }
}

/// One run of wrk: closed loop, 32 connections, 4 seconds.
private struct Load {
    let wrk: String
    let script: String
    let log: URL

    struct Result {
        var rate: Double
        var cpuMicroseconds: Double
        var line: String { "\(Int(rate)) requests/s at \((cpuMicroseconds * 10).rounded() / 10) us of CPU" }
    }

    /// - Throws: `TrimtabError` when an answer was not a good one.
    func run(_ server: ChildProcess, port: Int) async throws -> Result {
        let address = "http://127.0.0.1:\(port)\(GatewayStage.path)"
        let before = server.cpuSeconds
        let text = try await ChildProcess(wrk, ["-t1", "-c32", "-d4s", "-s", script, address], log: log).output()
        let used = server.cpuSeconds - before
        func number(before mark: String) -> Double? {
            text.firstRange(of: mark).flatMap {
                Double(text[..<$0.lowerBound].split { $0 == " " || $0 == "\n" }.last ?? "")
            }
        }
        guard let requests = number(before: " requests in"), requests > 0, !text.contains("Non-2xx"),
            !text.contains("Socket errors")
        else { throw TrimtabError("bench.wrk", "wrk: \(text)", remedy: "Read what it says.") }
        return Result(rate: requests / 4, cpuMicroseconds: used * 1e6 / requests)
    }
}

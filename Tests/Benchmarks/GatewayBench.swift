import Core
import Foundation
import Policy
import StateStore

/// The gateway beside nginx as a proxy of the same upstream, in the same run: CPU for each chat request, latency added,
/// memory. The gateway checks a key, routes, splits a canary off and appends a record for each.
enum GatewayBench: Benchmark {
    static let name = "gateway"
    private static let rounds = 3
    private static let pacedSeconds = 4.0
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
            Figure(name: "gateway.added_p99", value: added, unit: "ms"),
            Figure(name: "gateway.rss_idle", value: idle, unit: "MB"),
        ]
    }

    /// The 99th percentile through the gateway minus that of the upstream alone, at an open-loop pace; the median of
    /// the rounds.
    private static func addedLatency(_ stage: GatewayStage, _ request: [UInt8], rate: Double) throws -> Double {
        var differences: [Double] = []
        for round in 1...rounds {
            let (direct, through) = (
                try paced(stage.upstreamPort, request, rate), try paced(stage.gatewayPort, request, rate)
            )
            print("round \(round), \(Int(rate)) requests/s: p99 direct \(direct) ms, through the gateway \(through) ms")
            differences.append(through - direct)
        }
        return differences.median
    }

    /// Milliseconds.
    private static func paced(_ port: Int, _ request: [UInt8], _ rate: Double) throws -> Double {
        let times = try PacedLoad(port: port, request: request).run(rate: rate, seconds: pacedSeconds)
        // The first answers pay for the connections.
        return Array(times.dropFirst(times.count / 20)).percentile(0.99)
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

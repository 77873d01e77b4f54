import Core
import Foundation

/// What another engine made of a file of reference events.
struct PeerResult {
    var recordsPerCPUSecond: Double
    /// Events counted by all windows: equal in every engine.
    var records: Int
    /// Sum of `latency_ms` over all windows: equal up to rounding.
    var sum: Double
}

/// The same job, on the same bytes, by others: windows of 10 s by route and model with count, sum, mean and p95.
///
/// A peer that cannot be had here gives `nil` and says why; one that fails throws.
enum StreamPeers {
    private static let orjson = "3.13.0"
    private static let flinkLibraries = "2.3.0"
    private static let peers = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Peers")
    /// Where what is fetched stays for the next run.
    private static let cache = peers.deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: ".build/peers")

    private struct Output: Decodable {
        var records: Int
        var sum: Double
        var cpu_seconds: Double
    }

    /// Plain Python with orjson, one thread, the file in memory before the clock starts.
    static func python(file: URL) throws -> PeerResult? {
        guard let python = environment("orjson", orjson, proof: "import orjson") else { return nil }
        let output = try read(run(python, [peers.appending(path: "stream_peer.py").path, file.path]))
        return PeerResult(
            recordsPerCPUSecond: Double(output.records) / output.cpu_seconds, records: output.records, sum: output.sum)
    }

    /// Flink's DataStream at parallelism 1, by what 1,000,000 and then 4,000,000 events cost: the marginal rate of all
    /// its threads, so that starting a JVM and compiling are left out. Needs a JDK of 17 or later.
    ///
    /// - Returns: the rate, and what it counted of `file`.
    static func flink(file: URL) throws -> PeerResult? {
        guard let java = ChildProcess.find("java"), let javac = ChildProcess.find("javac") else {
            print("skipped: Flink needs a JDK, and there is none")
            return nil
        }
        let find = "import importlib.util as u; print(u.find_spec('pyflink').submodule_search_locations[0])"
        let package = "apache-flink-libraries"
        guard let python = environment(package, flinkLibraries, proof: find) else { return nil }
        let home = try run(python, ["-c", find]).trimmingCharacters(in: .whitespacesAndNewlines)
        let classes = cache.appending(path: "flink-classes").path
        // What it logs goes to standard error, and only the errors.
        let path = "\(home)/lib/*:\(classes)"
        _ = try run(javac, ["-nowarn", "-cp", path, "-d", classes, peers.appending(path: "FlinkWindows.java").path])
        func measure(_ file: URL) throws -> Output {
            let opened = ["java.base/java.lang=ALL-UNNAMED", "java.base/java.util=ALL-UNNAMED"]
            return try read(
                run(java, opened.flatMap { ["--add-opens", $0] } + ["-Xmx1g", "-cp", path, "FlinkWindows", file.path]))
        }
        let sizes = [1_000_000, 4_000_000]
        let costs = try sizes.map { size in
            let events = FileManager.default.temporaryDirectory.appending(path: "trimtab-flink-\(UUID().uuidString)")
            defer { try? FileManager.default.removeItem(at: events) }
            try ReferenceEvents.write(count: size, to: events)
            return try measure(events).cpu_seconds
        }
        let counted = try measure(file)
        return PeerResult(
            recordsPerCPUSecond: Double(sizes[1] - sizes[0]) / (costs[1] - costs[0]), records: counted.records,
            sum: counted.sum)
    }

    // MARK: Programs

    /// The interpreter of a virtual environment that has `package`, made if need be; `nil` where it cannot be had.
    private static func environment(_ package: String, _ version: String, proof: String) -> String? {
        let folder = cache.appending(path: "\(package)-\(version)").path
        let python = "\(folder)/bin/python3"
        func works() -> Bool { (try? run(python, ["-c", proof])) != nil }
        if works() { return python }
        do {
            _ = try run("/usr/bin/env", ["python3", "-m", "venv", folder])
            _ = try run("\(folder)/bin/pip", ["install", "-q", "--no-deps", "\(package)==\(version)"])
        } catch {
            print("skipped: \(package) \(version) cannot be installed here: \(error)")
            return nil
        }
        return works() ? python : nil
    }

    private static func read(_ text: String) throws -> Output {
        let line = text.split(separator: "\n").last ?? ""
        return try JSONDecoder().decode(Output.self, from: Data(line.utf8))
    }

    /// - Returns: what the program wrote to its standard output.
    /// - Throws: `TrimtabError` with the end of what it wrote when it did not end with 0.
    private static func run(_ program: String, _ arguments: [String]) throws -> String {
        let log = FileManager.default.temporaryDirectory.appending(path: "trimtab-peer-\(UUID().uuidString)")
        _ = FileManager.default.createFile(atPath: log.path, contents: nil)
        defer { try? FileManager.default.removeItem(at: log) }
        let process = Process(), output = Pipe()
        process.executableURL = URL(filePath: program)
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = try FileHandle(forWritingTo: log)
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            let errors = (try? String(contentsOf: log, encoding: .utf8)) ?? ""
            throw TrimtabError(
                "bench.peer", "\(program) failed: \((text + errors).suffix(600))", remedy: "Read what it wrote.")
        }
        return text
    }
}

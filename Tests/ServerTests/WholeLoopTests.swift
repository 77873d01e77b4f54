import Core
import Foundation
import Testing

/// The real program in a process of its own: the demo's private PostgreSQL, all roles, simulated traffic.
@Suite(.serialized) struct WholeLoopTests {
    static let program: String = {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        return "\(root.path)/.build/release/trimtab"
    }()

    /// A running demo in a folder of its own.
    final class Demo {
        let folder: String
        let port: Int
        private(set) var process = Process()
        private var output = Pipe()

        init(folder: String, port: Int) throws {
            self.folder = folder
            self.port = port
            try start()
        }

        func start() throws {
            let root = URL(fileURLWithPath: WholeLoopTests.program).deletingLastPathComponent()
                .deletingLastPathComponent()
                .deletingLastPathComponent()
            process = Process()
            process.executableURL = URL(fileURLWithPath: WholeLoopTests.program)
            process.currentDirectoryURL = root
            process.arguments = [
                "demo", "--set", "data_dir=\(folder)", "--set", "gateway.bind=127.0.0.1:\(port)", "--set",
                "api.bind=127.0.0.1:\(port + 50)",
            ]
            process.standardOutput = FileHandle.nullDevice
            process.standardError = FileHandle.nullDevice
            try process.run()
        }

        func kill() {
            Foundation.kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }

        func stop() -> Int32 {
            process.terminate()
            process.waitUntilExit()
            return process.terminationStatus
        }

        func get(_ path: String) async throws -> [String: Any]? {
            let token = (try? String(contentsOfFile: "\(folder)/admin.token", encoding: .utf8))?
                .trimmingCharacters(in: .whitespacesAndNewlines)
            guard let token else { return nil }
            let text = try await Shell.run(
                "/usr/bin/curl",
                ["-s", "-m", "5", "-H", "Authorization: Bearer \(token)", "http://127.0.0.1:\(port + 50)\(path)"])
            return try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
        }

        func sql(_ query: String) async throws -> String {
            let name = String(Hash64.hash(folder, salt: UInt64(getuid())), radix: 36)
            return try await Shell.run(
                "/usr/bin/psql", ["-h", "/tmp/trimtab-\(name)", "-U", "trimtab", "-d", "trimtab", "-Atc", query])
        }
    }

    /// Polls until `condition` gives a value.
    static func eventually<Value>(within seconds: Double, _ condition: () async throws -> Value?) async throws -> Value
    {
        let deadline = Date().addingTimeInterval(seconds)
        while Date() < deadline {
            if let value = try? await condition() { return value }
            try await Task.sleep(for: .milliseconds(200))
        }
        throw TrimtabError("test.timeout", "Nothing came within \(seconds) s.", remedy: "See the log.")
    }

    static func temporaryFolder() throws -> String {
        // Root's own folders are closed to the user that PostgreSQL runs as.
        let folder = "/tmp/trimtab-test-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
        return folder
    }

    /// Killed at random moments, the service goes on where it was, and windows count every record once.
    @Test(.timeLimit(.minutes(5))) func killsLoseAndDoubleNothing() async throws {
        try #require(FileManager.default.isExecutableFile(atPath: Self.program), "build the product first")
        let folder = try Self.temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let demo = try Demo(folder: folder, port: 18_080)
        defer { demo.kill() }
        var generator = SplitMix64(seed: 7)
        for _ in 0..<3 {
            _ = try await Self.eventually(within: 60) { try await demo.get("/api/v1/routes") }
            try await Task.sleep(for: .milliseconds(2_500 + Int(generator.next() % 1_500)))
            demo.kill()
            try demo.start()
        }
        _ = try await Self.eventually(within: 60) { try await demo.get("/api/v1/routes") }
        try await Task.sleep(for: .seconds(2))
        demo.kill()
        try demo.start()
        // All windows that ended before now are due a few seconds after it, whatever the kills interrupted.
        let end = Int64(Date().timeIntervalSince1970) / 5 * 5_000
        _ = try await Self.eventually(within: 90) { () -> Bool? in
            let watermark = try await demo.sql("SELECT min(watermark) FROM stream_partitions")
            return (Int64(watermark.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0) > end + 3_000 ? true : nil
        }
        let written = try await Self.requestsInLog(folder, endedBefore: end)
        let counted = try await demo.sql("SELECT sum(requests)::bigint FROM window_results WHERE window_end <= \(end)")
        #expect(written > 300)
        #expect(Int(counted.trimmingCharacters(in: .whitespacesAndNewlines)) == written)
        #expect(
            try await demo.sql("SELECT count(*) FROM dead_letters").trimmingCharacters(in: .whitespacesAndNewlines)
                == "0")
    }

    /// Counts request records in the log's file, without our own reader.
    static func requestsInLog(_ folder: String, endedBefore end: Int64) async throws -> Int {
        let script = """
            import re, sqlite3, sys
            count = 0
            for row in sqlite3.connect("file:%s?mode=ro" % sys.argv[1], uri=True).execute("SELECT payload FROM batches"):
                count += sum(int(at) < int(sys.argv[2]) for at in re.findall(rb'"at":([0-9]+),"started_at":', row[0]))
            print(count)
            """
        let text = try await Shell.run("/usr/bin/env", ["python3", "-c", script, "\(folder)/events.sqlite", "\(end)"])
        return try #require(Int(text.trimmingCharacters(in: .whitespacesAndNewlines)))
    }

    @Test(.timeLimit(.minutes(2))) func stopsAtOnceAndGoesOnWhereItStopped() async throws {
        try #require(FileManager.default.isExecutableFile(atPath: Self.program), "build the product first")
        let folder = try Self.temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let demo = try Demo(folder: folder, port: 18_180)
        defer { demo.kill() }
        let first = try await Self.eventually(within: 60) { () -> Int? in
            let items = try await demo.get("/api/v1/decisions")?["items"] as? [Any]
            return items.flatMap { $0.isEmpty ? nil : $0.count }
        }
        #expect(demo.stop() == 0)
        try demo.start()
        let second = try await Self.eventually(within: 60) { () -> Int? in
            (try await demo.get("/api/v1/decisions")?["items"] as? [Any])?.count
        }
        #expect(second >= first)
        #expect(demo.stop() == 0)
    }
}

enum Shell {
    static func run(_ program: String, _ arguments: [String]) async throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = FileHandle.nullDevice
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: data, as: UTF8.self)
    }
}

import Core
import Foundation
import Testing

/// The real program in a process of its own, with a data folder that outlives it.
final class ServiceProcess {
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    static let program = "\(root.path)/.build/release/trimtab"

    let folder: String
    /// The gateway's; the control API listens 50 above.
    let port: Int
    private let arguments: [String]
    private var process = Process()

    init(_ arguments: [String], folder: String, port: Int) throws {
        try #require(FileManager.default.isExecutableFile(atPath: Self.program), "build the product first")
        self.folder = folder
        self.port = port
        self.arguments =
            arguments + [
                "--set", "data_dir=\(folder)", "--set", "gateway.bind=127.0.0.1:\(port)", "--set",
                "api.bind=127.0.0.1:\(port + 50)",
            ]
        try start()
    }

    /// The whole loop on simulated traffic, with a private PostgreSQL.
    ///
    /// - Parameter settings: `key=value`.
    static func demo(folder: String, port: Int, _ settings: [String] = []) throws -> ServiceProcess {
        try ServiceProcess(["demo"] + settings.flatMap { ["--set", $0] }, folder: folder, port: port)
    }

    /// `trimtab serve` with settings, on a database that has been brought up to date.
    static func serving(_ settings: String, folder: String, port: Int) async throws -> ServiceProcess {
        let file = "\(folder)/trimtab.yaml"
        try settings.write(toFile: file, atomically: true, encoding: .utf8)
        _ = try await Shell.run(program, ["migrate", "--config", file])
        return try ServiceProcess(["serve", "--config", file], folder: folder, port: port)
    }

    /// A folder for data that the server's own user can reach, which root's own are not.
    static func temporaryFolder() throws -> String {
        let folder = "/tmp/trimtab-test-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
        return folder
    }

    func start() throws {
        process = Process()
        process.executableURL = URL(fileURLWithPath: Self.program)
        process.currentDirectoryURL = Self.root
        process.arguments = arguments
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
    }

    func kill() {
        Foundation.kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    func signal(_ signal: Int32) { Foundation.kill(process.processIdentifier, signal) }

    func stop() -> Int32 {
        process.terminate()
        process.waitUntilExit()
        return process.terminationStatus
    }

    /// Waits until the control API answers.
    func ready() async throws {
        _ = try await Wait.upTo(seconds: 60) { try await self.get("/api/v1/routes") }
    }

    func get(_ path: String) async throws -> [String: Any]? {
        guard let token = secret("admin.token") else { return nil }
        let text = try await Shell.run(
            "/usr/bin/curl",
            ["-s", "-m", "5", "-H", "Authorization: Bearer \(token)", "http://127.0.0.1:\(port + 50)\(path)"])
        return try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
    }

    /// Runs the command line against it.
    func command(_ arguments: [String]) async throws -> String {
        let token = try #require(secret("admin.token"))
        return try await Shell.run(
            "/usr/bin/env",
            ["TRIMTAB_URL=http://127.0.0.1:\(port + 50)", "TRIMTAB_TOKEN=\(token)", Self.program] + arguments)
    }

    func items(_ path: String) async throws -> [[String: Any]]? { try await get(path)?["items"] as? [[String: Any]] }

    /// The value of a sample, written as `name{label="value"}`; `nil` while there is none.
    func metric(_ sample: String) async throws -> Double? {
        let text = try await Shell.run("/usr/bin/curl", ["-s", "-m", "5", "http://127.0.0.1:\(port + 50)/metrics"])
        return text.split(separator: "\n").first { $0.hasPrefix(sample + " ") }
            .flatMap { Double($0.dropFirst(sample.count + 1)) }
    }

    /// What a file of the data folder holds.
    func secret(_ file: String) -> String? {
        (try? String(contentsOfFile: "\(folder)/\(file)", encoding: .utf8))?
            .trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// Asks the demo's own database.
    func sql(_ query: String) async throws -> String {
        let name = String(Hash64.hash(folder, salt: UInt64(getuid())), radix: 36)
        return try await Shell.sql("host=/tmp/trimtab-\(name) user=trimtab dbname=trimtab", query)
    }

    /// The ids of the requests in the log's file that ended before a moment.
    func requestsInLog(endedBefore end: Int64 = .max) async throws -> Set<String> {
        Set(try await recordsInLog().filter { $0.at < end }.map(\.id))
    }

    /// A request of the log, as far as tests look at it.
    struct LoggedRequest: Decodable {
        var id: String
        var at: Int64
        var startedAt: Int64
        var outcome: String
        /// `nil` is stable.
        var arm: String?
        var rollout: String?

        enum CodingKeys: String, CodingKey {
            case id, at, outcome, arm, rollout
            case startedAt = "started_at"
        }
    }

    /// The requests in the log's file, found without our own reader.
    func recordsInLog() async throws -> [LoggedRequest] {
        let script = """
            import json, sqlite3, struct, sys
            for (payload,) in sqlite3.connect("file:%s?mode=ro" % sys.argv[1], uri=True).execute("SELECT payload FROM batches"):
                at = 0
                while at < len(payload):
                    length = struct.unpack_from("<I", payload, at + 3)[0]
                    if payload[at] == 1: print(payload[at + 7:at + 7 + length].decode())
                    at += 7 + length
            """
        let text = try await Shell.run("/usr/bin/env", ["python3", "-c", script, "\(folder)/events.sqlite"])
        return try text.split(separator: "\n").map {
            try JSONDecoder().decode(LoggedRequest.self, from: Data($0.utf8))
        }
    }
}

enum Wait {
    /// Polls until `condition` gives a value; what it throws counts as none.
    static func upTo<Value>(seconds: Double, _ condition: () async throws -> Value?) async throws -> Value {
        let deadline = ContinuousClock.now + .seconds(seconds)
        while .now < deadline {
            if let value = try? await condition() { return value }
            try await Task.sleep(for: .milliseconds(100))
        }
        throw TrimtabError("test.timeout", "Nothing came within \(seconds) s.", remedy: "See the log.")
    }
}

enum Shell {
    static func run(_ program: String, _ arguments: [String], input: String? = nil) async throws -> String {
        let (process, output) = try start(program, arguments, input: input)
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: data, as: UTF8.self)
    }

    /// Starts a program whose output can be read from the pipe.
    static func start(_ program: String, _ arguments: [String], input: String? = nil) throws -> (Process, Pipe) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.currentDirectoryURL = ServiceProcess.root
        process.arguments = arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = FileHandle.nullDevice
        let given = Pipe()
        process.standardInput = given
        try process.run()
        if let input { given.fileHandleForWriting.write(Data(input.utf8)) }
        try given.fileHandleForWriting.close()
        return (process, pipe)
    }

    static func sql(_ connection: String, _ query: String) async throws -> String {
        try await run("/usr/bin/psql", ["-d", connection, "-Atc", query])
            .trimmingCharacters(in: .whitespacesAndNewlines)
    }
}

import Core
import Foundation

/// A program started for a benchmark, with what the kernel counts of it.
final class ChildProcess {
    private let process = Process()
    private let log: URL

    /// - Parameter log: takes its output and errors.
    init(_ program: String, _ arguments: [String], log: URL) throws {
        self.log = log
        _ = FileManager.default.createFile(atPath: log.path, contents: nil)
        let output = try FileHandle(forWritingTo: log)
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        // What sets the benchmark, or another Trimtab of this machine, does not set the program that is measured.
        process.environment = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("TRIMTAB_") }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = output
        try process.run()
    }

    /// The product beside this benchmark's own binary.
    static var trimtab: String {
        URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().appending(path: "trimtab").path
    }

    /// Where a program lies, `nil` if it is not installed.
    static func find(_ name: String) -> String? {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        return (path.split(separator: ":").map(String.init) + ["/usr/sbin", "/usr/bin"])
            .map { "\($0)/\(name)" }.first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    /// User and system seconds of all threads, from `/proc`.
    var cpuSeconds: Double {
        let stat = (try? String(contentsOfFile: "/proc/\(process.processIdentifier)/stat", encoding: .utf8)) ?? ""
        // The second field is the program's name in brackets and may have spaces: fields count from behind it.
        let fields = stat.drop { $0 != ")" }.split(separator: " ")
        guard fields.count > 13, let user = Double(fields[12]), let system = Double(fields[13]) else { return 0 }
        return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    /// Resident memory, megabytes of 2^20 bytes.
    var residentMB: Double { Self.residentMB("\(process.processIdentifier)") }

    /// The same of any process; `self` is this one.
    static func residentMB(_ process: String) -> Double {
        let text = (try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        return (line?.split(separator: " ").dropFirst().first.flatMap { Double($0) } ?? 0) / 1_024
    }

    /// Waits for the end.
    ///
    /// - Returns: what it wrote.
    /// - Throws: `TrimtabError` with that when it failed.
    func output() async throws -> String {
        while process.isRunning { try await Task.sleep(for: .milliseconds(2)) }
        let text = (try? String(contentsOf: log, encoding: .utf8)) ?? ""
        guard process.terminationStatus == 0 else {
            throw TrimtabError("bench.program", "A program failed: \(text.suffix(600))", remedy: "Read what it wrote.")
        }
        return text
    }

    /// Asks it to end and waits, at most ten seconds, then kills it.
    ///
    /// - Returns: how long that took.
    @discardableResult
    func stop() async -> Duration {
        let began = ContinuousClock.now
        if process.isRunning { process.terminate() }
        while process.isRunning, ContinuousClock.now - began < .seconds(10) {
            try? await Task.sleep(for: .milliseconds(2))
        }
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        return ContinuousClock.now - began
    }

    /// Stops it where it is, as a machine does that hangs; only `end` and `stop` go on from there.
    func freeze() { kill(process.processIdentifier, SIGSTOP) }

    /// Ends it at once.
    func end() { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

    /// Asks until `check` says yes.
    ///
    /// - Throws: `TrimtabError` with the end of its output after 30 seconds, or when it has ended.
    func wait(every pause: Duration, for what: String, until check: () async -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(30)
        while await !check() {
            guard process.isRunning, ContinuousClock.now < deadline else {
                let text = (try? String(contentsOf: log, encoding: .utf8)) ?? ""
                throw TrimtabError("bench.\(what)", "No \(what): \(text.suffix(600))", remedy: "Read what it wrote.")
            }
            try await Task.sleep(for: pause)
        }
    }
}

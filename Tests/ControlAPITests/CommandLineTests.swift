import ControlAPI
import Core
import Foundation
import Policy
import Rollouts
import Testing

/// The command line as people use it: the built program, against a real server.
@Suite(.enabled(if: Program.isBuilt, "the program is not built")) struct CommandLineTool {
    @Test func tablesForPeople() async throws {
        try await TestServer.run { server in
            var text = ""
            for arguments in [
                ["routes", "list"], ["routes", "show", "support-chat"], ["policies", "list", "support-chat"],
                ["policies", "show", "support-chat", "2"], ["policies", "diff", "support-chat", "1", "2"],
                ["decisions", "list"], ["decisions", "show", "\(Fixture.id(1))"], ["rollouts", "list"],
                ["rollouts", "show", "\(Fixture.id(3))"], ["rollouts", "pause", "\(Fixture.id(3))"],
                ["rollouts", "waive", "\(Fixture.id(3))", "cost", "--for", "600", "--reason", "known"],
                ["prices", "list"], ["prices", "set", "sim/new", "--input-price", "0.15", "--output-price", "0.6"],
                ["keys", "list"], ["tokens", "list"],
                ["prices"], ["rollouts", "start", "support-chat", "--policy", "2"],
            ] {
                let (status, said) = try await Program.run(arguments, server)
                #expect(status == 0, "\(arguments): \(said)")
                text += "$ trimtab \(arguments.joined(separator: " "))\n\(said)\n"
            }
            server.store.edit { $0.rollouts[0].phase = .promoted }
            text += "$ trimtab rollouts list  # once it is promoted\n"
            text += try await Program.run(["rollouts", "list", "--state", "promoted"], server).1
            let shadow = try Fixture.shadow()
            server.store.edit { $0.rollouts[0] = shadow }
            text += "\n$ trimtab rollouts show \(Fixture.id(3))  # of a shadow\n"
            text += try await Program.run(["rollouts", "show", "\(Fixture.id(3))"], server).1
            try golden("tables.txt", text)
        }
    }

    @Test func failuresSayWhatToDoAndHowTheyEnded() async throws {
        try await TestServer.run { server in
            let file = FileManager.default.temporaryDirectory.appending(path: "trimtab-\(UUID()).yaml")
            defer { try? FileManager.default.removeItem(at: file) }
            try "name: new\nholdot: 0.1\n".write(to: file, atomically: true, encoding: .utf8)
            let configuration = FileManager.default.temporaryDirectory.appending(path: "trimtab-\(UUID()).yaml")
            defer { try? FileManager.default.removeItem(at: configuration) }
            try "routes:\n  a: {targets: [sim/m]}\n".write(to: configuration, atomically: true, encoding: .utf8)
            let cases: [([String], Int32, String)] = [
                (["routes", "show", "nobody"], 64, "`trimtab routes list` shows those there are."),
                (["routes", "apply", "-f", file.path], 64, "/holdot: 'holdot' is not a field here."),
                (["routes", "apply", "-f", "/nowhere"], 64, "cannot be read"),
                (["routes", "apply", "-f", configuration.path], 64, "is a configuration"),
                (["rollouts", "start", "support-chat", "--policy", "2", "--reason", ""], 64, "A reason is not empty."),
                (["rollouts", "list", "--state", "bogus"], 64, "'bogus' is not one of progressing, paused,"),
                (["decisions", "list", "--status", "bogus"], 64, "'bogus' is not one of noted, proposed,"),
                (["prices", "set", "sim/x", "--unknown", "--input-price", "3"], 64, "or --unknown alone"),
                (["serve", "--roles", "bogus"], 64, "'bogus' is not a role."),
                (["simulate", "fleet", "--port", "99999"], 64, "--port is a number from 0 to 65535."),
                (["simulate", "fleet", "--speed", "0"], 64, "--speed is a number above 0."),
                (["simulate", "fleet", "--scenario", "nothing"], 64, "nothing"),
                (["simulate", "replay", "--key", "k", "--route", "r", "--speed", "0"], 64, "--speed is"),
                (
                    ["simulate", "replay", "--key", "k", "--route", "r", "--seconds", "1", "--gateway", server.base],
                    69, "failed with"
                ),
                (["policies", "activate", "support-chat", "2"], 64, "--yes"),
                (["rollouts", "resume", "\(Fixture.id(3))"], 64, "Pause it first."),
                (["rollouts", "fly"], 64, "Usage"), (["routes", "list", "--url", "ftp://x"], 64, "is not an address"),
                (["routes", "list", "--url", "http://127.0.0.1:1"], 69, "Nothing answers at 127.0.0.1:1."),
            ]
            for (arguments, status, part) in cases {
                let (ended, said) = try await Program.run(arguments, server)
                #expect(ended == status && said.contains(part), "\(arguments): \(ended) \(said)")
            }
        }
    }

    /// Without a token in the environment the data folder's is taken, and a refusal says which one that was.
    @Test func aRefusedTokenIsTracedToItsFile() async throws {
        try await TestServer.run { server in
            let folder = FileManager.default.temporaryDirectory.appending(path: "trimtab-data-\(UUID())")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: folder) }
            let environment = ["TRIMTAB_TOKEN": "", "TRIMTAB_DATA_DIR": folder.path]
            let none = try await Program.run(["routes", "list"], server, environment)
            #expect(none.0 == 78 && none.1.contains("\(folder.path)/admin.token cannot be read."), "\(none)")
            let file = folder.appending(path: "admin.token")
            try "tto-old\n".write(to: file, atomically: true, encoding: .utf8)
            let old = try await Program.run(["routes", "list"], server, environment)
            #expect(old.0 == 64 && old.1.contains("The token came from \(file.path)."), "\(old)")
            try (server.tokens[.viewer] ?? "").write(to: file, atomically: true, encoding: .utf8)
            let found = try await Program.run(["routes", "list"], server, environment)
            #expect(found.0 == 0, "\(found)")
        }
    }

    @Test func yamlIsAppliedAndJSONComesBack() async throws {
        try await TestServer.run { server in
            let file = FileManager.default.temporaryDirectory.appending(path: "trimtab-\(UUID()).yaml")
            defer { try? FileManager.default.removeItem(at: file) }
            let yaml = """
                name: "team/new"
                objective: {quality: {tolerance: 0.05}}
                autonomy: auto
                policy:
                  targets: [{provider: sim, model: "4"}]
                """
            try yaml.write(to: file, atomically: true, encoding: .utf8)
            let (status, said) = try await Program.run(["routes", "apply", "-f", file.path], server)
            #expect(status == 0 && said.contains("policy 1 serves it"), "\(said)")
            let (_, key) = try await Program.run(["keys", "create", "k", "-o", "json"], server)
            #expect(key.contains("\"secret\""))
            let (_, revoked) = try await Program.run(["keys", "revoke", "k", "-o", "json"], server)
            #expect(revoked.contains("\"name\" : \"k\""), "\(revoked)")
            let (_, shown) = try await Program.run(["routes", "show", "team/new", "--output", "json"], server)
            let route = try JSONSerialization.jsonObject(with: Data(shown.utf8)) as? [String: Any]
            #expect(route?["name"] as? String == "team/new" && route?["autonomy"] as? String == "auto")
        }
    }
}

enum Program {
    /// Beside the test bundle, where one build puts both.
    static let path = URL(filePath: CommandLine.arguments[0]).resolvingSymlinksInPath().deletingLastPathComponent()
        .appending(path: "trimtab").path
    static var isBuilt: Bool { FileManager.default.isExecutableFile(atPath: path) }

    static func run(
        _ arguments: [String], _ server: TestServer, _ environment: [String: String] = [:]
    ) async throws -> (Int32, String) {
        let process = Process()
        process.executableURL = URL(filePath: path)
        process.arguments = arguments
        process.environment = [
            "TRIMTAB_URL": server.base, "TRIMTAB_TOKEN": server.tokens[.admin] ?? "", "TZ": "UTC",
            "HOME": "/nonexistent",
        ].merging(environment) { $1 }
        let output = FileManager.default.temporaryDirectory.appending(path: "trimtab-output-\(UUID())")
        try Data().write(to: output)
        defer { try? FileManager.default.removeItem(at: output) }
        let handle = try FileHandle(forWritingTo: output)
        process.standardOutput = handle
        process.standardError = handle
        try process.run()
        for _ in 0..<1_000 where process.isRunning { try await Task.sleep(for: .milliseconds(20)) }
        if process.isRunning { process.terminate() }
        process.waitUntilExit()
        try handle.close()
        return (process.terminationStatus, try String(contentsOf: output, encoding: .utf8))
    }
}

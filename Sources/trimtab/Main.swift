import ArgumentParser
import Core
import Foundation

@main
struct Trimtab: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trimtab",
        abstract: "Keeps LLM traffic on the best trade-off of cost, latency and quality.",
        discussion: """
            Commands that look and change speak to the control API at TRIMTAB_URL (default http://127.0.0.1:8081) with \
            the token in TRIMTAB_TOKEN, else with the one in the data folder (TRIMTAB_DATA_DIR, if it is not the default).
            """,
        version: Build.version,
        groupedSubcommands: [
            CommandGroup(name: "Run", subcommands: [Demo.self, Serve.self, Migrate.self, Config.self, Simulate.self]),
            CommandGroup(
                name: "Look and change",
                subcommands: [
                    Routes.self, Policies.self, Decisions.self, Rollouts.self, Rehearse.self, Findings.self,
                    Analyze.self,
                    Prices.self, Stream.self,
                ]),
            CommandGroup(name: "Access", subcommands: [Keys.self, Tokens.self]),
            CommandGroup(name: "Other", subcommands: [PrintVersion.self]),
        ])

    /// Ends with the status that says what kind of failure it was (sysexits.h).
    static func main() async {
        do {
            var command = try parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let failure as Failure {
            FileHandle.standardError.write(Data("trimtab: \(failure.text)\n".utf8))
            end(failure.status)
        } catch let error as TrimtabError {
            FileHandle.standardError.write(Data("trimtab: \(error.summary) \(error.remedy)\n".utf8))
            end(Failure.status(of: error))
        } catch {
            exit(withError: error)
        }
    }
}

private func end(_ status: ExitStatus) -> Never { exit(status.rawValue) }

struct PrintVersion: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "version", abstract: "Print the version.")
    func run() { print("trimtab \(Build.version)") }
}

/// A failure that was explained to the user and only needs its exit status.
struct Failure: Error {
    let status: ExitStatus
    let text: String

    /// By the kind of error: what is away, what the configuration or the command line asks for that cannot be had, and
    /// the rest.
    static func status(of error: TrimtabError) -> ExitStatus {
        if error.code.hasSuffix(".unavailable") || error.code.hasSuffix(".in_use") { return .unavailable }
        switch error.code {
        case "store.refused", "simulation.bind": return .configuration
        // Not the server's fault but that of the program or its files.
        case "store.migration_edited", "store.migration_failed", "store.schema_newer": return .software
        default: break
        }
        return switch error.code.split(separator: ".").first {
        case "config", "gateway", "api", "event_log", "local_log", "server": .configuration
        case "store", "postgres": .unavailable
        case "simulation", "file", "usage": .usage
        default: .software
        }
    }
}

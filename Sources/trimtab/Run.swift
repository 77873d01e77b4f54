import ArgumentParser
import Core
import Foundation
import Server

/// The flags of every command that reads the configuration.
struct ConfigurationOptions: ParsableArguments {
    @Option(name: [.short, .long], help: "The configuration file (YAML).")
    var config: String?
    @Option(
        name: .customLong("set"), help: "A setting, `key=value`; stronger than every other source. May be repeated.")
    var settings: [String] = []
    @Option(help: "A folder with one file for each secret, named after its key.")
    var secrets: String?

    func source(default file: String? = nil) throws -> SettingsSource {
        let environment = ProcessInfo.processInfo.environment
        return try SettingsSource(
            file: config ?? environment["TRIMTAB_CONFIG"] ?? file, flags: settings, environment: environment,
            secretsFolder: secrets)
    }
}

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run the service.",
        discussion:
            "Runs all roles unless --roles names some: gateway, stream, control. Stops gracefully on SIGTERM or Ctrl-C; a second one ends at once."
    )
    @OptionGroup var options: ConfigurationOptions
    @Option(help: "Roles of this process, separated by commas.")
    var roles = ""

    func run() async throws { try await Commands.serve(options.source(), roles: roles) }
}

struct Demo: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run the whole loop on simulated traffic, with a private PostgreSQL.",
        discussion: "Reaches no outside host. Ctrl-C drains; a second start goes on where the first stopped.")
    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        guard let file = Configuration.file("demo.yaml")?.path ?? options.config else {
            throw TrimtabError(
                "config.unreadable", "config/demo.yaml was not found.",
                remedy: "Start in the project's folder, or name a file with --config.")
        }
        try await Commands.demo(options.source(default: file))
    }
}

struct Migrate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Bring the database to this version's schema.")
    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        let applied = try await Commands.migrate(options.source())
        print(applied.isEmpty ? "The schema is up to date." : applied.map { "applied \($0)" }.joined(separator: "\n"))
    }
}

struct Config: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Check or show the configuration.", subcommands: [Validate.self, Show.self])

    struct Validate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check the configuration, and whether the store has drifted from it.")
        @OptionGroup var options: ConfigurationOptions

        func run() async throws {
            let source = try options.source()
            let notes = try await Commands.validate(source)
            print((["The configuration is valid."] + notes).joined(separator: "\n"))
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Print every setting in force; secrets are redacted.")
        @OptionGroup var options: ConfigurationOptions
        @Option(name: .shortAndLong, help: "table: `key = value` lines; json: one object of texts by key.")
        var output: OutputFormat = .table

        func run() throws {
            let entries = try Commands.show(options.source())
            switch output {
            case .table: for entry in entries { print("\(entry.key) = \(entry.value)") }
            case .json:
                let values = entries.map { ($0.key, JSON.string($0.value)) }
                print(JSON.object(Dictionary(values) { $1 }).pretty)
            }
        }
    }
}

import ArgumentParser
import Core
import Foundation
import Server
import Simulation

/// Recorded data by path, in the layouts of docs/simulation.md.
struct RecordedOptions: ParsableArguments {
    @Option(help: "Arrivals, CSV: t_s,input_tokens,output_tokens.")
    var arrivals: String?
    @Option(help: "Outcomes of the same prompts on several models, CSV or .csv.gz.")
    var outcomes: String?
    @Option(help: "Prices of the set's models, CSV.")
    var prices: String?
    @Option(help: "Models of the set, separated by commas; a route starts on the first.")
    var models = ""

    var recorded: Server.Simulate.Recorded {
        .init(
            arrivals: arrivals, outcomes: outcomes, prices: prices,
            models: models.split(separator: ",").map(String.init))
    }
}

struct Simulate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Simulated providers, replayed traffic, scenarios, and the loop on a virtual clock.",
        subcommands: [FleetCommand.self, Replay.self, RunScenario.self, Virtual.self])

    struct FleetCommand: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "fleet", abstract: "Serve simulated providers in the real wire format.")
        @Option(help: "A built-in scenario, or the path of a file: whose models to serve.")
        var scenario = "savings"
        @OptionGroup var data: RecordedOptions
        @Option(help: "0 takes a free port.")
        var port = 9090
        @Option(help: "Divides latencies.")
        var speed = 1.0

        func validate() throws {
            guard (0...65_535).contains(port) else { throw ValidationError("--port is a number from 0 to 65535.") }
            try requirePositive("--speed", speed)
        }

        func run() async throws {
            try await Server.Simulate.fleet(
                scenario: scenario, recorded: data.recorded, port: port, speed: speed, say: say)
        }
    }

    struct Replay: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Replay traffic against a gateway, as an open loop.")
        @Option(help: "A built-in scenario, or the path of a file: whose traffic to send.")
        var scenario = "savings"
        @OptionGroup var data: RecordedOptions
        @Option(help: "The gateway.")
        var gateway = "http://127.0.0.1:8080"
        @Option(help: "A virtual key.")
        var key: String
        @Option(help: "The route.")
        var route: String
        @Option(help: "Divides the gaps between requests.")
        var speed = 1.0
        @Option(help: "Stop after so many seconds.")
        var seconds: Double?

        func validate() throws {
            try requirePositive("--speed", speed)
            if let seconds { try requirePositive("--seconds", seconds) }
        }

        func run() async throws {
            var options = ReplayOptions(gateway: gateway, key: key, route: route)
            options.speed = speed
            try await Server.Simulate.replay(
                scenario: scenario, recorded: data.recorded, options: options, seconds: seconds,
                say: say)
        }
    }

    struct RunScenario: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "scenario", abstract: "Run the whole loop on one scenario, in a data folder of its own.")
        @Argument(help: "A built-in scenario, or the path of a file.")
        var scenario: String
        @OptionGroup var options: ConfigurationOptions

        func run() async throws {
            var options = options
            let name = URL(fileURLWithPath: scenario).deletingPathExtension().lastPathComponent
            options.settings =
                [
                    "simulation.scenario=\(scenario)", "simulation.bad_upgrade=",
                    "data_dir=\(Settings.defaultDataFolder)/scenarios/\(name)",
                ] + options.settings
            try await Commands.demo(options.source(default: Configuration.file("demo.yaml")?.path))
        }
    }

    struct Virtual: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Run the loop on a virtual clock, without sockets, from one seed.")
        @Option(help: "A built-in scenario, or the path of a file.")
        var scenario = "savings"
        @OptionGroup var data: RecordedOptions
        @Option(help: "Virtual hours; recorded sets are sparse and take days.")
        var hours = 1.0
        @Option(help: "The same seed gives the same run.")
        var seed: UInt64 = 1
        @OptionGroup var options: ConfigurationOptions

        func validate() throws {
            guard hours > 0, hours <= 100_000 else { throw ValidationError("--hours must be above 0, at most 100000.") }
            guard (data.outcomes == nil) == (data.arrivals == nil), (data.outcomes == nil) == data.models.isEmpty else {
                throw ValidationError("Recorded data takes --arrivals, --outcomes and --models together.")
            }
        }

        func run() async throws {
            // The demo's haste fits its own traffic; recorded days are judged by the defaults.
            let file = data.outcomes == nil ? Configuration.file("demo.yaml")?.path : nil
            try await Server.Simulate.virtual(
                scenario: scenario, recorded: data.recorded, hours: hours, seed: seed,
                source: options.source(default: file), say: say)
        }
    }
}

/// Writes a line at once: `print` would hold it back from a pipe or a file until the end.
@Sendable private func say(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }

private func requirePositive(_ option: String, _ value: Double) throws {
    guard value > 0, value.isFinite else { throw ValidationError("\(option) is a number above 0.") }
}

import ArgumentParser
import Core

struct Policies: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Immutable versions of how a route is served.",
        subcommands: [List.self, Show.self, Create.self, Diff.self, Activate.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List a route's policies.")
        @Argument var route: String
        @OptionGroup var client: ClientOptions

        func run() async throws {
            client.show(try await client.send("GET", "routes/\(segment(route))/policies?limit=200")) {
                Table.page($0, Policies.columns, empty: "No policies.")
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show a policy.")
        @Argument var route: String
        @Argument var version: Int
        @OptionGroup var client: ClientOptions

        func run() async throws {
            client.show(
                try await client.send("GET", "routes/\(segment(route))/policies/\(version)"), as: Policies.describe)
        }
    }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Add a policy version; it serves nothing until it is rolled out.")
        @Argument var route: String
        @Option(name: .shortAndLong, help: "JSON or YAML; - for standard input.") var file: String
        @OptionGroup var client: ClientOptions

        func run() async throws {
            let body = try InputFile.read(file)
            let route = route
            client.show(try await client.send("POST", "routes/\(segment(route))/policies", body: body)) {
                let version = $0["version"].text
                return "Policy \(version) is kept. Roll it out with "
                    + "`trimtab rollouts start \(route) --policy \(version)`."
            }
        }
    }

    struct Diff: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show what differs between two policies.")
        @Argument var route: String
        @Argument(help: "The older version.") var old: Int
        @Argument(help: "The newer version.") var new: Int
        @OptionGroup var client: ClientOptions

        func run() async throws {
            let path = "routes/\(segment(route))/policies/\(new)/diff?against=\(old)"
            client.show(try await client.send("GET", path)) {
                let columns = [Column("key", "key"), Column("\(old)", "old"), Column("\(new)", "new")]
                return Table.render($0["differences"].list, columns, empty: "They do the same.")
            }
        }
    }

    struct Activate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a version stable at once, without a canary; needs --yes.")
        @Argument var route: String
        @Argument var version: Int
        @Flag(help: "Do it.") var yes = false
        @OptionGroup var client: ClientOptions

        func run() async throws {
            guard yes else {
                throw Failure(
                    status: .usage,
                    text: "All traffic of '\(route)' would move to policy \(version) at once, without evidence. "
                        + "Add --yes to do it, or use `trimtab rollouts start`.")
            }
            let answer = try await client.send("POST", "routes/\(segment(route))/policies/\(version):activate")
            client.show(answer) { $0["message"].text }
        }
    }

    private static let columns = [
        Column("version", "version", right: true), Column("parent", "parent", right: true),
        Column("created") { Table.time($0["created_at"]) },
        Column("targets") { $0["targets"].list.map { $0["id"].text }.joined(separator: ", ") },
        Column("hash", "content_hash"), Column("reason") { Table.short($0["reason"].text) },
    ]

    private static func describe(_ policy: JSON) -> String {
        Table.fields([
            ("route", policy["route"].text), ("version", policy["version"].text), ("parent", policy["parent"].text),
            ("created", Table.time(policy["created_at"])), ("by", policy["created_by"].text),
            ("reason", policy["reason"].text),
            ("targets", policy["targets"].list.map { $0["id"].text }.joined(separator: ", ")),
            ("selector", policy["selector"].text), ("fallbacks", policy["fallbacks"].text),
            ("timeouts", policy["timeouts"].text), ("hash", policy["content_hash"].text),
        ])
    }
}

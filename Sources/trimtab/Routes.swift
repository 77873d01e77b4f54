import ArgumentParser
import Core

struct Routes: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Kinds of traffic, with their objectives.",
        subcommands: [List.self, Show.self, Apply.self, Delete.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List routes.")
        @OptionGroup var client: ClientOptions

        func run() async throws {
            client.show(try await client.send("GET", "routes?limit=200")) {
                Table.page($0, Routes.columns, empty: "No routes. Make one with `trimtab routes apply -f FILE`.")
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show a route.")
        @Argument var route: String
        @OptionGroup var client: ClientOptions

        func run() async throws {
            client.show(try await client.send("GET", "routes/\(segment(route))"), as: Routes.describe)
        }
    }

    struct Apply: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make routes, or replace the settings of those that exist.",
            discussion: "The file holds one route, or a list of them under `routes`.")
        @Option(name: .shortAndLong, help: "JSON or YAML; - for standard input.") var file: String
        @OptionGroup var client: ClientOptions

        func run() async throws {
            let content = try InputFile.read(file)
            for route in try routes(in: content) {
                let name = route["name"].text
                guard !name.isEmpty else {
                    throw Failure(status: .usage, text: "'\(file)' has a route without a name. Add `name:`.")
                }
                let answer = try await client.send("PUT", "routes/\(segment(name))", body: route)
                client.show(answer) {
                    "The route '\(name)' is applied; policy \($0["pointer"]["stable"].text) serves it."
                }
            }
        }

        private func routes(in content: JSON) throws -> [JSON] {
            switch content["routes"] {
            case .null: return [content]
            case .array(let routes) where !routes.isEmpty: return routes
            case .object:
                throw Failure(
                    status: .usage,
                    text: "'\(file)' is a configuration, whose routes `trimtab serve` makes when they are new. "
                        + "To apply routes, write a list of them under `routes`, each as `trimtab routes show NAME "
                        + "--output json` shows it.")
            default:
                throw Failure(status: .usage, text: "'\(file)' has no routes under `routes`. Write a list of them.")
            }
        }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Remove a route with its policies; needs --yes.")
        @Argument var route: String
        @Flag(help: "Do it.") var yes = false
        @OptionGroup var client: ClientOptions

        func run() async throws {
            guard yes else {
                throw Failure(
                    status: .usage, text: "Requests for '\(route)' will fail once it is gone. Add --yes to do it.")
            }
            _ = try await client.send("DELETE", "routes/\(segment(route))")
            client.show(.object(["name": .string(route), "deleted": .bool(true)])) { _ in
                "The route '\(route)' is gone."
            }
        }
    }

    private static let columns = [
        Column("name", "name"), Column("autonomy", "autonomy"),
        Column("stable", right: true) { $0["pointer"]["stable"].text },
        Column("candidate", right: true) { $0["pointer"]["candidate"].text },
        Column("weight", right: true) { $0["rollout"] == .null ? "" : Table.percent($0["pointer"]["weight"]) },
        Column("baseline", "baseline", right: true),
        Column("tolerance", right: true) { $0["objective"]["quality"]["tolerance"].text },
    ]

    private static func rehearsal(_ rehearsal: JSON) -> String {
        guard rehearsal != .null else { return "none yet; `trimtab rehearse` makes one" }
        let verdict = rehearsal["passed"] == .bool(true) ? "passed" : "not passed"
        return ["\(verdict), \(Table.time(rehearsal["at"])).", rehearsal["missing"].text].filter { !$0.isEmpty }
            .joined(separator: " ")
    }

    private static func describe(_ route: JSON) -> String {
        let pointer = route["pointer"], objective = route["objective"]
        return Table.fields([
            ("name", route["name"].text), ("project", route["project"].text), ("autonomy", route["autonomy"].text),
            ("stable policy", pointer["stable"].text), ("candidate", pointer["candidate"].text),
            ("weight", pointer["candidate"] == .null ? "" : Table.percent(pointer["weight"])),
            ("baseline", route["baseline"].text), ("rollout", route["rollout"].text),
            ("waiting decision", route["proposal"].text), ("quality", objective["quality"].text),
            ("latency", objective["latency"].text), ("cost", objective["cost"].text),
            ("bad below", route["bad_below"].text), ("allowed", route["allowed"].text),
            ("holdout", Table.percent(route["holdout"])),
            ("exploration", Table.percent(route["exploration"]["share"])), ("sticky", route["sticky"].text),
            ("guardrails", route["guardrails"].text), ("rehearsal", rehearsal(route["rehearsal"])),
        ])
    }
}

import ArgumentParser

struct Keys: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Keys that clients use at the gateway.", subcommands: [Create.self, List.self, Revoke.self])

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Make a key; its secret is shown once.")
        @Argument(help: "A name for records and audit.") var name: String
        @Option(help: "The project it belongs to.") var project: String?
        @OptionGroup var client: ClientOptions

        func run() async throws {
            var body: [String: JSON] = ["name": .string(name)]
            body["project"] = project.map(JSON.string)
            client.show(try await client.send("POST", "keys", body: .object(body)), as: Access.created)
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List keys.")
        @OptionGroup var client: ClientOptions

        func run() async throws {
            client.show(try await client.send("GET", "keys?limit=200")) {
                Table.page(
                    $0, [Column("name", "name"), Column("project", "project")] + Access.times,
                    empty: "No keys. Make one with `trimtab keys create NAME`.")
            }
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Revoke a key.")
        @Argument var name: String
        @OptionGroup var client: ClientOptions

        func run() async throws {
            _ = try await client.send("DELETE", "keys/\(segment(name))")
            client.show(Access.revoked(name)) { _ in "The key '\(name)' is revoked." }
        }
    }
}

/// What keys and tokens show alike.
enum Access {
    static let times = [
        Column("created") { Table.time($0["created_at"]) }, Column("revoked") { Table.time($0["revoked_at"]) },
    ]

    static func revoked(_ name: String) -> JSON { .object(["name": .string(name), "revoked": .bool(true)]) }

    static func created(_ answer: JSON) -> String {
        "\(answer["secret"].text)\nThis is shown once; '\(answer["name"].text)' cannot be read again."
    }
}

import ArgumentParser

struct Tokens: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Tokens that operators use at the control API.",
        subcommands: [Create.self, List.self, Revoke.self])

    enum Role: String, ExpressibleByArgument, CaseIterable { case viewer, `operator`, admin }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Make a token; its secret is shown once.")
        @Argument(help: "A name, for the audit.") var name: String
        @Option(help: "viewer looks, operator changes routes and rollouts, admin also keys and tokens.") var role: Role
        @OptionGroup var client: ClientOptions

        func run() async throws {
            let body: JSON = .object(["name": .string(name), "role": .string(role.rawValue)])
            client.show(try await client.send("POST", "tokens", body: body), as: Access.created)
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List tokens.")
        @OptionGroup var client: ClientOptions

        func run() async throws {
            client.show(try await client.send("GET", "tokens?limit=200")) {
                Table.page($0, [Column("name", "name"), Column("role", "role")] + Access.times, empty: "No tokens.")
            }
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Revoke a token.")
        @Argument var name: String
        @OptionGroup var client: ClientOptions

        func run() async throws {
            _ = try await client.send("DELETE", "tokens/\(segment(name))")
            client.show(Access.revoked(name)) { _ in "The token '\(name)' is revoked." }
        }
    }
}

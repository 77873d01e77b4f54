import ArgumentParser

struct Decisions: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "What the loop chose, and why.",
        subcommands: [List.self, Show.self, Approve.self, Reject.self, Replay.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List decisions, newest first.")
        @Option(help: "Of one route only.") var route: String?
        @Option(help: "noted, proposed, approved, rejected or superseded.") var status: String?
        @Option(help: "At most so many, 1 to 200.") var limit = 20
        @OptionGroup var client: ClientOptions

        func run() async throws {
            let path = query("decisions", [("route", route), ("status", status), ("limit", String(limit))])
            client.show(try await client.send("GET", path)) {
                Table.page($0, Decisions.columns, empty: "No decisions yet.", more: "raise --limit")
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show a decision with its alternatives.")
        @Argument var id: String
        @OptionGroup var client: ClientOptions

        func run() async throws {
            client.show(try await client.send("GET", "decisions/\(segment(id))"), as: Decisions.describe)
        }
    }

    struct Approve: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Let a proposed decision start its rollout.")
        @Argument var id: String
        @OptionGroup var client: ClientOptions

        func run() async throws {
            client.show(try await client.send("POST", "decisions/\(segment(id)):approve")) { $0["message"].text }
        }
    }

    struct Reject: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Put a proposed decision aside.")
        @Argument var id: String
        @OptionGroup var client: ClientOptions

        func run() async throws {
            client.show(try await client.send("POST", "decisions/\(segment(id)):reject")) { $0["message"].text }
        }
    }

    struct Replay: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a decision again from its stored input, and compare.")
        @Argument var id: String
        @OptionGroup var client: ClientOptions

        func run() async throws {
            client.show(try await client.send("GET", "decisions/\(segment(id))/replay")) { answer in
                if answer["matches"] == .bool(true) {
                    return "The same decision, to the last digit (engine \(answer["engine"].text))."
                }
                return "Made by engine \(answer["stored_engine"].text), replayed by \(answer["engine"].text). "
                    + "They differ:\n" + answer["differences"].list.map { "  \($0.text)" }.joined(separator: "\n")
            }
        }
    }

    private static let columns = [
        Column("id", "id"), Column("at") { Table.time($0["at"]) }, Column("route", "route"),
        Column("status", "status"), Column("action") { $0["action"].text == "change" ? $0["model"].text : "stay" },
        Column("code", "code"),
    ]

    private static func describe(_ decision: JSON) -> String {
        let head = Table.fields([
            ("id", decision["id"].text), ("route", decision["route"].text), ("at", Table.time(decision["at"])),
            ("status", decision["status"].text), ("decided by", decision["decided_by"].text),
            ("waits for", decision["waits_for"].text),
            ("policy", decision["policy"].text), ("rollout", decision["rollout"].text),
            ("engine", decision["engine"].text), ("reason", decision["code"].text),
        ])
        let alternatives = Table.render(
            decision["alternatives"].list,
            [
                Column("target") { $0["candidate"]["model_key"].text },
                Column("quality", right: true) {
                    Table.decimal($0["candidate"]["forecast"]["quality"]["estimate"], 3)
                },
                Column("usd/1000", right: true) {
                    Table.decimal($0["candidate"]["forecast"]["cost_per_1000_usd"]["estimate"], 3)
                },
                Column("p95 ms", right: true) { Table.decimal($0["candidate"]["forecast"]["latency_p95_ms"], 0) },
                Column("front") { $0["on_front"].text }, Column("verdict", "verdict"), Column("why", "reason"),
            ], empty: "No alternatives were known.")
        return head + "\n\n" + decision["rationale"].text + "\n\n" + alternatives
    }
}

/// A path with the parameters that have a value.
func query(_ path: String, _ parameters: [(String, String?)]) -> String {
    let given = parameters.compactMap { name, value in value.map { "\(name)=\(segment($0))" } }
    return given.isEmpty ? path : path + "?" + given.joined(separator: "&")
}

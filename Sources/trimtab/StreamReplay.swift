import ArgumentParser
import Core
import Foundation
import Server

extension Stream {
    struct Replay: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Count a past range of the log again, and compare it with live results.",
            discussion: """
                Without a subcommand it runs here, from the configuration, beside the service: it reads the local log's \
                file, or Kafka in a consumer group of its own. Its windows stand under a job of their own; live results, \
                requests, feedback and evidence stay as they are.
                """,
            subcommands: [Run.self, List.self, Show.self, Delete.self], defaultSubcommand: Run.self)

        struct Run: AsyncParsableCommand {
            static let configuration = CommandConfiguration(
                abstract: "Run a backfill, or go on with one that was broken off; the default.")
            @Option(help: "From this time: ISO 8601, milliseconds, or a span such as 90m. Needed for a new one.")
            var from: String?
            @Option(help: "To this time; default: now.") var to: String?
            @Option(help: "Names it; default: its range. That of one that was broken off goes on with it.")
            var name: String?
            @Option(name: .shortAndLong, help: "How to show the comparison: table or json.")
            var output: OutputFormat = .table
            @OptionGroup var options: ConfigurationOptions

            func run() async throws {
                var range: Range<Int64>?
                if let from = try Stream.time(from, "--from").flatMap(Int64.init) {
                    let to =
                        try Stream.time(to, "--to").flatMap(Int64.init) ?? Int64(Date().timeIntervalSince1970 * 1_000)
                    guard from < to else { throw Failure(status: .usage, text: "--from must lie before --to.") }
                    range = from..<to
                }
                let answer = try JSONDecoder().decode(
                    JSON.self, from: try await Commands.replay(options.source(), range, name: name))
                switch output {
                case .json: print(answer.pretty)
                case .table: print(Replay.describe(answer))
                }
            }
        }

        struct List: AsyncParsableCommand {
            static let configuration = CommandConfiguration(abstract: "List backfills.")
            @OptionGroup var client: ClientOptions

            func run() async throws {
                client.show(try await client.send("GET", "stream/backfills?limit=200")) { answer in
                    Table.page(
                        answer,
                        [
                            Column("job", "job"), Column("from") { Table.time($0["from"]) },
                            Column("to") { Table.time($0["to"]) },
                            Column("finished") { Table.time($0["finished_at"]) }, Column("note", "note"),
                        ], empty: "No backfills.")
                }
            }
        }

        struct Show: AsyncParsableCommand {
            static let configuration = CommandConfiguration(abstract: "Compare a backfill with live results.")
            @Argument(help: "Its job, backfill-…") var job: String
            @Option(help: "Differences shown at most, 1 to 200.") var limit = 50
            @OptionGroup var client: ClientOptions

            func run() async throws {
                let path = query("stream/backfills/\(segment(job))", [("limit", String(limit))])
                client.show(try await client.send("GET", path), as: Replay.describe)
            }
        }

        struct Delete: AsyncParsableCommand {
            static let configuration = CommandConfiguration(abstract: "Forget a backfill with its results.")
            @Argument(help: "Its job, backfill-…") var job: String
            @OptionGroup var client: ClientOptions

            func run() async throws {
                client.show(try await client.send("DELETE", "stream/backfills/\(segment(job))")) { _ in
                    "\(job) is gone."
                }
            }
        }

        fileprivate static func describe(_ answer: JSON) -> String {
            let counts = answer["comparison"]
            let head = Table.fields([
                ("job", answer["job"].text),
                ("range", "\(Table.time(answer["from"])) to \(Table.time(answer["to"]))"),
                ("windows", answer["windows"].list.map(\.text).joined(separator: ", ")),
                ("finished", answer["finished_at"] == .null ? "no" : Table.time(answer["finished_at"])),
                ("equal", counts["equal"].text), ("differing", counts["differing"].text),
                ("only live", counts["only_live"].text), ("only backfill", counts["only_backfill"].text),
                ("not final", counts["not_final"].text), ("note", answer["note"].text),
            ])
            let differences = answer["differences"].list
            guard !differences.isEmpty else { return head }
            return head + "\n\n" + Table.render(differences, columns, empty: "")
        }

        private static let columns = [
            Column("window", "window"), Column("start") { Table.time($0["start"]) },
            Column("key") { row in row["key"].fields.map { "\($0.key)=\($0.value.text)" }.joined(separator: " ") },
            Column("part", "partition", right: true), Column("verdict", "verdict"),
            Column("live", right: true) { $0["live"]["requests"].text },
            Column("backfill", right: true) { $0["backfill"]["requests"].text },
            Column("live cost", right: true) { Table.decimal($0["live"]["cost_nano_usd"], 0) },
            Column("backfill cost", right: true) { Table.decimal($0["backfill"]["cost_nano_usd"], 0) },
        ]
    }
}

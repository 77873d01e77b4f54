import ArgumentParser
import Core
import Foundation

struct Stream: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "What the stream counts, how far it is, and what it could not count.",
        subcommands: [Lag.self, Windows.self, Replay.self, DeadLetters.self])

    struct Lag: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show how far each job is in each partition of the log.",
            discussion: "The end of the log, and so the lag, is known to a process that reads or writes it.")
        @Option(help: "Of one job only.") var job: String?
        @OptionGroup var client: ClientOptions

        func run() async throws {
            let path = query("stream/partitions", [("job", job), ("limit", "200")])
            client.show(try await client.send("GET", path)) {
                Table.page($0, Lag.columns, empty: "No partition has been read yet.")
            }
        }

        private static let columns = [
            Column("job", "job"), Column("part", "partition", right: true), Column("next", "next_offset", right: true),
            Column("end", "end_offset", right: true), Column("lag", "lag", right: true),
            Column("watermark") { Table.time($0["watermark"]) },
            Column("behind", right: true) { Stream.seconds($0["watermark_behind_ms"]) },
            Column("checkpoint", right: true) { Stream.seconds($0["checkpoint_age_ms"]) }, Column("owner", "owner"),
        ]
    }

    fileprivate static func seconds(_ milliseconds: JSON) -> String {
        milliseconds.number.map { String(format: "%.1f s", $0 / 1_000) } ?? ""
    }

    /// A point in time on the command line: ISO 8601, milliseconds since the epoch, or a span before now (`90m`).
    static func time(_ text: String?, _ option: String) throws -> String? {
        guard let text else { return nil }
        if let number = Int64(text), number >= 0 { return text }
        if let match = text.wholeMatch(of: /(\d{1,6})([smhd])/), let amount = Int64(match.1) {
            let unit: Int64 = ["s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000][String(match.2)] ?? 0
            return String(Int64(Date().timeIntervalSince1970 * 1_000) - amount * unit)
        }
        if let date = try? Date(text, strategy: .iso8601) {
            return String(Int64((date.timeIntervalSince1970 * 1_000).rounded()))
        }
        throw Failure(
            status: .usage,
            text:
                "\(option) '\(text)' is no time. Write 2026-01-31T12:00:00Z, milliseconds since the epoch, or 90m ago as 90m."
        )
    }
}

extension Stream {
    struct Windows: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show the declared windows, or the results of one.")
        @Option(help: "The window whose results to show; without it the declared windows are listed.")
        var window: String?
        @Option(help: "Of one route only.") var route: String?
        @Option(help: "A value that the key must have: dimension=value; may be repeated.") var key: [String] = []
        @Option(help: "early, ontime or late.") var kind: String?
        @Option(help: "Of one job only; otherwise of live traffic.") var job: String?
        @Option(help: "From this time: ISO 8601, milliseconds, or a span such as 90m. Default: an hour before the end.")
        var from: String?
        @Option(help: "To this time; default: now.") var to: String?
        @Option(help: "Merge to steps of 1h or 1d.") var step: String?
        @OptionGroup var client: ClientOptions

        func run() async throws {
            guard let window else {
                let answer = try await client.send("GET", "stream/windows?limit=200")
                return client.show(answer) { Table.page($0, Self.definitions, empty: "No windows.") }
            }
            let steps = ["1h": "3600000", "1d": "86400000"]
            if let step, steps[step] == nil {
                throw Failure(status: .usage, text: "--step '\(step)' is not 1h or 1d.")
            }
            let path = query(
                "windows",
                [
                    ("window", window), ("route", route), ("key", key.isEmpty ? nil : key.joined(separator: ",")),
                    ("kind", kind), ("job", job), ("from", try Stream.time(from, "--from")),
                    ("to", try Stream.time(to, "--to")), ("step_ms", step.flatMap { steps[$0] }),
                ])
            client.show(try await client.send("GET", path), as: Self.describe)
        }

        private static let definitions = [
            Column("name", "name"), Column("kind", "kind"), Column("key", "key"),
            Column("size", right: true) { Stream.seconds($0["size_ms"] == .null ? $0["gap_ms"] : $0["size_ms"]) },
            Column("hop", right: true) { Stream.seconds($0["hop_ms"]) },
            Column("lateness", right: true) { Stream.seconds($0["lateness_ms"]) }, Column("measures", "measures"),
        ]

        private static func describe(_ answer: JSON) -> String {
            let items = answer["items"].list
            let measures = Set(items.flatMap { $0["measures"].fields.map(\.key) }).sorted()
            var columns = [
                Column("start") { Table.time($0["start"]) }, Column("end") { Table.time($0["end"]) },
                Column("key") { row in row["key"].fields.map { "\($0.key)=\($0.value.text)" }.joined(separator: " ") },
                Column("kind", "kind"), Column("final", "final"), Column("requests", "requests", right: true),
                Column("failures", "failures", right: true),
            ]
            for name in measures {
                columns.append(Column("\(name) mean", right: true) { Table.decimal($0["measures"][name]["mean"], 1) })
                guard items.contains(where: { $0["measures"][name]["p95"] != .null }) else { continue }
                columns.append(Column("p95", right: true) { Table.decimal($0["measures"][name]["p95"], 1) })
            }
            if items.contains(where: { !$0["feedback"].fields.isEmpty }) {
                columns.append(
                    Column("feedback") { row in
                        row["feedback"].fields.map { name, value in
                            "\(name) \(Table.decimal(value["mean"], 3)) (\(Table.percent(value["join_rate"])))"
                        }.joined(separator: ", ")
                    })
            }
            let table = Table.render(items, columns, empty: "No results in this time.")
            return answer["truncated"] == .bool(true)
                ? table + "\n… these are the newest; ask for a shorter time." : table
        }
    }
}

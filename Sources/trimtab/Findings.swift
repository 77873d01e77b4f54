import ArgumentParser
import Core
import Foundation

struct Findings: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "What the analyzers found.", subcommands: [List.self, Show.self, Analyzers.self],
        defaultSubcommand: List.self)

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List findings, newest first; those that stand.")
        @Option(help: "Of one route only.") var route: String?
        @Option(help: "performance, cost, quality, pattern or anomaly.") var analyzer: String?
        @Option(help: "info, warning or critical.") var severity: String?
        @Flag(help: "Closed ones too.") var all = false
        @Option(help: "At most so many, 1 to 200.") var limit = 20
        @OptionGroup var client: ClientOptions

        func run() async throws {
            let path = query(
                "findings",
                [
                    ("route", route), ("analyzer", analyzer), ("severity", severity), ("status", all ? nil : "open"),
                    ("limit", String(limit)),
                ])
            client.show(try await client.send("GET", path)) {
                Table.page($0, Findings.columns, empty: "Nothing stands out.", more: "raise --limit")
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show a finding with its evidence.")
        @Argument var id: String
        @OptionGroup var client: ClientOptions

        func run() async throws {
            client.show(try await client.send("GET", "findings/\(segment(id))"), as: Findings.describe)
        }
    }

    struct Analyzers: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the analyzers' thresholds.")
        @OptionGroup var client: ClientOptions

        func run() async throws {
            client.show(try await client.send("GET", "analyzers")) { answer in
                answer["items"].list.map { analyzer in
                    analyzer["name"].text + "\n"
                        + Table.render(analyzer["thresholds"].list, Self.columns, empty: "")
                }.joined(separator: "\n\n")
            }
        }

        private static let columns = [
            Column("threshold", "name"), Column("default", "default", right: true),
            Column("from", "minimum", right: true), Column("to", "maximum", right: true),
            Column("meaning", "summary"),
        ]
    }

    static let columns = [
        Column("id", "id"), Column("since") { Table.time($0["opened_at"]) },
        Column("until") { $0["closed_at"] == .null ? "" : Table.time($0["closed_at"]) }, Column("route", "route"),
        Column("code", "code"), Column("severity", "severity"), Column("statement", "statement"),
    ]

    static func describe(_ finding: JSON) -> String {
        let name = finding["subject"]["name"].text
        let interval = finding["magnitude"]
        let fields = Table.fields([
            ("code", finding["code"].text), ("route", finding["route"].text),
            ("subject", "\(finding["subject"]["kind"].text) \(name)"), ("severity", finding["severity"].text),
            ("status", finding["status"].text), ("since", Table.time(finding["opened_at"])),
            ("last seen", Table.time(finding["updated_at"])), ("closed", Table.time(finding["closed_at"])),
            ("confidence", Table.percent(finding["confidence"])),
            (
                "magnitude",
                "\(interval["estimate"].text) (\(interval["lower"].text) to \(interval["upper"].text))"
            ),
            ("bears on", finding["objective"].text),
            ("evidence from", Table.time(finding["window"]["start"])),
            ("to", Table.time(finding["window"]["end"])),
        ])
        let evidence = Table.fields(finding["evidence"].fields.map { ($0.key, $0.value.text) }.sorted { $0.0 < $1.0 })
        return [finding["statement"].text, finding["action"].text, fields, evidence].filter { !$0.isEmpty }
            .joined(separator: "\n\n")
    }
}

struct Analyze: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run the analyzers again over the past of a route.",
        discussion: """
            Shows what they would have said of the windows that are stored, from nothing, with other thresholds if given: \
            --set performance.error_rise=0.02 --set cost.enabled=false. Writes nothing.
            """)
    @Argument var route: String
    @Option(help: "From this time: ISO 8601, milliseconds, or a span such as 90m. Default: a day before the end.")
    var from: String?
    @Option(help: "To this time; default: now.") var to: String?
    @Option(help: "How long before it they begin, to know what is usual: a span such as 90m, 24h, 7d.")
    var warmUp = "1d"
    @Option(help: "Findings of one analyzer only.") var analyzer: String?
    @Option(help: "A choice to try: analyzer.threshold=value; may be repeated.") var set: [String] = []
    @OptionGroup var client: ClientOptions

    func run() async throws {
        guard let match = warmUp.wholeMatch(of: /(\d{1,6})([smhd])/), let amount = Int64(match.1),
            let unit = ["s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000 as Int64][String(match.2)]
        else { throw Failure(status: .usage, text: "--warm-up '\(warmUp)' is no span. Write 90m, 24h or 7d.") }
        let path = query(
            "routes/\(segment(route))/analysis",
            [
                ("from", try Stream.time(from, "--from")), ("to", try Stream.time(to, "--to")),
                ("warm_up_ms", String(amount * unit)), ("set", set.isEmpty ? nil : set.joined(separator: ",")),
            ])
        let analyzer = analyzer
        client.show(try await client.send("GET", path)) { answer in
            let found = answer["findings"].list.filter { analyzer == nil || $0["analyzer"].text == analyzer }
            let table = Table.render(
                found,
                [
                    Column("from") { Table.time($0["opened_at"]) },
                    Column("to") { $0["closed_at"] == .null ? "stands" : Table.time($0["closed_at"]) },
                    Column("severity", "severity"), Column("code", "code"),
                    Column("subject") { "\($0["subject"]["kind"].text) \($0["subject"]["name"].text)" },
                    Column("statement", "statement"),
                ], empty: "They would have said nothing.")
            let minutes = answer["minutes"].text, warmUp = answer["warm_up_minutes"].text
            return "\(minutes) minutes with traffic, after \(warmUp) to warm up.\n\n" + table
        }
    }
}

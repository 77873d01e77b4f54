import ArgumentParser
import Core
import Foundation

extension Stream {
    struct DeadLetters: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "deadletters", abstract: "Records that could not be counted.",
            subcommands: [List.self, Show.self, Replay.self])

        struct List: AsyncParsableCommand {
            static let configuration = CommandConfiguration(abstract: "List dead letters, newest first.")
            @Option(help: "For one reason only, for example late or malformed_json.") var reason: String?
            @Option(help: "Refused from this time: ISO 8601, milliseconds, or a span such as 90m.") var from: String?
            @Option(help: "Refused before this time.") var to: String?
            @Flag(help: "Only those that have not been replayed.") var open = false
            @Option(help: "At most so many, 1 to 200.") var limit = 20
            @Option(help: "Go on after the page before: its next_cursor.") var cursor: String?
            @OptionGroup var client: ClientOptions

            func run() async throws {
                let path = query(
                    "stream/deadletters",
                    [
                        ("reason", reason), ("from", try Stream.time(from, "--from")),
                        ("to", try Stream.time(to, "--to")), ("open", open ? "true" : nil), ("limit", String(limit)),
                        ("cursor", cursor),
                    ])
                client.show(try await client.send("GET", path)) { answer in
                    Table.page(
                        answer,
                        [
                            Column("id", "id"), Column("at") { Table.time($0["at"]) }, Column("reason", "reason"),
                            Column("bytes", "bytes", right: true),
                            Column("replayed") { Table.time($0["replayed_at"]) },
                            Column("detail") { Table.short($0["detail"].text) },
                        ], empty: "No dead letters.", more: "--cursor \(answer["next_cursor"].text)")
                }
            }
        }

        struct Show: AsyncParsableCommand {
            static let configuration = CommandConfiguration(abstract: "Show a dead letter with its record.")
            @Argument(help: "topic:partition:offset.") var id: String
            @OptionGroup var client: ClientOptions

            func run() async throws {
                client.show(try await client.send("GET", "stream/deadletters/\(segment(id))")) { letter in
                    let head = Table.fields([
                        ("id", letter["id"].text), ("at", Table.time(letter["at"])), ("reason", letter["reason"].text),
                        ("detail", letter["detail"].text), ("replayed", Table.time(letter["replayed_at"])),
                        ("replayed by", letter["replayed_by"].text),
                    ])
                    let isText = letter["hex"] == .null
                    return head + "\n\n" + (isText ? letter["raw"].text : "hex " + letter["hex"].text)
                }
            }
        }

        struct Replay: AsyncParsableCommand {
            static let configuration = CommandConfiguration(
                abstract: "Send records through the log again.",
                discussion: "A record that would be refused again is not sent; --raw gives a corrected one.")
            @Argument(help: "topic:partition:offset, one or more.") var ids: [String]
            @Flag(help: "Also one that was replayed before; it is counted once more.") var again = false
            @Flag(help: "Replay more than one without asking.") var yes = false
            @Option(help: "A file with the corrected record, - for standard input; for one letter.") var raw: String?
            @OptionGroup var client: ClientOptions

            func validate() throws {
                if ids.isEmpty { throw ValidationError("Name at least one dead letter.") }
                if ids.count > 1, raw != nil { throw ValidationError("--raw corrects one dead letter; name one.") }
                if ids.count > 1, !yes {
                    throw ValidationError("This would replay \(ids.count) dead letters. Add --yes to do so.")
                }
            }

            func run() async throws {
                var body: [String: JSON] = [:]
                if again { body["again"] = .bool(true) }
                if let raw { body["raw"] = .string(try Self.text(raw)) }
                var answers: [JSON] = []
                for id in ids {
                    answers.append(
                        try await client.send(
                            "POST", "stream/deadletters/\(segment(id)):replay", body: .object(body)))
                }
                client.show(answers.count == 1 ? answers[0] : .array(answers)) { _ in
                    answers.map { "\($0["id"].text) is in the log again." }.joined(separator: "\n")
                }
            }

            private static func text(_ path: String) throws -> String {
                let data =
                    path == "-"
                    ? FileHandle.standardInput.readDataToEndOfFile() : FileManager.default.contents(atPath: path)
                guard let data, let text = String(data: data, encoding: .utf8) else {
                    throw Failure(status: .usage, text: "'\(path)' cannot be read as text.")
                }
                return text.trimmingCharacters(in: .whitespacesAndNewlines)
            }
        }
    }
}

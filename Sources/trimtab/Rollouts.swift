import ArgumentParser

struct Rollouts: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Canaries of one policy version against another.",
        subcommands: [
            Start.self, List.self, Show.self, Pause.self, Resume.self, Skip.self, Promote.self, Abort.self, Retry.self,
            Waive.self, Replay.self,
        ])

    enum Goal: String, ExpressibleByArgument, CaseIterable { case cheaper, better, neutral }
    enum Kind: String, ExpressibleByArgument, CaseIterable {
        case canary
        case blueGreen = "blue_green"
        case shadow, aa
    }

    struct Start: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Start a rollout of an existing policy version.")
        @Argument var route: String
        @Option(help: "The version to try.") var policy: Int
        @Option(help: "What promotion needs: cheaper, better, or neutral (nothing worse).") var goal: Goal = .neutral
        @Option(help: "canary (steps), blue_green (all at once), shadow (copies only) or aa (stable against itself).")
        var kind: Kind = .canary
        @Option(help: "Only requests with this header, as name=glob; repeatable.") var header: [String] = []
        @Option(help: "Only requests of these virtual keys; a glob; repeatable.") var key: [String] = []
        @Option(help: "Only requests with this tag, as name=glob; repeatable.") var tag: [String] = []
        @Flag(help: "End a rollout that runs on the route, instead of refusing to start.") var supersede = false
        @Option(help: "Why, for the audit.") var reason = "started by hand"
        @OptionGroup var client: ClientOptions

        func run() async throws {
            var body: [String: JSON] = [
                "route": .string(route), "policy": .integer(Int64(policy)), "goal": .string(goal.rawValue),
                "kind": .string(kind.rawValue), "supersede": .bool(supersede), "reason": .string(reason),
            ]
            if !header.isEmpty || !key.isEmpty || !tag.isEmpty {
                body["eligibility"] = .object([
                    "headers": try Rollouts.pairs(header, "--header"), "keys": .array(key.map { .string($0) }),
                    "tags": try Rollouts.pairs(tag, "--tag"),
                ])
            }
            client.show(try await client.send("POST", "rollouts", body: .object(body))) {
                [$0["message"].text, $0["rollout"].text].filter { !$0.isEmpty }.joined(separator: "\n")
            }
        }
    }

    /// `name=glob` options as an object.
    private static func pairs(_ texts: [String], _ option: String) throws -> JSON {
        var object: [String: JSON] = [:]
        for text in texts {
            guard let equals = text.firstIndex(of: "="), equals > text.startIndex else {
                throw ValidationError("\(option) \(text): write it as name=glob.")
            }
            object[String(text[..<equals])] = .string(String(text[text.index(after: equals)...]))
        }
        return .object(object)
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List rollouts, newest first.")
        @Option(help: "Of one route only.") var route: String?
        @Option(
            help: "progressing, paused, promoted, rolled_back, aborted, superseded, passed, inconclusive or no_data.")
        var state: String?
        @Option(help: "At most so many, 1 to 200.") var limit = 20
        @OptionGroup var client: ClientOptions

        func run() async throws {
            let path = query("rollouts", [("route", route), ("state", state), ("limit", String(limit))])
            client.show(try await client.send("GET", path)) {
                Table.page($0, Rollouts.columns, empty: "No rollouts yet.", more: "raise --limit")
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show a rollout with its evidence.")
        @Argument var id: String
        @OptionGroup var client: ClientOptions

        func run() async throws {
            let rollout = try await client.send("GET", "rollouts/\(segment(id))")
            let evidence = try await client.send("GET", "rollouts/\(segment(id))/evidence")
            client.show(.object(["rollout": rollout, "evidence": evidence])) { _ in
                Rollouts.describe(rollout, evidence)
            }
        }
    }

    struct Pause: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Hold the weight; guardrails go on.")
        @Argument var id: String
        @OptionGroup var client: ClientOptions
        func run() async throws { try await Rollouts.tell("pause", id, client) }
    }

    struct Resume: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Let a paused rollout go on.")
        @Argument var id: String
        @OptionGroup var client: ClientOptions
        func run() async throws { try await Rollouts.tell("resume", id, client) }
    }

    struct Skip: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "To the next step at once; guardrails go on.")
        @Argument var id: String
        @OptionGroup var client: ClientOptions
        func run() async throws { try await Rollouts.tell("skip", id, client) }
    }

    struct Retry: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Try an ended rollout's change once more, with fresh evidence.")
        @Argument var id: String
        @Option(help: "Why, for the audit.") var reason: String?
        @OptionGroup var client: ClientOptions
        func run() async throws { try await Rollouts.tell("retry", id, client, reason: reason) }
    }

    struct Promote: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "To 100 % at once, whatever the evidence.")
        @Argument var id: String
        @OptionGroup var client: ClientOptions
        func run() async throws { try await Rollouts.tell("promote", id, client) }
    }

    struct Abort: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Weight 0 at once.")
        @Argument var id: String
        @Option(help: "Why, for the audit.") var reason: String?
        @OptionGroup var client: ClientOptions
        func run() async throws { try await Rollouts.tell("abort", id, client, reason: reason) }
    }

    struct Waive: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let one guardrail stand back for a while; the others go on.")
        @Argument var id: String
        @Argument(help: "Its name, as `rollouts show` has it.") var guardrail: String
        @Option(name: .customLong("for"), help: "Seconds, at most 86400; 0 ends a waiver.") var seconds = 3_600
        @Option(help: "Why, for the audit.") var reason: String
        @OptionGroup var client: ClientOptions

        func run() async throws {
            let body = JSON.object([
                "guardrail": .string(guardrail), "for_s": .integer(Int64(seconds)), "reason": .string(reason),
            ])
            client.show(try await client.send("POST", "rollouts/\(segment(id)):waive", body: body)) {
                $0["message"].text
            }
        }
    }

    struct Replay: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Judge a rollout's stored trials once more, and compare.")
        @Argument var id: String
        @OptionGroup var client: ClientOptions

        func run() async throws {
            let answer = try await client.send("GET", "rollouts/\(segment(id))/replay")
            client.show(answer) { replay in
                guard replay["matches"] != .bool(true) else {
                    return "The same evidence, from \(replay["candidate_requests"].text) requests of the candidate."
                }
                return replay["differences"].list.map(\.text).joined(separator: "\n")
            }
        }
    }

    private static func tell(_ verb: String, _ id: String, _ client: ClientOptions, reason: String? = nil) async throws
    {
        let body = reason.map { JSON.object(["reason": .string($0)]) }
        client.show(try await client.send("POST", "rollouts/\(segment(id)):\(verb)", body: body)) { $0["message"].text }
    }

    private static let columns = [
        Column("id", "id"), Column("route", "route"), Column("from", "stable", right: true),
        Column("to", "candidate", right: true), Column("state", "state"),
        // Nothing is left of a promoted canary: it has become what serves.
        Column("weight", right: true) { $0["state"] == .string("promoted") ? "100 %" : Table.percent($0["weight"]) },
        Column("started") { Table.time($0["created_at"]) }, Column("ended") { Table.time($0["ended_at"]) },
    ]

    /// What one arm showed: a share, or a mean in US dollars.
    private static func shown(_ arm: JSON) -> String {
        arm["mean"] == .null ? Table.percent(arm["rate"]) : "$" + Table.decimal(arm["mean"], 6)
    }

    private static func describe(_ rollout: JSON, _ evidence: JSON) -> String {
        let steps = rollout["steps"].list.enumerated().map { index, weight in
            let text = Table.percent(weight)
            return rollout["step"] == .integer(Int64(index)) ? "[\(text)]" : text
        }
        let head = Table.fields([
            ("id", rollout["id"].text), ("route", rollout["route"].text),
            ("policies", "\(rollout["stable"].text) → \(rollout["candidate"].text)"),
            ("state", "\(rollout["state"].text): \(rollout["detail"].text)"),
            ("waits for", rollout["waits_for"].text),
            (
                "waived",
                rollout["waivers"].list.map { "\($0["guardrail"].text) until \(Table.time($0["until"]))" }
                    .joined(separator: ", ")
            ),
            ("steps", steps.joined(separator: "  ")), ("reason", rollout["reason"].text),
            ("started", "\(Table.time(rollout["created_at"])) by \(rollout["created_by"].text)"),
            ("ended", Table.time(rollout["ended_at"])), ("retry of", rollout["retry_of"].text),
        ])
        let guardrails = Table.render(
            evidence["guardrails"].list,
            [
                Column("guardrail", "guardrail"),
                Column("candidate", right: true) { shown($0["candidate"]) },
                Column("control", right: true) { shown($0["control"]) },
                Column("ratio", right: true) { Table.decimal($0["ratio"]["estimate"], 2) },
                Column("at least", right: true) { Table.decimal($0["ratio"]["lower"], 2) },
                Column("at most", right: true) { Table.decimal($0["ratio"]["upper"], 2) },
                Column("log e", right: true) { Table.decimal($0["log_e"], 2) },
                Column("limit", right: true) { Table.decimal($0["log_limit"], 2) },
                Column("of the way", right: true) { Table.percent($0["progress"]) },
            ], empty: "No evidence yet.")
        let paired = evidence["guardrails"].list.filter { $0["pairs"] != .null }
        let pairs = Table.render(
            paired,
            [
                Column("in pairs", "guardrail"),
                Column("pairs", right: true) { $0["pairs"]["count"].text },
                Column("difference", right: true) { Table.decimal($0["pairs"]["estimate"], 3) },
                Column("at least", right: true) { Table.decimal($0["pairs"]["lower"], 3) },
                Column("at most", right: true) { Table.decimal($0["pairs"]["upper"], 3) },
            ], empty: "")
        let timeline = Table.render(
            rollout["timeline"].list,
            [
                Column("at") { Table.time($0["at"]) }, Column("event", "event"),
                Column("detail") { entry in
                    let detail = entry["detail"].text
                    return ["step", "watch"].contains(entry["event"].text)
                        ? Double(detail).map { "to " + Table.percent(.number($0)) } ?? detail : detail
                },
            ], empty: "")
        return [head, guardrails, pairs, timeline].filter { !$0.isEmpty }.joined(separator: "\n\n")
    }
}

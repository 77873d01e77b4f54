import ArgumentParser
import Core

struct Rehearse: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Try a route's guardrails on simulated traffic with injected faults.",
        discussion: """
            The route's own policy change runs on a virtual clock, on traffic like the route's: once healthy, and once with \
            each fault. No real request is touched. `autonomy: auto` acts by itself only once this has passed. Exits 1 \
            if it has not.
            """)
    @Argument var route: String
    @OptionGroup var client: ClientOptions

    func run() async throws {
        let report = try await client.send("POST", "routes/\(segment(route)):rehearse")
        client.show(report, as: Self.describe)
        guard report["passed"] == .bool(true) else { throw ExitCode(ExitStatus.notPassed.rawValue) }
    }

    private static func describe(_ report: JSON) -> String {
        let candidate = report["candidate"] == .null ? "a copy of it" : "policy \(report["candidate"].text)"
        let scores = Table.render(
            report["scores"].list,
            [
                Column("fault", "fault"), Column("outcome", "outcome"),
                Column("candidate", right: true) { count($0, "candidate_requests") },
                Column("failures", right: true) { count($0, "extra_failures") },
                Column("at your traffic", right: true) { duration($0["milliseconds"]) },
                Column("detail", "detail"),
            ], empty: "")
        let verdict = report["passed"] == .bool(true) ? "Passed" : "Not passed"
        return [
            "Policy \(report["stable"].text) against \(candidate); traffic \(report["traffic"].text).", scores,
            "\(verdict): \(report["summary"].text).",
        ].joined(separator: "\n\n")
    }

    /// What was not tried has no counts.
    private static func count(_ score: JSON, _ key: String) -> String {
        score["outcome"].text == "unseen" ? "" : score[key].text
    }

    private static func duration(_ milliseconds: JSON) -> String {
        guard let seconds = milliseconds.number.map({ $0 / 1_000 }) else { return "" }
        return switch seconds {
        case ..<120: "\(Table.decimal(.number(seconds), 0)) s"
        case ..<7_200: "\(Table.decimal(.number(seconds / 60), 0)) min"
        case ..<172_800: "\(Table.decimal(.number(seconds / 3_600), 0)) h"
        default: "\(Table.decimal(.number(seconds / 86_400), 0)) days"
        }
    }
}

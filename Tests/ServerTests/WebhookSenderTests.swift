import Analysis
import ControlLoop
import Core
import Foundation
import Logging
import Observability
import Policy
import PostgresClient
import Server
import StateStore
import StreamProcessing
import Synchronization
import TestSupport
import Testing

/// Events from a real database to real servers on loopback.
@Suite(.enabled(if: TestPostgres.missing == nil), .timeLimit(.minutes(2)))
struct WebhookSenderTests {
    static let key = Array("a secret of the tests that is long".utf8)

    /// A database with a route, and webhooks that are served while `sending` runs.
    private final class Stage: Sendable {
        let store: PostgresControlStore
        let outbox: EventOutbox
        let metrics = MetricRegistry()
        let route: RouteName
        let leads = Mutex(true)
        private let told = Mutex(0)

        init() async throws {
            let pool = PostgresPool(PostgresConfiguration(url: try await TestPostgres.database()))
            try await Migrator(pool).migrate()
            (store, outbox) = (PostgresControlStore(pool), EventOutbox(pool))
            route = try #require(RouteName("chat"))
            let policy = RoutingPolicy(
                route: route, version: 1, createdAt: 0, createdBy: "test", reason: "",
                targets: [Target(provider: "sim", model: "strong")])
            try await store.apply(Route(name: route), firstPolicy: policy, by: "test", now: 0)
        }

        /// Opens as many findings, named `cost.1` and so on.
        func tell(_ count: Int = 1, severity: Finding.Severity = .warning, of analyzer: AnalyzerKind = .cost)
            async throws
        {
            for _ in 0..<count {
                let number = told.withLock {
                    $0 += 1
                    return $0
                }
                var generator = SystemRandomNumberGenerator()
                let finding = Finding(
                    Observation(
                        analyzer, "cost.\(number)", .route, "“Dearer”\n\\ by a half.", severity: severity,
                        confidence: 1,
                        magnitude: Interval(estimate: 0.5, lower: 0.4, upper: .infinity),
                        window: Window(start: 0, end: 1), evidence: [:], objective: .cost),
                    id: UUIDv7(milliseconds: 1, using: &generator), route: route.description, at: 1)
                try await store.update(route) { _ in ([.saveFinding(.opened(finding))], ()) }
            }
        }

        /// Runs a sender until `body` ends; each webhook has its place before.
        func sending<Value>(
            to webhooks: [WebhookSettings], _ adjust: (inout WebhookSender.Pace) -> Void = { _ in },
            _ body: () async throws -> Value
        ) async throws -> Value {
            for webhook in webhooks { _ = try await outbox.due(webhook.name, limit: 1) }
            var pace = WebhookSender.Pace()
            (pace.pollMs, pace.timeoutMs, pace.firstPauseMs, pace.longestPauseMs) = (10, 500, 20, 100)
            adjust(&pace)
            let sender = WebhookSender(
                webhooks: webhooks, outbox: outbox, metrics: metrics, logger: Logger(label: "test"), pace: pace)
            let task = Task { await sender.run { self.leads.withLock { $0 } } }
            do {
                let value = try await body()
                task.cancel()
                await task.value
                return value
            } catch {
                task.cancel()
                throw error
            }
        }

        /// How often something came of what was sent.
        func count(_ outcome: String, _ webhook: String = "ops") -> Int {
            let series = "trimtab_webhook_deliveries_total{webhook=\"\(webhook)\",outcome=\"\(outcome)\"} "
            let line = metrics.text().split(separator: "\n").first { $0.hasPrefix(series) }
            return line.flatMap { Int($0.dropFirst(series.count)) } ?? 0
        }
    }

    private static func webhook(_ port: Int, _ name: String = "ops") -> WebhookSettings {
        WebhookSettings(name: name, url: "http://127.0.0.1:\(port)/hook", key: key)
    }

    /// The numbers of the findings in these requests.
    private static func numbers(_ server: ScriptedUpstream) -> [Int] {
        server.requests.compactMap { $0.firstMatch(of: /"code": "cost\.(\d+)"/).flatMap { Int($0.1) } }
    }

    private static func header(_ name: String, _ request: String) -> String? {
        request.split(separator: "\r\n").first { $0.lowercased().hasPrefix("\(name):") }
            .map { $0.dropFirst(name.count + 1).trimmingCharacters(in: .whitespaces) }
    }

    @Test func whatFailsIsSentAgainBeforeWhatFollows() async throws {
        let stage = try await Stage()
        let server = try await ScriptedUpstream { _, number in [.answer([500, 302, 410][safe: number - 1] ?? 204)] }
        try await stage.sending(to: [Self.webhook(server.port)]) {
            try await stage.tell(3)
            #expect(try await eventually { stage.count("delivered") == 3 })
        }
        #expect(Self.numbers(server) == [1, 1, 1, 1, 2, 3])
        #expect(stage.count("failed") == 3 && stage.count("skipped") == 0)
        let attempts = server.requests.prefix(4)
        #expect(Set(attempts.map { Self.header("webhook-id", $0) }).count == 1)
        #expect(Set(attempts.map { $0.components(separatedBy: "\r\n\r\n")[1] }).count == 1)
        #expect(Set(server.requests.map { Self.header("webhook-id", $0) }).count == 3)
        await server.stop()
    }

    /// The code that `docs/webhooks.md` gives to receivers takes what is sent, and nothing else.
    @Test func aReceiverCanTellWhoSentIt() async throws {
        let stage = try await Stage()
        let server = try await ScriptedUpstream { _, _ in [.answer(200)] }
        try await stage.sending(to: [Self.webhook(server.port)]) {
            try await stage.tell()
            #expect(try await eventually { server.requests.count == 1 })
        }
        let request = try #require(server.requests.first)
        let body = request.components(separatedBy: "\r\n\r\n")[1]
        let event = try #require(try JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any])
        #expect(event["type"] as? String == "finding.opened")
        let data = try #require(event["data"] as? [String: Any])
        #expect(data["statement"] as? String == "“Dearer”\n\\ by a half.")
        #expect((data["magnitude"] as? [String: Any])?["upper"] as? String == "inf")
        let time = try #require(event["timestamp"] as? String)
        #expect(time.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/) != nil)
        #expect(Self.header("content-type", request) == "application/json")

        let names = ["webhook-id", "webhook-timestamp", "webhook-signature"]
        let headers = try Dictionary(
            uniqueKeysWithValues: names.map { ($0, try #require(Self.header($0, request))) })
        #expect(UUIDv7(headers["webhook-id"] ?? "") != nil)
        #expect(try await Self.verifies(headers, body))
        #expect(try await Self.verifies(headers, body + " ") == false)
        #expect(try await Self.verifies(headers, body, secret: "another secret of the tests") == false)
        for name in names {
            var changed = headers
            changed[name] = name == "webhook-timestamp" ? "1763650000" : "v1,bm9uZQ=="
            #expect(try await Self.verifies(changed, body) == false, "\(name)")
        }
        let prefixed = "whsec_" + Data(Self.key).base64EncodedString()
        #expect(try await Self.verifies(headers, body, secret: prefixed))
        await server.stop()
    }

    private static func verifies(
        _ headers: [String: String], _ body: String, secret: String = String(decoding: key, as: UTF8.self)
    ) async throws -> Bool {
        let document = try String(
            contentsOf: ServiceProcess.root.appending(path: "docs/webhooks.md"), encoding: .utf8)
        let code = try #require(document.firstMatch(of: /```python\n((?s).*?)```/)?.1)
        let input = try JSONSerialization.data(
            withJSONObject: ["headers": headers, "body": body, "secret": secret] as [String: Any])
        let script = """
            \(code)
            import json, sys
            given = json.load(sys.stdin)
            print(verify(given["secret"], given["headers"], given["body"].encode()))
            """
        let output = try await Shell.run(
            "/usr/bin/env", ["python3", "-c", script], input: String(decoding: input, as: UTF8.self))
        try #require(["True\n", "False\n"].contains(output))
        return output == "True\n"
    }

    /// One is gone and one never answers: the third hears of everything meanwhile.
    @Test func aDeadOrSlowWebhookHoldsUpNoOther() async throws {
        let stage = try await Stage()
        let gone = try await ScriptedUpstream { _, _ in [] }
        await gone.stop()
        let slow = try await ScriptedUpstream { _, number in number <= 2 ? [] : [.answer(200)] }
        let quick = try await ScriptedUpstream { _, _ in [.answer(200)] }
        let webhooks = [
            Self.webhook(gone.port, "gone"), Self.webhook(slow.port, "slow"), Self.webhook(quick.port, "quick"),
        ]
        try await stage.sending(to: webhooks) {
            try await stage.tell(30)
            #expect(try await eventually(within: 3) { stage.count("delivered", "quick") == 30 })
            #expect(stage.count("delivered", "gone") == 0)
            #expect(try await eventually { stage.count("failed", "gone") >= 3 })
            #expect(try await eventually { stage.count("delivered", "slow") == 30 })
            #expect(stage.metrics.text().contains("trimtab_webhook_pending_age_seconds{webhook=\"quick\"} 0\n"))
            #expect(!stage.metrics.text().contains("trimtab_webhook_pending_age_seconds{webhook=\"gone\"} 0\n"))
        }
        #expect(Self.numbers(quick) == Array(1...30))
        #expect(Self.numbers(slow) == [1, 1] + Array(1...30))
        #expect(stage.count("failed", "slow") == 2)
        await slow.stop()
        await quick.stop()
    }

    @Test func aRestartGoesOnWhereItWas() async throws {
        let stage = try await Stage()
        let server = try await ScriptedUpstream { _, _ in [.answer(200)] }
        // What was before the webhook is not sent to it.
        try await stage.tell(2)
        let webhook = Self.webhook(server.port)
        try await stage.sending(to: [webhook]) {
            try await stage.tell(2)
            #expect(try await eventually { stage.count("delivered") == 2 })
        }
        try await stage.tell(3)
        try await stage.sending(to: [webhook]) {
            let done = try await eventually { stage.count("delivered") == 5 }
            #expect(done)
        }
        #expect(Self.numbers(server) == [3, 4, 5, 6, 7])
        await server.stop()
    }

    @Test func whatIsNotTakenForTooLongIsGivenUp() async throws {
        let stage = try await Stage()
        let isUp = Mutex(false)
        let server = try await ScriptedUpstream { _, _ in [.answer(isUp.withLock { $0 } ? 200 : 503)] }
        try await stage.sending(to: [Self.webhook(server.port)], { $0.giveUpMs = 300 }) {
            try await stage.tell(3)
            #expect(try await eventually { stage.count("skipped") == 3 })
            try await stage.tell()
            isUp.withLock { $0 = true }
            #expect(try await eventually { stage.count("delivered") == 1 })
        }
        #expect(Self.numbers(server).last == 4)
        #expect(stage.count("failed") == server.requests.count - 1 && stage.count("failed") >= 3)
        await server.stop()
    }

    /// What was not told because Trimtab was away is old, and is told all the same.
    @Test func ageAloneGivesNothingUp() async throws {
        let stage = try await Stage()
        let server = try await ScriptedUpstream { _, _ in [.answer(200)] }
        _ = try await stage.outbox.due("ops", limit: 1)
        try await stage.tell(2)
        try await Task.sleep(for: .milliseconds(20))
        try await stage.sending(to: [Self.webhook(server.port)], { $0.giveUpMs = 10 }) {
            let done = try await eventually { stage.count("delivered") == 2 }
            #expect(done)
        }
        #expect(stage.count("skipped") == 0)
        await server.stop()
    }

    @Test func aWebhookGetsWhatItAskedFor() async throws {
        let stage = try await Stage()
        let server = try await ScriptedUpstream { _, _ in [.answer(200)] }
        var severe = Self.webhook(server.port)
        severe.minSeverity = .critical
        var other = Self.webhook(server.port, "other")
        other.kinds = [.rolloutStarted]
        try await stage.sending(to: [severe, other]) {
            try await stage.tell(severity: .info)
            try await stage.tell(severity: .critical)
            try await stage.tell(severity: .warning)
            #expect(try await eventually { stage.count("delivered") == 1 })
            // What is not wanted is done with too.
            for name in ["ops", "other"] {
                #expect(try await eventually { try await stage.outbox.due(name, limit: 1).events.isEmpty })
            }
        }
        #expect(Self.numbers(server) == [2])
        await server.stop()
    }

    @Test func onlyTheLeaderSends() async throws {
        let stage = try await Stage()
        let server = try await ScriptedUpstream { _, _ in [.answer(200)] }
        stage.leads.withLock { $0 = false }
        try await stage.sending(to: [Self.webhook(server.port)]) {
            try await stage.tell()
            try await Task.sleep(for: .milliseconds(200))
            #expect(server.opened == 0)
            stage.leads.withLock { $0 = true }
            #expect(try await eventually { stage.count("delivered") == 1 })
        }
        await server.stop()
    }

    /// A webhook that was taken out of the configuration begins anew when it is back.
    @Test func aWebhookThatWasTakenOutForgetsItsPlace() async throws {
        let stage = try await Stage()
        let server = try await ScriptedUpstream { _, _ in [.answer(200)] }
        _ = try await stage.outbox.due("ops", limit: 1)
        try await stage.tell(2)
        try await stage.sending(to: [Self.webhook(server.port, "other")]) {
            let forgotten = try await eventually { try await stage.outbox.due("ops", limit: 1).events.isEmpty }
            #expect(forgotten)
        }
        await server.stop()
    }
}

extension Array {
    fileprivate subscript(safe index: Int) -> Element? { indices.contains(index) ? self[index] : nil }
}

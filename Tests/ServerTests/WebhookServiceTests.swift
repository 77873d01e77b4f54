import Foundation
import TestSupport
import Testing

/// `trimtab serve` in a process of its own, and a server that takes its events.
@Suite(.serialized, .enabled(if: TestPostgres.missing == nil)) struct WebhookServiceTests {
    @Test(.timeLimit(.minutes(2))) func theServiceTellsWhatPeopleDo() async throws {
        let folder = try ServiceProcess.temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let url = try await TestPostgres.database()
        let server = try await ScriptedUpstream { _, _ in [.answer(204)] }
        let settings = """
            providers: {sim: {base_url: "http://127.0.0.1:1/v1", models: [strong]}}
            routes: {chat: {targets: [sim/strong]}}
            state: {postgres: {url: "\(url)"}}
            integrations:
              webhooks:
                ops: {url: "http://127.0.0.1:\(server.port)/hook", secret: a secret of the tests that is long}
            """
        let service = try await ServiceProcess.serving(settings, folder: folder, port: 18_480)
        defer { service.kill() }
        try await service.ready()
        let isKnown = try await eventually { try await Shell.sql(url, "SELECT name FROM webhooks") == "ops" }
        try #require(isKnown)
        let position = try await Shell.sql(url, "SELECT position FROM webhooks")
        _ = try await service.command(["rollouts", "start", "chat", "--policy", "1", "--kind", "aa"])
        #expect(try await eventually { server.requests.count == 1 })
        #expect(server.requests.last?.contains(#"{"type":"rollout.started","#) == true)

        // Whoever leads next goes on there. Killed before that is stored, the service would send the event once more.
        #expect(try await eventually { try await Shell.sql(url, "SELECT position FROM webhooks") != position })
        service.kill()
        try service.start()
        try await service.ready()
        let id = try #require(try await service.items("/api/v1/rollouts")?.first?["id"] as? String)
        _ = try await service.command(["rollouts", "abort", id, "--reason", "enough"])
        #expect(try await eventually { server.requests.count >= 2 })
        #expect(server.requests.last?.contains(#"{"type":"rollout.ended","#) == true)
        let metrics = try await Shell.run("/usr/bin/curl", ["-s", "http://127.0.0.1:\(service.port + 50)/metrics"])
        #expect(metrics.contains(#"trimtab_webhook_deliveries_total{webhook="ops",outcome="delivered"} 1"#))
        #expect(service.stop() == 0)
        #expect(server.requests.count == 2)
        await server.stop()
    }
}

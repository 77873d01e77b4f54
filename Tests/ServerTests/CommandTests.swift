import Core
import Foundation
import Policy
import PostgresClient
import Server
import StateStore
import TestSupport
import Testing

@Suite struct CommandTests {
    @Test func filesThatCannotBeReadAreNamed() async throws {
        let source = try SettingsSource(yaml: "gateway:\n  tls: {certificate_file: /no/a.pem, key_file: /no/b.pem}\n")
        let error = await #expect(throws: TrimtabError.self) { _ = try await Commands.validate(source) }
        #expect(error?.summary == "gateway.tls.certificate_file: the file /no/a.pem cannot be read.")
    }

    /// With PostgreSQL away, validation is quick, and says what it did not look at.
    @Test(.timeLimit(.minutes(1))) func whatIsAllowedAndRarelyMeantIsNoted() async throws {
        let source = try SettingsSource(
            yaml: """
                gateway: {default_route: caht}
                providers:
                  openai: {models: [gpt-4o]}
                routes:
                  chat: {targets: [openai/gpt-4o], allowed: ["openai/*", "opnai/*"]}
                state:
                  postgres: {url: "host=/nonexistent dbname=x"}
                """)
        let notes = try await Commands.validate(source)
        #expect(notes.first == "routes.chat.allowed: 'opnai/*' matches no model that a provider lists.")
        #expect(notes.last?.hasPrefix("Drift from the store was not checked. PostgreSQL does not answer") == true)
        #expect(notes.count == 3 && notes[1] == "gateway.default_route: there is no route 'caht' here.")
    }

    @Test(.timeLimit(.minutes(1))) func migrationDoesNotWaitForAServerThatIsAway() async throws {
        let source = try SettingsSource(yaml: "state:\n  postgres: {url: \"host=/nonexistent dbname=x\"}\n")
        let error = await #expect(throws: TrimtabError.self) { _ = try await Commands.migrate(source) }
        #expect(error?.code == "store.unavailable")
    }

    @Test(.enabled(if: TestPostgres.missing == nil), .timeLimit(.minutes(1)))
    func driftFromTheStoreIsNoted() async throws {
        let url = try await TestPostgres.database()
        let yaml = """
            providers: {openai: {models: [gpt-4o]}}
            routes: {chat: {targets: [openai/gpt-4o], holdout: 0.1}}
            state: {postgres: {url: "\(url)"}}
            """
        let source = try SettingsSource(yaml: yaml)
        let behind = try await Commands.validate(source)
        #expect(behind.count == 1 && behind[0].contains("behind, so drift was not checked."), "\(behind)")
        _ = try await Commands.migrate(source)
        let new = try await Commands.validate(source)
        #expect(new == ["routes.chat is not in the store yet; `trimtab serve` makes it."])
        let seeded = try #require(try Settings(source).routes.first)
        let pool = PostgresPool(PostgresConfiguration(url: url))
        try await PostgresControlStore(pool).apply(seeded.route, firstPolicy: seeded.firstPolicy, by: "test", now: 1)
        await pool.close()
        #expect(try await Commands.validate(source) == [])
        let changed = try SettingsSource(yaml: yaml, flags: ["routes.chat.holdout=0.2"])
        let drift = try await Commands.validate(changed)
        #expect(drift == ["routes.chat differs from the store in holdout; the store is in force."])
        let elsewhere = try SettingsSource(yaml: yaml, flags: ["state.postgres.url=\(url) dbname=never-made"])
        let error = await #expect(throws: TrimtabError.self) { _ = try await Commands.migrate(elsewhere) }
        #expect(error?.code == "store.refused")
    }

    @Test func driftNamesTheKeys() throws {
        var stored = Route(name: try #require(RouteName("chat")))
        let mine = stored
        #expect(mine.keysThatDiffer(from: stored).isEmpty)
        stored.holdout = 0.2
        stored.objective.quality.tolerance = 0.1
        stored.project = "other"
        #expect(mine.keysThatDiffer(from: stored) == ["holdout", "objective.quality.tolerance", "project"])
    }

    @Test func rolesAreReadWithSpaces() throws {
        #expect(try Role.parse("gateway, control") == [.gateway, .control])
        #expect(try Role.parse("") == Set(Role.allCases))
        #expect(throws: TrimtabError.self) { try Role.parse("bogus") }
    }

    /// The first failure, one a minute, and the end.
    @Test func anOutageIsToldOfRarely() {
        var log = OutageLog()
        let told = (0..<130).filter { log.failed(at: Int64($0) * 1_000) }
        #expect(told == [0, 60, 120])
        #expect(log.worked(at: 130_000) == 130_000)
        #expect(log.worked(at: 131_000) == nil)
        let again = log.failed(at: 132_000)
        #expect(again)
    }
}

import ControlLoop
import Core
import Policy
import PostgresClient
import Server
import StateStore
import TestSupport
import Testing

/// Rehearsals as the service runs them, on what the store knows.
@Suite(.enabled(if: TestPostgres.missing == nil), .timeLimit(.minutes(2)))
struct RehearsalsTests {
    @Test func oneRunsAtATimeAndItsScoreIsKept() async throws {
        let pool = PostgresPool(PostgresConfiguration(url: try await TestPostgres.database()))
        try await Migrator(pool).migrate()
        let store = PostgresControlStore(pool)
        let name = try #require(RouteName("support"))
        func policy(_ model: String) -> RoutingPolicy {
            RoutingPolicy(
                route: name, version: 0, createdAt: 1, createdBy: "ann", reason: "test",
                targets: [Target(provider: "openai", model: model)])
        }
        try await store.apply(Route(name: name), firstPolicy: policy("gpt-4o"), by: "ann", now: 1)
        _ = try await store.create(policy("gpt-4o-mini"), now: 2)
        let settings = try Settings(SettingsSource(yaml: ""))
        let rehearsals = Rehearsals(store: store, control: settings.control)

        let codes = await withTaskGroup(of: String.self) { group in
            for _ in 0..<2 {
                group.addTask {
                    do {
                        return try await rehearsals.rehearse(name, by: "ann").passed ? "passed" : "not passed"
                    } catch { return (error as? TrimtabError)?.code ?? "\(error)" }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        // Its seed is its own, so that whether it passes is not for this test.
        let report = try #require(try await store.rehearsals(PageQuery(route: name)).first)
        #expect(codes.sorted() == [report.passed ? "passed" : "not passed", "rehearsal.busy"])
        #expect(report.stable == 1 && report.candidate == 2 && report.traffic.contains("no traffic yet"))
        #expect((try await store.state(of: name)?.missingRehearsal == nil) == report.passed)
        #expect(try await store.audit(PageQuery(state: "route.rehearse")).map(\.actor) == ["ann"])

        // One that fails makes way for the next.
        let missing = try #require(RouteName("none"))
        for _ in 0..<2 {
            let error = await #expect(throws: TrimtabError.self) { try await rehearsals.rehearse(missing, by: "ann") }
            #expect(error?.code == "store.no_route")
        }
        await pool.close()
    }
}

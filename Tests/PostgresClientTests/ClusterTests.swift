import Foundation
import PostgresClient
import TestSupport
import Testing

@Suite(.enabled(if: TestPostgres.missing == nil), .timeLimit(.minutes(3)))
struct ClusterTests {
    @Test func aPoolOutlivesTheServer() async throws {
        let cluster = try await TestPostgres.startCluster(throwAway: false)
        defer { try? FileManager.default.removeItem(atPath: cluster.settings.folder) }
        let pool = PostgresPool(PostgresConfiguration(url: cluster.url()))
        try await pool.withConnection { try await $0.script("CREATE TABLE t AS SELECT 1 AS n") }
        await cluster.stop()
        await #expect(throws: PostgresError.self) {
            _ = try await pool.withConnection(wait: .milliseconds(100)) { try await $0.query("SELECT 1 AS n") }
        }
        let waiting = Task {
            try await pool.withConnection(wait: .seconds(60)) { try await $0.query("SELECT n FROM t").count }
        }
        try await cluster.start()
        #expect(try await waiting.value == 1, "a caller that waits for the server is served when it is back")
        await pool.close()
        await cluster.stop()
    }

    @Test func killedServersDataStartAgain() async throws {
        let cluster = try await TestPostgres.startCluster(throwAway: false)
        defer { try? FileManager.default.removeItem(atPath: cluster.settings.folder) }
        let pidFile = "\(cluster.settings.folder)/data/postmaster.pid"
        let stale = try String(contentsOfFile: pidFile, encoding: .utf8)
        let pid = try #require(stale.split(separator: "\n").first.flatMap { Int32($0) })
        let connection = try await PostgresConnection.connect(PostgresConfiguration(url: cluster.url()))
        try await connection.script("CREATE TABLE t AS SELECT 1 AS n")
        #expect(kill(pid, SIGKILL) == 0)
        await cluster.stop()

        let second = PostgresCluster(cluster.settings)
        try await second.start()
        let again = try await PostgresConnection.connect(PostgresConfiguration(url: second.url()))
        #expect(try await again.query("SELECT n FROM t").count == 1)
        await again.close()
        await second.stop()

        // The number in a stale file may belong to another process by now; that one must not be harmed.
        let innocent = Process()
        innocent.executableURL = URL(fileURLWithPath: "/bin/sleep")
        innocent.arguments = ["600"]
        try innocent.run()
        // Not SIGTERM: another test may have had it ignored in this process, and children inherit that.
        defer { kill(innocent.processIdentifier, SIGKILL) }
        let rest = stale.split(separator: "\n", omittingEmptySubsequences: false).dropFirst().joined(separator: "\n")
        try "\(innocent.processIdentifier)\n\(rest)".write(toFile: pidFile, atomically: true, encoding: .utf8)
        let third = PostgresCluster(cluster.settings)
        try await third.start()
        #expect(innocent.isRunning)
        await third.stop()
    }

    @Test func aSecondOwnerTakesOverTheServerOfAKilledOne() async throws {
        let cluster = try await TestPostgres.startCluster(throwAway: false)
        defer { try? FileManager.default.removeItem(atPath: cluster.settings.folder) }
        let second = PostgresCluster(cluster.settings)
        try await second.start()
        let connection = try await PostgresConnection.connect(PostgresConfiguration(url: second.url()))
        #expect(try await connection.query("SELECT 1 AS one").count == 1)
        await connection.close()
        await second.stop()
        await cluster.stop()
    }

    @Test func aSocketPathThatIsTooLongIsRefusedWithARemedy() async throws {
        let long = "/tmp/" + String(repeating: "x", count: 100)
        let cluster = PostgresCluster(.init(folder: "/tmp/unused", socketFolder: long))
        let failure = await #expect(throws: PostgresCluster.Failure.self) { try await cluster.start() }
        #expect(failure?.summary.contains("107") == true)
    }
}

import Core
import Foundation
import PostgresClient
import StateStore
import TestSupport
import Testing

@Suite(.enabled(if: TestPostgres.missing == nil), .timeLimit(.minutes(2)))
struct MigratorTests {
    private func pool() async throws -> PostgresPool {
        PostgresPool(PostgresConfiguration(url: try await TestPostgres.database()))
    }

    @Test func appliesOnceAndOnlyOnce() async throws {
        let pool = try await pool()
        let migrator = Migrator(pool)
        #expect(try await migrator.pending() == Migration.all.map(\.file))
        #expect(try await migrator.migrate() == Migration.all.map(\.file))
        #expect(try await migrator.pending().isEmpty)
        #expect(try await migrator.migrate().isEmpty)
    }

    @Test func processesThatMigrateAtOnceTakeTurns() async throws {
        let pool = try await pool()
        let applied = try await withThrowingTaskGroup(of: [String].self) { group in
            for _ in 0..<6 { group.addTask { try await Migrator(pool).migrate() } }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        #expect(applied.sorted() == Migration.all.map(\.file))
    }

    @Test func anEditedMigrationIsRefused() async throws {
        let pool = try await pool()
        let first = Migration(version: 1, name: "one", sql: "CREATE TABLE a (n int)")
        try await Migrator(pool, migrations: [first]).migrate()
        let edited = Migration(version: 1, name: "one", sql: "CREATE TABLE a (n bigint)")
        let error = await #expect(throws: TrimtabError.self) {
            try await Migrator(pool, migrations: [edited]).migrate()
        }
        #expect(error?.code == "store.migration_edited")
        #expect(error?.summary.contains("0001_one.sql") == true)
    }

    @Test func aFailedMigrationChangesNothing() async throws {
        let pool = try await pool()
        let good = Migration(version: 1, name: "good", sql: "CREATE TABLE a (n int)")
        let bad = Migration(version: 2, name: "bad", sql: "CREATE TABLE b (n int); SELECT 1/0")
        let error = await #expect(throws: TrimtabError.self) {
            try await Migrator(pool, migrations: [good, bad]).migrate()
        }
        #expect(error?.code == "store.migration_failed")
        let tables = try await pool.withConnection {
            try await $0.query("SELECT 1 FROM pg_tables WHERE tablename IN ('a', 'b')").count
        }
        #expect(tables == 1)
        #expect(try await Migrator(pool, migrations: [good, bad]).pending() == ["0002_bad.sql"])
    }

    @Test func aNewerSchemaIsRefused() async throws {
        let pool = try await pool()
        try await Migrator(pool).migrate()
        let error = await #expect(throws: TrimtabError.self) {
            try await Migrator(pool, migrations: [Migration.all[0]]).migrate()
        }
        #expect(error?.code == "store.schema_newer")
    }

    @Test func everyFileIsCompiledIn() throws {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("migrations")
        let files = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
        #expect(files == Migration.all.map(\.file))
        for migration in Migration.all {
            let text = try String(contentsOf: folder.appendingPathComponent(migration.file), encoding: .utf8)
            #expect(text == migration.sql)
        }
    }
}

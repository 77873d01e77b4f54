import Core
import Crypto
import Foundation
package import PostgresClient

/// One forward step of the schema. A file once applied is never edited; what follows is a new file.
package struct Migration: Sendable {
    /// 1 and up, without gaps.
    package let version: Int
    package let name: String
    package let sql: String

    package init(version: Int, name: String, sql: String) {
        self.version = version
        self.name = name
        self.sql = sql
    }

    private init(_ version: Int, _ name: String, _ bytes: [UInt8]) {
        self.init(version: version, name: name, sql: String(decoding: bytes, as: UTF8.self))
    }

    /// The file it came from, below `migrations/`.
    package var file: String {
        let digits = String(version)
        return String(repeating: "0", count: max(0, 4 - digits.count)) + "\(digits)_\(name).sql"
    }

    /// Hex SHA-256 of the SQL.
    package var checksum: String {
        SHA256.hash(data: Data(sql.utf8)).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// All migrations of this version, compiled in. A constant takes its name from the file, `_` for the first digit.
    package static let all = [
        Migration(1, "initial", PackageResources._001_initial_sql),
        Migration(2, "stream", PackageResources._002_stream_sql),
        Migration(3, "windows", PackageResources._003_windows_sql),
        Migration(4, "tools", PackageResources._004_tools_sql),
        Migration(5, "backfills", PackageResources._005_backfills_sql),
        Migration(6, "rollouts", PackageResources._006_rollouts_sql),
        Migration(7, "evidence", PackageResources._007_evidence_sql),
        Migration(8, "rehearsals", PackageResources._008_rehearsals_sql),
        Migration(9, "analysis", PackageResources._009_analysis_sql),
        Migration(10, "events", PackageResources._010_events_sql),
        Migration(11, "probes", PackageResources._011_probes_sql),
        Migration(12, "gateways", PackageResources._012_gateways_sql),
    ]
}

/// Brings a database to the schema of this version.
package struct Migrator: Sendable {
    private let pool: PostgresPool
    private let migrations: [Migration]

    /// Arbitrary and frozen: all versions of the program must contend for the same lock.
    private static let lock = 0x7472_696d_0001

    package init(_ pool: PostgresPool, migrations: [Migration] = Migration.all) {
        self.pool = pool
        self.migrations = migrations
    }

    /// Applies what is missing, each file in a transaction of its own; processes that do so at once take turns.
    ///
    /// - Returns: The files applied.
    /// - Throws: `TrimtabError` `store.migration_edited`, `store.schema_newer` or `store.migration_failed`.
    @discardableResult
    package func migrate() async throws -> [String] {
        try await storing { try await applyAll() }
    }

    /// The files that `migrate()` would apply.
    package func pending() async throws -> [String] {
        try await storing {
            try await pool.withConnection { connection in
                let exists: Bool? = try await connection.query(
                    "SELECT to_regclass('schema_migrations') IS NOT NULL AS found"
                ).first?["found"]
                return try missing(exists == true ? await applied(connection) : [:]).map(\.file)
            }
        }
    }

    /// - Throws: `TrimtabError` `store.migrations_pending` when the schema is behind this version.
    package func requireNothingPending() async throws {
        let pending = try await pending()
        guard !pending.isEmpty else { return }
        throw TrimtabError(
            "store.migrations_pending",
            "The database is \(pending.count) migration(s) behind: \(pending.joined(separator: ", ")).",
            remedy: "Run `trimtab migrate`, then start again.")
    }

    private func applyAll() async throws -> [String] {
        var files: [String] = []
        while let migration = try await next() {
            let done = try await pool.withTransaction { connection in
                try await connection.query("SELECT pg_advisory_xact_lock($1)", [Self.lock])
                // Another process may have been first.
                guard try await applied(connection)[migration.version] == nil else { return false }
                do {
                    try await connection.script(migration.sql)
                } catch let error as PostgresError where !error.isConnectionLost && !error.isConflict {
                    throw TrimtabError(
                        "store.migration_failed", "Migration '\(migration.file)' failed and changed nothing: \(error)",
                        remedy: "Mend what the database names, then run `trimtab migrate` again.")
                }
                try await connection.query(
                    "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
                    [migration.version, migration.name, migration.checksum])
                return true
            }
            if done { files.append(migration.file) }
        }
        return files
    }

    private func next() async throws -> Migration? {
        try await pool.withTransaction { connection in
            try await connection.query("SELECT pg_advisory_xact_lock($1)", [Self.lock])
            try await connection.query(
                """
                CREATE TABLE IF NOT EXISTS schema_migrations (
                    version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,
                    applied_at timestamptz NOT NULL DEFAULT now())
                """)
            return try missing(await applied(connection)).first
        }
    }

    private func applied(_ connection: PostgresConnection) async throws -> [Int: String] {
        let rows = try await connection.query("SELECT version, checksum FROM schema_migrations").rows
        return Dictionary(try rows.map { (try $0["version"], try $0["checksum"]) }) { first, _ in first }
    }

    private func missing(_ applied: [Int: String]) throws -> [Migration] {
        let known = migrations.map(\.version).max() ?? 0
        if let newer = applied.keys.max(), newer > known {
            throw TrimtabError(
                "store.schema_newer", "The database is at schema \(newer), this program knows \(known).",
                remedy: "Use the program's version that made it, or a newer one.")
        }
        for migration in migrations {
            if let checksum = applied[migration.version], checksum != migration.checksum {
                throw TrimtabError(
                    "store.migration_edited", "Migration '\(migration.file)' was edited after it was applied.",
                    remedy: "Restore the file as it was, and put the change into a new migration.")
            }
        }
        return migrations.filter { applied[$0.version] == nil }
    }
}

import ControlLoop
import Policy
import Core
import Foundation
import Logging
import Observability
import PostgresClient
import StateStore

/// What the subcommands that run something call.
package enum Commands {
    package static func serve(_ source: SettingsSource, roles: String) async throws {
        let settings = try Settings(source)
        let logger = makeLogger(settings.observability)
        try await Assembly(settings: settings, roles: try Role.parse(roles), logger: logger).run()
    }

    package static func demo(_ source: SettingsSource) async throws {
        let settings = try Settings(source)
        try await Demo(source: source, logger: makeLogger(settings.observability)) { line in
            FileHandle.standardOutput.write(Data((line + "\n").utf8))
        }.run()
    }

    /// - Returns: the files that were applied.
    package static func migrate(_ source: SettingsSource) async throws -> [String] {
        let pool = PostgresPool(PostgresConfiguration(url: try Settings(source).state.url))
        do {
            let applied = try await Migrator(pool).migrate()
            await pool.close()
            return applied
        } catch {
            await pool.close()
            throw error
        }
    }

    /// Every key with the value in force, secrets redacted.
    package static func show(_ source: SettingsSource) throws -> [SettingsReader.Entry] {
        let reader = try SettingsReader(source)
        _ = try Settings(reader)
        try reader.finish()
        return reader.entries.filter { !$0.key.contains("<") }
    }

    /// Routes whose settings in the store differ from the configuration's: PostgreSQL is the truth once a route exists.
    ///
    /// - Returns: one line a difference, or `nil` when the store does not answer.
    package static func drift(_ source: SettingsSource) async throws -> [String]? {
        let settings = try Settings(source)
        let pool = PostgresPool(PostgresConfiguration(url: settings.state.url))
        let store = PostgresControlStore(pool)
        var lines: [String]? = []
        for seeded in settings.routes {
            guard let state = try? await store.state(of: seeded.route.name) else {
                lines = nil
                break
            }
            var stored = state.route
            stored.baseline = seeded.route.baseline
            if stored != seeded.route {
                lines?.append("routes.\(seeded.route.name) differs from the store; the store is in force.")
            }
        }
        await pool.close()
        return lines
    }

    private static func makeLogger(_ settings: ObservabilitySettings) -> Logger {
        let level = Logger.Level(rawValue: settings.level.rawValue) ?? .info
        LoggingSystem.bootstrap { label in
            switch settings.format {
            case .json: return JSONLogHandler(label: label, level: level)
            case .text:
                var handler = StreamLogHandler.standardError(label: label)
                handler.logLevel = level
                return handler
            }
        }
        return Logger(label: "trimtab")
    }
}

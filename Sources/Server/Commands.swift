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
        try await withPool(Settings(source)) { try await Migrator($0).migrate() }
    }

    /// Connections for one piece of work, after one short attempt, so that nobody waits for a server that is away.
    static func withPool<Value: Sendable>(
        _ settings: Settings, _ body: (PostgresPool) async throws -> Value
    ) async throws -> Value {
        let configuration = PostgresConfiguration(url: settings.state.url)
        try await configuration.probe()
        let pool = PostgresPool(configuration)
        do {
            let value = try await body(pool)
            await pool.close()
            return value
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
        // What a map holds has entries of its own.
        return reader.entries.filter { !$0.key.contains("<") && $0.type != "map" }
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

import ControlAPI
import Core
package import Foundation
import Logging
import Observability
import PostgresClient
import StateStore
import StreamProcessing

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

    /// Counts a past range of the log again and compares it with live results.
    ///
    /// - Parameter range: Milliseconds since the epoch; `nil` goes on with the backfill `name`.
    /// - Returns: The document that the control API answers.
    package static func replay(_ source: SettingsSource, _ range: Range<Int64>?, name: String?) async throws -> Data {
        let settings = try Settings(source)
        let logger = makeLogger(settings.observability)
        return try await withPool(settings) { pool in
            try await Migrator(pool).requireNothingPending()
            let run = BackfillRun(settings: settings, pool: pool, logger: logger, now: currentMilliseconds)
            let (backfill, comparison) = try await run.run(range, name: name)
            return try ControlAPI.document(backfill, comparison, settings.stream.processing.definitions)
        }
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

import Foundation
import PostgresClient

/// A PostgreSQL and a folder for the time of a benchmark.
enum PrivatePostgres {
    static func with(_ body: (PostgresCluster, URL) async throws -> [Figure]) async throws -> [Figure] {
        let folder = FileManager.default.temporaryDirectory.appending(path: "trimtab-bench-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        var settings = PostgresCluster.Settings(
            folder: folder.appending(path: "postgres").path, socketFolder: folder.appending(path: "socket").path)
        settings.throwAway = true
        let cluster = PostgresCluster(settings)
        try await cluster.start()
        do {
            let figures = try await body(cluster, folder)
            await cluster.stop()
            return figures
        } catch {
            await cluster.stop()
            throw error
        }
    }
}

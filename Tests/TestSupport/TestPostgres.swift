import Foundation
package import PostgresClient
import Synchronization

/// A real PostgreSQL server for the tests of one process, made at first use and removed when the process ends.
package enum TestPostgres {
    /// Why there is none, or `nil`: `@Test(.enabled(if: TestPostgres.missing == nil))`.
    package static let missing: String? = {
        let found = ((try? FileManager.default.contentsOfDirectory(atPath: "/usr/lib/postgresql")) ?? []).isEmpty
        return found ? "PostgreSQL's server is not installed: apt-get install postgresql." : nil
    }()

    private static let shared = Task { try await startCluster() }
    private static let databases = Atomic(0)

    /// The cluster all tests of this process share; do not stop it.
    package static var cluster: PostgresCluster {
        get async throws { try await shared.value }
    }

    /// The URL of a fresh, empty database.
    package static func database() async throws -> String {
        let cluster = try await cluster
        let name = "test_\(databases.add(1, ordering: .relaxed).newValue)"
        try await cluster.createDatabase(name)
        return cluster.url(database: name)
    }

    /// A server of the caller's own, to be stopped and started at will. The caller stops it at the end.
    package static func startCluster(throwAway: Bool = true) async throws -> PostgresCluster {
        let folder = "/tmp/trimtab-test-\(UInt32.random(in: 0 ... .max))"
        var settings = PostgresCluster.Settings(folder: folder, socketFolder: "\(folder)/s")
        settings.fsync = false
        settings.throwAway = throwAway
        settings.maxConnections = 200
        let cluster = PostgresCluster(settings)
        try await cluster.start()
        return cluster
    }
}

/// Waits until `condition` holds, looking every 10 ms; `false` when it did not within `seconds`.
package func eventually(within seconds: Double = 10, _ condition: () async throws -> Bool) async throws -> Bool {
    let deadline = ContinuousClock.now + .seconds(seconds)
    while ContinuousClock.now < deadline {
        if try await condition() { return true }
        try await Task.sleep(for: .milliseconds(10))
    }
    return try await condition()
}

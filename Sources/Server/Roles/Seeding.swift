import ControlLoop
import Core
import Foundation
import Logging
import Policy
import ServiceLifecycle
import StateStore

/// Makes what the configuration seeds and the store does not have: routes, prices, and the first operator token.
struct Seeding: Service {
    let assembly: Assembly

    static let tokenFile = DataFolder.tokenFile

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var outage = OutageLog()
            while !Task.isCancelled {
                do {
                    if assembly.roles.contains(.control) { try await seed() }
                    break
                } catch {
                    if outage.failed(at: currentMilliseconds()) {
                        assembly.logger.warning("Seeding waits for PostgreSQL", metadata: ["error": "\(error)"])
                    }
                    try? await Task.sleep(for: .seconds(1))
                }
            }
        }
        // A service that returns would end the group.
        try? await gracefulShutdown()
    }

    private func seed() async throws {
        let store = assembly.store
        let now = currentMilliseconds()
        let book = try await store.prices()
        let missing = assembly.settings.prices.filter { book[$0.key] == nil }
        if !missing.isEmpty {
            _ = try await store.setPrices(missing.mapValues { .some($0) }, by: "configuration", now: now)
        }
        for seeded in assembly.settings.routes where try await store.state(of: seeded.route.name) == nil {
            var policy = seeded.firstPolicy
            policy.createdAt = now
            try await store.apply(seeded.route, firstPolicy: policy, by: "configuration", now: now)
        }
        guard try await store.tokens().isEmpty else { return }
        let secret = KeyHasher.generate(.operatorToken)
        let token = OperatorToken(name: "admin", role: .admin, digest: assembly.hasher.digest(secret), createdAt: now)
        try PrivateFile.write(Data((secret + "\n").utf8), to: "\(assembly.settings.dataFolder)/\(Self.tokenFile)")
        try await store.create(token, by: "trimtab")
    }
}

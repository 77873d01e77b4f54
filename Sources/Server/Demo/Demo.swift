import ControlAPI
import ControlLoop
import Core
import EventLog
import Foundation
import Gateway
package import Logging
import NIOCore
import NIOPosix
import Policy
import PostgresClient
import ServiceLifecycle
import Simulation
import StateStore

/// The whole loop on simulated traffic: a private PostgreSQL, all roles, a provider fleet and a replay. It reaches no
/// outside host, and a second start goes on where the first stopped.
package struct Demo: Sendable {
    let source: SettingsSource
    let say: @Sendable (String) -> Void
    let logger: Logger

    package init(source: SettingsSource, logger: Logger, say: @escaping @Sendable (String) -> Void) {
        self.source = source
        self.logger = logger
        self.say = say
    }

    package func run() async throws {
        var settings = try Settings(source)
        try PrivateFile.makeFolder(settings.dataFolder)
        // Before anything is touched: a server left behind by a killed demo is ended, one of a running demo must not be.
        let lock = try FileLock(guarding: "\(settings.dataFolder)/demo", key: "data_dir")
        defer { lock.release() }
        let scenario = try Scenarios.load(settings.simulation.scenario)
        try scenario.validate()
        say("Trimtab \(Build.version) demo. Scenario '\(scenario.name)': \(scenario.description)")

        let cluster = PostgresCluster(
            PostgresCluster.Settings(
                folder: "\(settings.dataFolder)/postgres", socketFolder: Self.socketFolder(for: settings.dataFolder)))
        do { try await cluster.start() } catch let failure as PostgresCluster.Failure {
            throw TrimtabError("postgres.unavailable", failure.summary, remedy: failure.remedy)
        }
        let outcome: Result<Void, any Error>
        do {
            try await run(on: cluster, scenario: scenario, settings: &settings)
            outcome = .success(())
        } catch {
            outcome = .failure(error)
        }
        await cluster.stop()
        try outcome.get()
    }

    private func run(on cluster: PostgresCluster, scenario: Scenario, settings: inout Settings) async throws {
        settings.state.url = cluster.url()
        let simulator = SharedSimulator(Simulator(models: scenario.allModels, seed: scenario.seed))
        let fleet = try await ProviderFleet.start(simulator: simulator)
        settings.adopt(scenario, fleet: fleet)
        settings.gateway.port = try FreePort.next(from: settings.gateway.port, host: settings.gateway.host)
        settings.api.port = try FreePort.next(
            from: settings.api.port, host: settings.api.host, except: settings.gateway.port)
        try await migrate(settings)
        let assembly = try Assembly(settings: settings, roles: Set(Role.allCases), logger: logger)
        let key = try await DemoKey.ensure(in: assembly)
        try await assembly.run(also: [
            DemoTraffic(assembly: assembly, scenario: scenario, simulator: simulator, key: key, say: say)
        ])
        try await fleet.stop()
    }

    private func migrate(_ settings: Settings) async throws {
        let pool = PostgresPool(PostgresConfiguration(url: settings.state.url))
        let applied = try await Migrator(pool).migrate()
        if !applied.isEmpty { logger.info("Migrations applied", metadata: ["files": "\(applied)"]) }
        await pool.close()
    }

    /// A socket's path has at most 107 bytes, so it lives in a short folder of its own.
    private static func socketFolder(for dataFolder: String) -> String {
        let name = String(Hash64.hash(dataFolder, salt: UInt64(getuid())), radix: 36)
        return "/tmp/trimtab-\(name)"
    }
}

extension Settings {
    /// Points the configuration at the fleet: its providers, their models and prices, and the scenario's route.
    mutating func adopt(_ scenario: Scenario, fleet: ProviderFleet) {
        let models = scenario.allModels
        providers = fleet.providers.map { id in
            var provider = ProviderSettings(id: id, baseURL: fleet.baseURL(of: id), apiKey: "simulated")
            provider.models = models.filter { $0.provider == id }.map(\.name)
            return provider
        }
        control.loop.catalog = providers.flatMap { provider in
            provider.models.map { Target(provider: provider.id, model: $0) }
        }
        for model in models { if let price = model.price { prices[model.key] = price } }
        routes = [RouteSettings(route: scenario.route, firstPolicy: scenario.firstPolicy)]
        api.providers = providers.map { .init(name: $0.id, baseURL: $0.baseURL, models: $0.models) }
    }
}

/// The virtual key of the simulated clients, kept so that a second start can use it.
enum DemoKey {
    private static let name = "demo"

    static func ensure(in assembly: Assembly) async throws -> String {
        let path = "\(assembly.settings.dataFolder)/demo.key"
        let stored = FileManager.default.contents(atPath: path).map {
            String(decoding: $0, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        }
        let keys = try await assembly.store.keys()
        if let stored, keys.contains(where: { $0.digest == assembly.hasher.digest(stored) && $0.revokedAt == nil }) {
            return stored
        }
        let secret = KeyHasher.generate(.virtualKey)
        let now = currentMilliseconds()
        let taken = keys.contains { $0.name == name }
        try await assembly.store.create(
            VirtualKey(name: taken ? "\(name)-\(now)" : name, digest: assembly.hasher.digest(secret), createdAt: now),
            by: "demo")
        try PrivateFile.write(Data((secret + "\n").utf8), to: path)
        return secret
    }
}

/// The next port that nothing listens on.
enum FreePort {
    static func next(from first: Int, host: String, except taken: Int? = nil) throws -> Int {
        for port in first..<min(first + 100, 65_536) where port != taken {
            let bootstrap = ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            if let channel = try? bootstrap.bind(host: host, port: port).wait() {
                try channel.close().wait()
                return port
            }
        }
        throw TrimtabError(
            "server.port_taken", "No port from \(first) to \(first + 99) is free on \(host).",
            remedy: "Set gateway.bind and api.bind.")
    }
}

import Analysis
import ControlAPI
import ControlLoop
import Core
import Foundation
import FoundationNetworking
import Hummingbird
import Logging
import Policy
import ServiceLifecycle
import StreamProcessing
import Synchronization
import Telemetry

/// A control API on a real socket over a filled store.
struct TestServer: Sendable {
    let store: FixtureStore
    let records: InMemoryStreamRecords
    let appended: Appended
    let commands: RecordingCommands
    let base: String
    /// Secrets by role.
    let tokens: [OperatorToken.Role: String]

    /// Runs a server for as long as `body` takes.
    static func run(
        filled: Bool = true, systemOnly: Bool = false, hasLog: Bool = true, windows: [WindowDefinition] = [],
        checks: [ControlAPI.Check] = [],
        _ body: @escaping @Sendable (TestServer) async throws -> Void
    ) async throws {
        let store = FixtureStore()
        let records = InMemoryStreamRecords()
        let appended = Appended()
        let commands = RecordingCommands()
        let hasher = KeyHasher(secret: Array(repeating: UInt8(7), count: 32))
        var tokens: [OperatorToken.Role: String] = [:]
        for role in OperatorToken.Role.allCases {
            let secret = KeyHasher.generate(.operatorToken)
            tokens[role] = secret
            try await store.create(
                OperatorToken(name: "test-\(role)", role: role, digest: hasher.digest(secret), createdAt: 0), by: "test"
            )
        }
        if filled { try Fixture.fill(store) }
        var settings = ControlAPISettings()
        settings.port = 0
        settings.systemOnly = systemOnly
        settings.providers = [
            ProviderSummary(name: "sim", baseURL: "http://127.0.0.1:1/v1", models: ["strong-1", "cheap-1", "m", "4"])
        ]
        settings.version = "1.2.3"
        settings.windows += windows
        settings.logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        var hooks = ControlAPI.Hooks(now: { Fixture.now })
        hooks.metrics = { "# TYPE up gauge\nup 1\n" }
        hooks.checks = checks
        hooks.endOffsets = { [0: 120] }
        if hasLog { hooks.append = { event in appended.events.withLock { $0.append(event) } } }
        hooks.checks.append(.init("store", isRequired: true) { await store.ping() })
        let analysis = AnalysisDriver(settings: AnalyzerSettings(), store: store, windowMs: 5_000)
        hooks.analyze = { try await analysis.backtest($0, in: $1, choices: $2, warmUpMs: $3) }
        hooks.rehearse = { route, actor in
            guard let state = try await store.state(of: route), state.rehearsal == nil else {
                throw TrimtabError("rehearsal.busy", "A rehearsal is running.", remedy: "Try again in some seconds.")
            }
            let report = Fixture.rehearsal(of: state.route)
            try await store.keep(report, by: actor)
            return report
        }
        let api = ControlAPI(
            store: store, records: records, commands: commands, feedback: commands, hasher: hasher, settings: settings,
            hooks: hooks)
        let (ports, continuation) = AsyncStream.makeStream(of: Int.self)
        let application = api.makeApplication { continuation.yield($0) }
        let group = ServiceGroup(services: [application], logger: settings.logger)
        try await withThrowingTaskGroup { tasks in
            tasks.addTask { try await group.run() }
            var port: Int?
            for await bound in ports {
                port = bound
                break
            }
            let server = TestServer(
                store: store, records: records, appended: appended, commands: commands,
                base: "http://127.0.0.1:\(port ?? 0)", tokens: tokens)
            do { try await body(server) } catch {
                await group.triggerGracefulShutdown()
                throw error
            }
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
        }
    }

    struct Reply: Sendable {
        let status: Int
        let text: String
        let headers: [String: String]
        func header(_ name: String) -> String? { headers[name.lowercased()] }
        func json() throws -> [String: Any] {
            try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any] ?? [:]
        }
        func items() throws -> [[String: Any]] { try json()["items"] as? [[String: Any]] ?? [] }
    }

    func send(
        _ method: String, _ path: String, as role: OperatorToken.Role? = .admin, body: String? = nil,
        headers: [String: String] = [:]
    ) async throws -> Reply {
        guard let url = URL(string: base + path) else { throw URLError(.badURL) }
        var request = URLRequest(url: url)
        request.httpMethod = method
        request.httpShouldHandleCookies = false
        request.timeoutInterval = 20
        if let role, let secret = tokens[role] {
            request.setValue("Bearer \(secret)", forHTTPHeaderField: "Authorization")
        }
        if let body {
            request.httpBody = Data(body.utf8)
            request.setValue("application/json", forHTTPHeaderField: "Content-Type")
        }
        for (name, value) in headers { request.setValue(value, forHTTPHeaderField: name) }
        let (data, response) = try await Self.session.data(for: request)
        guard let http = response as? HTTPURLResponse else { throw URLError(.badServerResponse) }
        var found: [String: String] = [:]
        for (name, value) in http.allHeaderFields { found["\(name)".lowercased()] = "\(value)" }
        return Reply(status: http.statusCode, text: String(decoding: data, as: UTF8.self), headers: found)
    }

    private static let session: URLSession = {
        let configuration = URLSessionConfiguration.ephemeral
        configuration.urlCache = nil
        configuration.requestCachePolicy = .reloadIgnoringLocalCacheData
        return URLSession(configuration: configuration)
    }()
}

/// What was put into the log.
final class Appended: Sendable {
    let events = Mutex<[Telemetry.LogEvent]>([])
}

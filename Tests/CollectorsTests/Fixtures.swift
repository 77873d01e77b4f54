import Collectors
import Core
import EventLog
import Foundation
import FoundationNetworking
import Logging
import Policy
import ServiceLifecycle
import Telemetry
import Testing

/// A local log of a test's own, and what takes spans into it.
final class Stage: Sendable {
    let folder: String
    let log: LocalLog
    let ingest: SpanIngest
    let settings: CollectorSettings
    static let hasher = KeyHasher(secret: Array(repeating: UInt8(7), count: 32))
    static let secret = "tt-of-the-tests"

    init(pageLimit: Int? = nil, queueLimit: Int? = nil, _ change: (inout CollectorSettings) -> Void = { _ in }) throws {
        folder = NSTemporaryDirectory() + "trimtab-collector-\(UInt64.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        var file = LocalLogSettings(path: folder + "/log.db", gatewayID: "gw-test", partitions: 4)
        file.pageLimit = pageLimit
        if let queueLimit { file.queueLimit = queueLimit }
        log = try LocalLog(settings: file)
        var settings = CollectorSettings(defaultRoute: try #require(RouteName("otlp")))
        settings.http.port = 0
        change(&settings)
        self.settings = settings
        ingest = SpanIngest(log: log, settings: settings)
        ingest.update(try Self.directory())
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    /// One key of project `a`, a route of project `b`, and a price.
    static func directory() throws -> CollectorDirectory {
        var table = RoutingTable()
        var route = Route(name: try #require(RouteName("theirs")))
        route.project = "b"
        let policy = RoutingPolicy(
            route: route.name, version: 1, createdAt: 1, createdBy: "test", reason: "test",
            targets: [Target(provider: "openai", model: "gpt-4o-mini")])
        table.entries[route.name] = RoutingTable.Entry(
            route: route, pointer: RoutePointer(route: route.name, stable: 1), stable: policy)
        let prices = PriceBook(
            id: "2026-07-02#4", prices: ["openai/gpt-4o-mini": TokenPrice(input: 150_000_000, output: 600_000_000)])
        let key = VirtualKey(name: "ann", project: "a", digest: hasher.digest(secret), createdAt: 1)
        return CollectorDirectory(table: table, keys: [key], prices: prices)
    }

    /// Every record in the log's file, in the order of its partitions.
    func records() async throws -> [RequestRecord] {
        _ = await log.waitUntilWritten()
        let reader = try LocalLogReader(log: log, topic: "events")
        let decoder = EventDecoder()
        var records: [RequestRecord] = []
        let ends = log.endOffsets
        var missing = Set(ends.indices.filter { ends[$0] > 0 })
        let deadline = ContinuousClock.now + .seconds(20)
        while !missing.isEmpty, .now < deadline {
            switch try await reader.next(timeout: .milliseconds(100)) {
            case .assigned(let partitions):
                for partition in partitions { try await reader.start(partition: partition, at: 0) }
            case .batch(let batch):
                for entry in batch.entries {
                    if case .request(let record) = try decoder.decode(batch.bytes, entry.range, kind: .request) {
                        records.append(record)
                    }
                    if entry.offset + 1 == ends[batch.partition] { missing.remove(batch.partition) }
                }
            default: break
            }
        }
        await reader.close()
        return records
    }

    struct Reply: Sendable {
        var status: Int
        var body: [UInt8]
        var headers: [String: String]
        var text: String { String(decoding: body, as: UTF8.self) }
    }

    /// Runs the collector on a real socket for as long as `body` takes.
    func serve(_ body: @escaping @Sendable (Client) async throws -> Void) async throws {
        let (ports, continuation) = AsyncStream.makeStream(of: Int.self)
        let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let service = CollectorServer.make(
            ingest: ingest, settings: settings.http, hasher: Self.hasher, logger: quiet
        ) { continuation.yield($0) }
        let group = ServiceGroup(services: [service], logger: quiet)
        try await withThrowingTaskGroup { tasks in
            tasks.addTask { try await group.run() }
            var port = 0
            for await bound in ports {
                port = bound
                break
            }
            let outcome: Result<Void, any Error>
            do {
                outcome = .success(try await body(Client(port: port)))
            } catch {
                outcome = .failure(error)
            }
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
            try outcome.get()
        }
    }

    struct Client: Sendable {
        let port: Int

        func post(
            _ bytes: [UInt8], type: String? = "application/x-protobuf", key: String? = Stage.secret,
            encoding: String? = nil, method: String = "POST", path: String = "/v1/traces"
        ) async throws -> Reply {
            guard let url = URL(string: "http://127.0.0.1:\(port)\(path)") else { throw URLError(.badURL) }
            var request = URLRequest(url: url)
            request.httpMethod = method
            request.timeoutInterval = 30
            if method == "POST" { request.httpBody = Data(bytes) }
            if let type { request.setValue(type, forHTTPHeaderField: "Content-Type") }
            if let encoding { request.setValue(encoding, forHTTPHeaderField: "Content-Encoding") }
            if let key { request.setValue("Bearer \(key)", forHTTPHeaderField: "Authorization") }
            let (data, response) = try await URLSession.shared.data(for: request)
            guard let http = response as? HTTPURLResponse else { throw URLError(.badServerResponse) }
            var headers: [String: String] = [:]
            for (name, value) in http.allHeaderFields { headers["\(name)".lowercased()] = "\(value)" }
            return Reply(status: http.statusCode, body: Array(data), headers: headers)
        }
    }
}

import Core
import Foundation
import Gateway
import Logging
import NIOCore
import NIOPosix
import Policy
import Synchronization
import Telemetry
import TestSupport
import Testing

/// Keeps what the gateway records.
final class MemorySink: RecordSink {
    private let events = Mutex<[Telemetry.LogEvent]>([])

    func append(_ event: Telemetry.LogEvent) { events.withLock { $0.append(event) } }

    var records: [RequestRecord] {
        events.withLock { $0.compactMap { if case .request(let record) = $0 { record } else { nil } } }
    }
    var feedback: [Feedback] {
        events.withLock { $0.compactMap { if case .feedback(let feedback) = $0 { feedback } else { nil } } }
    }
}

/// Waits until `condition` holds, for ten seconds at most.
func eventually(_ what: Comment, _ condition: () -> Bool) async {
    for _ in 0..<2_000 {
        if condition() { return }
        try? await Task.sleep(for: .milliseconds(5))
    }
    Issue.record("\(what) never came true")
}

/// A gateway on a free port, with route `chat` served by target `main` and, if asked for, a fallback `spare`.
struct TestGateway {
    static let key = "tt-test-key"
    static let revokedKey = "tt-revoked"

    let server: GatewayServer
    let sink = MemorySink()
    var port: Int { server.port ?? 0 }

    struct Options {
        var settings = GatewaySettings()
        var timeouts = RoutingPolicy.Timeouts()
        var includeUsage = true
        var maxConnections = 256
        var trustRootsFile: String?
        var baseURL: String?
        var spare: Int?
        var prices: [String: TokenPrice] = [:]
        var edit: @Sendable (inout Serving) -> Void = { _ in }
    }

    init(upstream port: Int, _ change: (inout Options) -> Void = { _ in }) async throws {
        var options = Options()
        options.settings.port = 0
        change(&options)
        var main = ProviderSettings(
            id: "main", baseURL: options.baseURL ?? "http://127.0.0.1:\(port)/v1", apiKey: "sk-upstream")
        main.includeUsage = options.includeUsage
        main.maxConnectionsPerLoop = options.maxConnections
        main.trustRootsFile = options.trustRootsFile
        let spare = ProviderSettings(id: "spare", baseURL: "http://127.0.0.1:\(options.spare ?? 1)/v1")
        let hasher = KeyHasher(secret: Data(repeating: 7, count: 32))
        server = try GatewayServer(
            settings: options.settings, providers: [main, spare], sink: sink, hasher: hasher,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            group: MultiThreadedEventLoopGroup.singleton)
        server.update(try Self.snapshot(options, hasher))
        try await server.start()
        let started = server
        await eventually("serving the snapshot") { started.servedEpoch >= 0 }
    }

    /// What a test may change of the only route.
    struct Serving {
        var route: Route
        var pointer: RoutePointer
        var stable: RoutingPolicy
        var candidate: RoutingPolicy?

        /// Version 4, served by `model-c`: at the provider `main`, or at another.
        mutating func addCandidate(weight: Double, provider: String = "main") {
            var candidate = stable
            candidate.version = 4
            candidate.targets = [Target(id: "new", provider: provider, model: "model-c")]
            candidate.fallbacks = []
            self.candidate = candidate
            (pointer.candidate, pointer.weight) = (4, weight)
            (pointer.rollout, pointer.step) = (UUIDv7(high: 7 << 16 | 0x7000, low: 1 << 63), 2)
        }
    }

    private static func snapshot(_ options: Options, _ hasher: KeyHasher) throws -> GatewaySnapshot {
        let name = try #require(RouteName("chat"))
        var route = Route(name: name)
        route.holdout = 0
        let main = Target(id: "main", provider: "main", model: "model-a")
        let spare = Target(id: "spare", provider: "spare", model: "model-b")
        let stable = RoutingPolicy(
            route: name, version: 3, createdAt: 1_000, createdBy: "test", reason: "test", targets: [main, spare],
            fallbacks: options.spare == nil ? [] : ["spare"], timeouts: options.timeouts)
        var serving = Serving(route: route, pointer: RoutePointer(route: name, stable: 3), stable: stable)
        options.edit(&serving)
        let entry = RoutingTable.Entry(
            route: serving.route, pointer: serving.pointer, stable: serving.stable, candidate: serving.candidate)
        let prices = PriceBook(
            id: "2026-01-01#1",
            prices: ["main/model-a": TokenPrice(input: 1_000_000_000, output: 2_000_000_000)]
                .merging(options.prices) { $1 })
        let key = VirtualKey(name: "tester", project: "alpha", digest: hasher.digest(Self.key), createdAt: 0)
        var revoked = VirtualKey(name: "old", digest: hasher.digest(Self.revokedKey), createdAt: 0)
        revoked.revokedAt = 5
        return GatewaySnapshot(table: RoutingTable(entries: [name: entry]), keys: [key, revoked], prices: prices)
    }

    /// Waits for the record of the only request there was.
    func onlyRecord() async throws -> RequestRecord {
        await eventually("a record") { !sink.records.isEmpty }
        let records = sink.records
        #expect(records.count == 1)
        return try #require(records.first)
    }

    func stop() async { await server.stop(drain: .zero) }
}

enum Wire {
    static func post(
        _ body: String, path: String = "/v1/chat/completions", key: String? = TestGateway.key, headers: String = ""
    ) -> String {
        let authorization = key.map { "authorization: Bearer \($0)\r\n" } ?? ""
        return "POST \(path) HTTP/1.1\r\nhost: x\r\n\(authorization)\(headers)"
            + "content-type: application/json\r\ncontent-length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    static let body = #"{"model":"chat","messages":[{"role":"user","content":"hello"}],"x":[1]}"#
    static let streamBody = #"{"model":"chat","stream":true,"messages":[{"role":"user","content":"hello"}]}"#

    static let answer = """
        {"id":"c1","choices":[{"index":0,"message":{"role":"assistant","content":"hi there"},"finish_reason":"stop"}],\
        "usage":{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4}}}
        """

    static func response(_ body: String, status: String = "200 OK", headers: String = "") -> Step {
        .send(
            "HTTP/1.1 \(status)\r\ncontent-type: application/json\r\n\(headers)"
                + "content-length: \(body.utf8.count)\r\n\r\n\(body)")
    }

    static let streamHead = Step.send(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")

    static func chunk(_ text: String) -> Step {
        .send("\(String(text.utf8.count, radix: 16))\r\n\(text)\r\n")
    }

    static func delta(_ content: String) -> String {
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\(content)\"}}]}\n\n"
    }
    static let finish = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
    static let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3}}\n\n"
    static let done = "data: [DONE]\n\n"
    static let end = Step.send("0\r\n\r\n")
}

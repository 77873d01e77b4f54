import Core
import Foundation
import Policy
import StateStore

/// An upstream with a fixed answer, nginx as its proxy, and the gateway as its proxy, all on loopback.
///
/// The gateway runs without a database, from the routing table that an earlier start would have left in its folder.
struct GatewayStage {
    static let path = "/v1/chat/completions"

    let folder: URL
    let upstreamPort: Int
    let proxyPort: Int
    let gatewayPort: Int
    let key = KeyHasher.generate(.virtualKey)
    let upstream: ChildProcess
    let proxy: ChildProcess
    let gateway: ChildProcess

    private static let secret = "a secret of the benchmarks, 32 bytes"
    /// A chat completion of about 600 bytes.
    private static let answer =
        #"{"id":"chatcmpl-0123456789abcdef","object":"chat.completion","created":1763650020,"model":"small","#
        + #""system_fingerprint":"fp_0123456789","choices":[{"index":0,"message":{"role":"assistant","content":""#
        + String(repeating: "The keel keeps a boat on her course. ", count: 6)
        + #"","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":31,"#
        + #""completion_tokens":54,"total_tokens":85,"prompt_tokens_details":{"cached_tokens":0}}}"#

    init(folder: URL, nginx: String) throws {
        self.folder = folder
        (upstreamPort, proxyPort) = (try LoopbackConnection.freePort(), try LoopbackConnection.freePort())
        gatewayPort = try LoopbackConnection.freePort()
        try Self.writeTable(to: folder, key: key)
        upstream = try Self.server(
            nginx, "upstream", folder, port: upstreamPort,
            location: "default_type application/json; return 200 '\(Self.answer)';")
        proxy = try Self.server(
            nginx, "proxy", folder, port: proxyPort,
            location: "proxy_pass http://chat; proxy_http_version 1.1; proxy_set_header Connection '';",
            more: "upstream chat { server 127.0.0.1:\(upstreamPort); keepalive 64; keepalive_requests 1000000000; }")
        let settings = """
            data_dir: \(folder.path)
            secret: \(Self.secret)
            gateway: {id: bench, bind: "127.0.0.1:\(gatewayPort)", drain_s: 1}
            api: {bind: "127.0.0.1:0"}
            providers:
              bench: {base_url: "http://127.0.0.1:\(upstreamPort)/v1", api_key: upstream, models: [small, large]}
            state: {postgres: {url: "host=127.0.0.1 port=1 dbname=none connect_timeout=1"}}
            observability: {log_level: error}
            """
        let file = folder.appending(path: "trimtab.yaml")
        try settings.write(to: file, atomically: true, encoding: .utf8)
        gateway = try ChildProcess(
            ChildProcess.trimtab, ["serve", "--roles", "gateway", "--config", file.path],
            log: folder.appending(path: "gateway.log"))
    }

    func stop() async {
        for process in [gateway, proxy, upstream] { await process.stop() }
    }

    /// One route with a canary at ten percent, one key, prices for both models.
    private static func writeTable(to folder: URL, key: String) throws {
        guard let route = RouteName("chat") else { return }
        func policy(_ version: Int, _ model: String) -> RoutingPolicy {
            RoutingPolicy(
                route: route, version: version, createdAt: 0, createdBy: "bench", reason: "bench",
                targets: [Target(provider: "bench", model: model)])
        }
        var pointer = RoutePointer(route: route, stable: 1)
        (pointer.candidate, pointer.weight, pointer.epoch) = (2, 0.1, 1)
        let entry = RoutingTable.Entry(
            route: Route(name: route), pointer: pointer, stable: policy(1, "small"), candidate: policy(2, "large"))
        let digest = KeyHasher(secret: Data(secret.utf8)).digest(key)
        let price = TokenPrice(input: 150_000_000, output: 600_000_000)
        let snapshot = StoredSnapshot(
            table: RoutingTable(entries: [route: entry]),
            keys: [VirtualKey(name: "bench", digest: digest, createdAt: 0)],
            prices: PriceBook(id: "bench#1", prices: ["bench/small": price, "bench/large": price]))
        try JSONEncoder().encode(snapshot).write(to: folder.appending(path: "table.json"))
    }

    /// nginx as one process that does the work itself, so that its CPU time is all in one place.
    private static func server(
        _ nginx: String, _ name: String, _ folder: URL, port: Int, location: String, more: String = ""
    ) throws -> ChildProcess {
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map { "\($0)_temp_path \(folder.path)/\(name)-\($0);" }.joined(separator: " ")
        let configuration = """
            daemon off; master_process off; worker_processes 1;
            pid \(folder.path)/\(name).pid; error_log stderr error;
            events { worker_connections 1024; }
            http {
                access_log off; keepalive_requests 1000000000; \(temporary)
                \(more)
                server { listen 127.0.0.1:\(port); location = \(path) { \(location) } }
            }
            """
        let file = folder.appending(path: "\(name).conf")
        try configuration.write(to: file, atomically: true, encoding: .utf8)
        return try ChildProcess(
            nginx, ["-c", file.path, "-e", "stderr"], log: folder.appending(path: "\(name).log"))
    }
}

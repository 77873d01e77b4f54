import Core
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// One HTTP/1.1 request on one connection: all that a command needs.
struct HTTPClient: Sendable {
    let host: String
    let port: Int
    let tls: Bool

    static let timeout: TimeAmount = .seconds(60)
    /// Answers over this are refused, bytes.
    static let answerLimit = 64 << 20

    struct Answer: Sendable {
        var status = 0
        var body: [UInt8] = []
    }

    private typealias Connection = NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>

    /// - Throws: `Failure` with exit status 69 when nobody answers.
    func send(_ method: String, _ path: String, headers: [(String, String)], body: [UInt8]) async throws -> Answer {
        let connection: Connection
        do {
            connection = try await connect()
        } catch {
            throw Failure(
                status: .unavailable,
                text: "Nothing answers at \(host):\(port). "
                    + "Start it with `trimtab serve` or `trimtab demo`, or set TRIMTAB_URL.")
        }
        let channel = connection.channel
        let timer = channel.eventLoop.scheduleTask(in: Self.timeout) { channel.close(promise: nil) }
        defer { timer.cancel() }
        var head = HTTPRequestHead(version: .http1_1, method: .init(rawValue: method), uri: path)
        head.headers.add(name: "Host", value: "\(host):\(port)")
        head.headers.add(name: "Connection", value: "close")
        head.headers.add(name: "Content-Length", value: String(body.count))
        for (name, value) in headers { head.headers.add(name: name, value: value) }
        let answer = try? await exchange(connection, head, body)
        guard let answer, answer.status != 0 else {
            throw Failure(
                status: .unavailable, text: "\(host):\(port) closed the connection without an answer. Try again.")
        }
        return answer
    }

    private func connect() async throws -> Connection {
        let handler = tls ? try NIOSSLContext(configuration: .makeClientConfiguration()) : nil
        let host = host
        return try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connectTimeout(.seconds(5))
            .connect(host: host, port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let handler {
                        try channel.pipeline.syncOperations.addHandler(
                            NIOSSLClientHandler(context: handler, serverHostname: host))
                    }
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    return try Connection(wrappingChannelSynchronously: channel)
                }
            }
    }

    private func exchange(_ connection: Connection, _ head: HTTPRequestHead, _ body: [UInt8]) async throws -> Answer {
        try await connection.executeThenClose { inbound, outbound in
            // At once: a server that answers the head alone may have closed before a second write.
            try await outbound.write(
                contentsOf: [.head(head), .body(.byteBuffer(ByteBuffer(bytes: body))), .end(nil)])
            var answer = Answer()
            for try await part in inbound {
                switch part {
                case .head(let head): answer.status = Int(head.status.code)
                case .body(let bytes):
                    answer.body += bytes.readableBytesView
                    guard answer.body.count <= Self.answerLimit else { return Answer() }
                case .end: return answer
                }
            }
            return Answer()
        }
    }
}

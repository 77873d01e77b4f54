import Core
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix

/// Where requests go: `http://host[:port][/path]`. Loopback and test traffic only, so without TLS.
package struct PlainURL: Sendable, Equatable {
    package let host: String
    package let port: Int
    /// Without a trailing slash; empty for the root.
    package let path: String

    /// - Throws: `simulation.url`.
    package init(_ text: String) throws {
        guard let parts = URLComponents(string: text), parts.scheme == "http", let host = parts.host, !host.isEmpty
        else {
            throw TrimtabError(
                "simulation.url", "'\(text)' is not a plain HTTP address.",
                remedy: "Give an address like http://127.0.0.1:8080; the replay does not speak TLS.")
        }
        self.host = host
        port = parts.port ?? 80
        path = parts.path.hasSuffix("/") ? String(parts.path.dropLast()) : parts.path
    }
}

/// What comes back for one request; `end` or `failed` is the last.
enum ReplyEvent {
    case head(HTTPResponseHead)
    case body(ByteBuffer)
    case end
    case failed(String)
}

/// A small HTTP/1.1 client with kept-alive connections, confined to one event loop.
final class LoopHTTPClient {
    typealias Receiver = (ReplyEvent) -> Void

    private let loop: any EventLoop
    private let url: PlainURL
    private let maximumConnections: Int
    private let timeout: TimeAmount
    private var idle: [ClientHandler] = []
    private var open = 0

    init(loop: any EventLoop, url: PlainURL, maximumConnections: Int, timeout: TimeAmount) {
        self.loop = loop
        self.url = url
        self.maximumConnections = maximumConnections
        self.timeout = timeout
    }

    /// Sends at once on a free or new connection; false if `maximumConnections` are busy.
    func send(
        _ method: HTTPMethod, _ path: String, headers: HTTPHeaders, body: ByteBuffer, _ receiver: @escaping Receiver
    )
        -> Bool
    {
        var all = headers
        all.add(name: "host", value: "\(url.host):\(url.port)")
        if method != .GET { all.add(name: "content-length", value: "\(body.readableBytes)") }
        let head = HTTPRequestHead(version: .http1_1, method: method, uri: url.path + path, headers: all)
        while let connection = idle.popLast() {
            guard connection.isActive else { continue }
            connection.send(head, body, timeout, receiver)
            return true
        }
        guard open < maximumConnections else { return false }
        open += 1
        connect { [timeout] result in
            switch result {
            case .success(let connection): connection.send(head, body, timeout, receiver)
            case .failure(let error): receiver(.failed("connect: \(error)"))
            }
        }
        return true
    }

    private func connect(_ done: @escaping (Result<ClientHandler, any Error>) -> Void) {
        let handler = NIOLoopBound(ClientHandler(self), eventLoop: loop)
        ClientBootstrap(group: loop)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .connectTimeout(.seconds(5))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    try channel.pipeline.syncOperations.addHandler(handler.value)
                }
            }
            .connect(host: url.host, port: url.port)
            .assumeIsolated()
            .whenComplete { result in
                if case .failure = result { self.open -= 1 }
                done(result.map { _ in handler.value })
            }
    }

    fileprivate func free(_ connection: ClientHandler) { idle.append(connection) }

    fileprivate func closed(_ connection: ClientHandler) {
        open -= 1
        idle.removeAll { $0 === connection }
    }

    /// Closes the connections that wait for work.
    func shutDown() { for connection in idle { connection.close() } }
}

/// One connection; at most one request at a time.
private final class ClientHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private let pool: LoopHTTPClient
    private var context: ChannelHandlerContext?
    private var receiver: LoopHTTPClient.Receiver?
    private var deadline: Scheduled<Void>?
    private var keepAlive = true

    init(_ pool: LoopHTTPClient) { self.pool = pool }

    var isActive: Bool { context?.channel.isActive == true }

    func send(
        _ head: HTTPRequestHead, _ body: ByteBuffer, _ timeout: TimeAmount,
        _ receiver: @escaping LoopHTTPClient.Receiver
    ) {
        guard let context else { return receiver(.failed("connection closed")) }
        self.receiver = receiver
        deadline = context.eventLoop.assumeIsolated().scheduleTask(in: timeout) { [weak self] in
            self?.fail("timeout")
            self?.close()
        }
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if body.readableBytes > 0 { context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil) }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    func close() { context?.close(promise: nil) }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            keepAlive = head.isKeepAlive
            receiver?(.head(head))
        case .body(let part): receiver?(.body(part))
        case .end:
            guard let receiver else { return }
            finish()
            if keepAlive { pool.free(self) } else { context.close(promise: nil) }
            receiver(.end)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.context = nil
        pool.closed(self)
        fail("connection closed")
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail("\(error)")
        context.close(promise: nil)
    }

    private func fail(_ reason: String) {
        guard let receiver else { return }
        finish()
        receiver(.failed(reason))
    }

    private func finish() {
        deadline?.cancel()
        (deadline, receiver) = (nil, nil)
    }
}

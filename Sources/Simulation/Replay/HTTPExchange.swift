import Core
package import NIOCore
package import NIOHTTP1
import NIOPosix

/// One request and its whole answer, on a connection of its own.
package enum HTTPExchange {
    package struct Reply: Sendable {
        package var status: Int
        package var headers: HTTPHeaders
        /// At most `maximumBytes`; what lies beyond is dropped.
        package var text: String
    }

    package static let maximumBytes = 16 << 20

    /// - Throws: `simulation.no_answer` when the connection fails, ends early or `timeout` passes.
    package static func send(
        _ method: HTTPMethod, _ url: PlainURL, _ path: String, headers: HTTPHeaders = [:],
        body: ByteBuffer = ByteBuffer(), timeout: TimeAmount = .seconds(30)
    ) async throws -> Reply {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let promise = loop.makePromise(of: Reply.self)
        var all = headers
        all.replaceOrAdd(name: "connection", value: "close")
        let sent = all
        loop.execute {
            let client = LoopHTTPClient(loop: loop, url: url, maximumConnections: 1, timeout: timeout)
            var reply = Reply(status: 0, headers: [:], text: "")
            var bytes = ByteBuffer()
            _ = client.send(method, path, headers: sent, body: body) { event in
                switch event {
                case .head(let head): (reply.status, reply.headers) = (Int(head.status.code), head.headers)
                case .body(var part):
                    if bytes.readableBytes < maximumBytes { bytes.writeBuffer(&part) }
                case .end:
                    reply.text = String(buffer: bytes)
                    promise.succeed(reply)
                case .failed(let reason):
                    promise.fail(
                        TrimtabError(
                            "simulation.no_answer", "http://\(url.host):\(url.port)\(path) did not answer: \(reason).",
                            remedy: "Check that it runs and that the address is right."))
                }
            }
        }
        return try await promise.futureResult.get()
    }
}

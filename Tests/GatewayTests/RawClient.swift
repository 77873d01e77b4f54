import NIOCore
import NIOPosix
import Synchronization
import Testing

/// What a client has got so far.
private final class Transcript: Sendable {
    let state = Mutex((text: "", closed: false))
}

/// A client that sends any bytes and keeps all it gets.
final class RawClient: Sendable {
    private let transcript = Transcript()
    private let channel: any Channel

    /// - Parameter reading: `false` leaves the answer in the socket, as a client that has stalled does.
    init(port: Int, reading: Bool = true) async throws {
        channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.autoRead, value: reading)
            .channelInitializer { [transcript] channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(TranscriptHandler(transcript))
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
    }

    var text: String { transcript.state.withLock { $0.text } }
    var isClosed: Bool { transcript.state.withLock { $0.closed } }

    func send(_ text: String) async { try? await channel.writeAndFlush(ByteBuffer(string: text)).get() }
    func close() async { try? await channel.close().get() }
    func startReading() async { try? await channel.setOption(.autoRead, value: true).get() }

    /// Sends one request and waits for what answers it: as many bytes as its length says, its last chunk, or the end.
    static func ask(_ request: String, port: Int) async throws -> Response {
        let client = try await RawClient(port: port)
        await client.send(request)
        await eventually("an answer") { client.isClosed || Response(client.text)?.isWhole == true }
        let response = Response(client.text) ?? Response.none
        await client.close()
        return response
    }
}

private final class TranscriptHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let transcript: Transcript
    init(_ transcript: Transcript) { self.transcript = transcript }
    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let text = String(buffer: unwrapInboundIn(data))
        transcript.state.withLock { $0.text += text }
    }
    func channelInactive(context: ChannelHandlerContext) { transcript.state.withLock { $0.closed = true } }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

/// An HTTP answer as text.
struct Response {
    static let none = Response(status: 0, head: "", body: "")

    var status: Int
    var head: String
    /// Chunks joined.
    var body: String
    var isWhole = false

    private init(status: Int, head: String, body: String) {
        (self.status, self.head, self.body) = (status, head, body)
    }

    init?(_ text: String) {
        guard let end = text.firstRange(of: "\r\n\r\n"), let code = Int(text.dropFirst(9).prefix(3)) else { return nil }
        status = code
        head = String(text[..<end.lowerBound]).lowercased() + "\r\n"
        let rest = text[end.upperBound...]
        if head.contains("transfer-encoding: chunked") {
            (body, isWhole) = Self.join(rest)
        } else {
            body = String(rest)
            isWhole = header("content-length").flatMap { Int($0) }.map { rest.utf8.count >= $0 } ?? false
        }
    }

    func header(_ name: String) -> String? {
        head.split(separator: "\r\n").first { $0.hasPrefix(name + ": ") }.map { String($0.dropFirst(name.count + 2)) }
    }

    private static func join(_ text: Substring) -> (String, Bool) {
        var (bytes, body) = (text.utf8[...], "")
        while let line = bytes.firstIndex(of: 13) {
            guard let size = Int(String(bytes[..<line]) ?? "", radix: 16) else { return (body, false) }
            if size == 0 { return (body, true) }
            let data = bytes[line...].dropFirst(2)
            guard data.count >= size + 2 else { return (body, false) }
            body += String(data.prefix(size)) ?? ""
            bytes = data.dropFirst(size + 2)
        }
        return (body, false)
    }
}

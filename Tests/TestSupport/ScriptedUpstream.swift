import NIOCore
import NIOPosix
package import NIOSSL
import Synchronization

/// What an upstream does once a request has come in whole.
package enum Step: Sendable {
    case send(String)
    case pause(milliseconds: Int64)
    case close

    package static func answer(_ status: Int, _ body: String = "", headers: String = "") -> Step {
        .send("HTTP/1.1 \(status) .\r\ncontent-length: \(body.utf8.count)\r\n\(headers)\r\n\(body)")
    }
}

/// An HTTP server on loopback that says exactly what a test tells it to, byte for byte.
package final class ScriptedUpstream: Sendable {
    struct State {
        var requests: [String] = []
        var opened = 0
        var closed = 0
        /// Bytes that the gateway's side has taken.
        var written = 0
    }

    /// What has happened so far.
    final class Diary: Sendable {
        let state = Mutex(State())
        func note(_ change: (inout State) -> Void) { state.withLock { change(&$0) } }
    }

    package typealias Script = @Sendable (_ request: String, _ number: Int) -> [Step]

    package let port: Int
    private let diary = Diary()
    private let channel: any Channel

    package init(tls: NIOSSLContext? = nil, script: @escaping Script) async throws {
        channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { [diary] channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    if let tls { try pipeline.addHandler(NIOSSLServerHandler(context: tls)) }
                    try pipeline.addHandler(ScriptHandler(diary: diary, script: script))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        port = channel.localAddress?.port ?? 0
    }

    package var requests: [String] { diary.state.withLock(\.requests) }
    package var closed: Int { diary.state.withLock(\.closed) }
    package var opened: Int { diary.state.withLock(\.opened) }
    package var written: Int { diary.state.withLock(\.written) }

    package func stop() async { try? await channel.close().get() }
}

private final class ScriptHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let diary: ScriptedUpstream.Diary
    private let script: ScriptedUpstream.Script
    private var text = ""

    init(diary: ScriptedUpstream.Diary, script: @escaping ScriptedUpstream.Script) {
        self.diary = diary
        self.script = script
    }

    func channelActive(context: ChannelHandlerContext) { diary.note { $0.opened += 1 } }
    func channelInactive(context: ChannelHandlerContext) { diary.note { $0.closed += 1 } }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        text += String(buffer: unwrapInboundIn(data))
        guard let head = text.firstRange(of: "\r\n\r\n") else { return }
        let length =
            text[..<head.lowerBound].split(separator: "\r\n").first { $0.lowercased().hasPrefix("content-length:") }
            .flatMap { Int($0.dropFirst(15).trimmingPrefix(" ")) } ?? 0
        guard text[head.upperBound...].utf8.count >= length else { return }
        let request = text
        text = ""
        var number = 0
        diary.note {
            $0.requests.append(request)
            number = $0.requests.count
        }
        run(script(request, number)[...], context)
    }

    private func run(_ steps: ArraySlice<Step>, _ context: ChannelHandlerContext) {
        guard let step = steps.first else { return }
        let rest = steps.dropFirst()
        switch step {
        case .send(let text):
            let diary = diary
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text))).assumeIsolated().whenComplete { result in
                guard case .success = result else { return }
                diary.note { $0.written += text.utf8.count }
                self.run(rest, context)
            }
        case .pause(let milliseconds):
            context.eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(milliseconds)) {
                self.run(rest, context)
            }
        case .close: context.close(promise: nil)
        }
    }
}

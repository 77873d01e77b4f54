import NIOCore
import NIOTLS
import Telemetry

/// One HTTP/1.1 connection to a provider, serving one exchange at a time.
final class UpstreamConnection: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = Never
    typealias OutboundOut = ByteBuffer

    /// What the rest of an unwanted answer may weigh before closing is cheaper than reading it.
    private static let discardLimit = 64 << 10
    private static let discardTime = TimeAmount.seconds(2)
    /// Bytes of an answer's head, or of its trailers.
    private static let headLimit = 64 << 10

    private let pool: UpstreamPool
    private var context: ChannelHandlerContext?
    private var exchange: (any UpstreamUser)?
    private var state = State.connecting
    private var reader = HTTPReader(isResponse: true, headLimit: headLimit)
    private var failure: UpstreamFailure?
    private var secured = false
    private var keepAlive = true
    private var paused = false
    private var readHeld = false
    private var discarded = 0
    private var discards = 0
    private var attached = false
    /// Whether it has served a request before.
    private(set) var reused = false
    /// Whether a byte of the answer to the current request has come.
    private(set) var answered = false
    var idleSince = NIODeadline.now()

    private enum State { case connecting, idle, busy, discarding, closed }

    init(pool: UpstreamPool) { self.pool = pool }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    /// The transport is there; with TLS the handshake is still to come.
    func attach(handshakeTimeout: TimeAmount) {
        guard let context, context.channel.isActive, failure == nil else {
            state = .closed
            self.context?.close(promise: nil)
            return pool.connectFailed(failure ?? UpstreamFailure(error: .reset))
        }
        state = .idle
        if pool.endpoint.tls == nil || secured { return pool.ready(self) }
        state = .connecting
        attached = true
        context.eventLoop.assumeIsolated().scheduleTask(in: handshakeTimeout) {
            if self.state == .connecting { self.fail(UpstreamFailure(error: .timeoutConnect)) }
        }
    }

    /// Sends a request whose bytes are `head`, then `rest`.
    func send(_ head: ByteBuffer, _ rest: ByteBuffer?, for exchange: any UpstreamUser) {
        guard let context else { return exchange.upstreamFailed(UpstreamFailure(error: .reset), self) }
        self.exchange = exchange
        state = .busy
        answered = false
        keepAlive = true
        context.write(wrapOutboundOut(head), promise: nil)
        if let rest { context.write(wrapOutboundOut(rest), promise: nil) }
        context.flush()
    }

    /// Holds back reading, so that the provider feels that the client is slow.
    func pause() { paused = true }

    func resume() {
        paused = false
        guard readHeld else { return }
        readHeld = false
        context?.read()
    }

    /// Gives up the current answer but, if little of it is left, not the connection.
    func discard() {
        exchange = nil
        guard state == .busy else { return }
        state = .discarding
        discarded = 0
        discards += 1
        let current = discards
        context?.eventLoop.assumeIsolated().scheduleTask(in: Self.discardTime) {
            if self.state == .discarding, self.discards == current { self.close() }
        }
        resume()
    }

    /// Closes at once, whatever is going on.
    func close() {
        exchange = nil
        context?.close(promise: nil)
    }

    func read(context: ChannelHandlerContext) {
        if paused { readHeld = true } else { context.read() }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // An answer that nobody waits for would be taken for that to the next request.
        guard state == .busy || state == .discarding else { return fail(UpstreamFailure(error: .protocol)) }
        answered = true
        reader.append(unwrapInboundIn(data))
        do throws(HTTPFault) {
            while state == .busy || state == .discarding, let part = try reader.next() { handle(part) }
        } catch {
            fail(UpstreamFailure(error: .protocol))
        }
    }

    private func handle(_ part: HTTPReader.Part) {
        switch part {
        case .head(let head):
            keepAlive = head.keepAlive
            exchange?.upstreamHead(head)
        case .body(let bytes):
            if state == .discarding {
                discarded += bytes.readableBytes
                if discarded > Self.discardLimit { close() }
            }
            exchange?.upstreamBody(bytes)
        case .end: ended()
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) { exchange?.upstreamReadComplete() }

    private func ended() {
        let exchange = exchange
        self.exchange = nil
        guard state == .busy || state == .discarding else { return }
        state = .idle
        reused = true
        resume()
        // What follows an answer belongs to no request.
        if keepAlive, reader.isEmpty { pool.release(self) } else { context?.close(promise: nil) }
        exchange?.upstreamEnded()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .handshakeCompleted? = event as? TLSUserEvent else {
            return context.fireUserInboundEventTriggered(event)
        }
        secured = true
        if attached, state == .connecting {
            state = .idle
            pool.ready(self)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail(UpstreamFailure(error, secured: secured || pool.endpoint.tls == nil))
    }

    func channelInactive(context: ChannelHandlerContext) {
        if reader.endsWithConnection {
            keepAlive = false
            ended()
        }
        fail(UpstreamFailure(error: .reset))
    }

    private func fail(_ failure: UpstreamFailure) {
        guard state != .closed else { return }
        self.failure = self.failure ?? failure
        let previous = state
        let exchange = exchange
        self.exchange = nil
        switch previous {
        case .connecting:
            // Before `attach`, one of several addresses being tried has lost: nobody waits for it.
            guard attached else { break }
            state = .closed
            pool.connectFailed(failure)
        case .idle, .busy, .discarding:
            state = .closed
            pool.closed(self)
        case .closed: break
        }
        context?.close(promise: nil)
        exchange?.upstreamFailed(failure, self)
    }
}

import Core
import NIOCore
import Policy
import Telemetry

/// One client's connection: reads one request at a time, hands it on, and keeps the client's timeouts.
///
/// Further requests that a client has already sent wait, with reading held back, until the answer is out.
final class ClientConnection: ChannelDuplexHandler, Slotted {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = Never
    typealias OutboundOut = ByteBuffer

    /// How long a refused client may take to hang up.
    private static let lingerTime = TimeAmount.seconds(1)

    let loop: GatewayLoop
    /// Its place in the loop's list; -1 outside of it.
    var slot = -1
    var deadline = NIODeadline.distantFuture
    private(set) var context: ChannelHandlerContext?
    private(set) var request: ClientRequest?
    private(set) var state = State.waiting
    private var exchange: Exchange?
    private var reader: HTTPReader
    /// Whether parts are being handled: what ends a request then need not go on to the next itself.
    private var handling = false
    private var readHeld = false
    /// Whether bytes of the next request's head have come.
    private var begun = false

    enum State { case waiting, reading, answering, lingering, closed }

    init(loop: GatewayLoop) {
        self.loop = loop
        reader = HTTPReader(isResponse: false, headLimit: loop.settings.limits.headerBytes)
    }

    var isWritable: Bool { context?.channel.isWritable ?? false }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelActive(context: ChannelHandlerContext) {
        if loop.add(self) {
            deadline = .now() + .milliseconds(Int64(loop.settings.timeouts.headerMs))
        } else {
            refuse(.tooManyConnections)
        }
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard state != .lingering, state != .closed else { return }
        reader.append(unwrapInboundIn(data))
        handleParts()
    }

    func read(context: ChannelHandlerContext) {
        if state == .answering, !reader.isEmpty { readHeld = true } else { context.read() }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        exchange?.clientWritabilityChanged(context.channel.isWritable)
        context.fireChannelWritabilityChanged()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func channelInactive(context: ChannelHandlerContext) {
        let unfinished = state == .reading
        state = .closed
        deadline = .distantFuture
        loop.remove(self)
        if let exchange {
            self.exchange = nil
            exchange.clientGone()
        } else if unfinished, let request, request.endpoint == .chat {
            loop.appendRejection(of: request, status: 0, error: nil, outcome: .clientGone)
        }
        request = nil
        context.fireChannelInactive()
    }

    // MARK: Requests

    /// Handles what has come, up to the end of a request; the next one waits for the answer to this one.
    private func handleParts() {
        guard !handling else { return }
        handling = true
        do throws(HTTPFault) {
            while state == .waiting || state == .reading, let part = try reader.next() { handle(part) }
        } catch {
            reject(error == .tooLarge ? .headerFlood : .malformedHTTP)
        }
        handling = false
        guard state == .waiting, !reader.isEmpty, !begun else { return }
        begun = true
        deadline = .now() + .milliseconds(Int64(loop.settings.timeouts.headerMs))
    }

    private func handle(_ part: HTTPReader.Part) {
        switch part {
        case .head(let head): begin(head)
        case .body(let bytes):
            if request?.append(bytes, limit: loop.settings.limits.bodyBytes) == false {
                reject(.bodyTooLarge(limit: loop.settings.limits.bodyBytes))
            }
        case .end:
            request?.bodyEnded = true
            dispatch()
        }
    }

    private func begin(_ head: HTTPHead) {
        begun = false
        var request = ClientRequest(head)
        let limit = loop.settings.limits.bodyBytes
        if request.refusal == nil, request.endpoint != .health {
            switch loop.identify(request) {
            case .success(let caller): request.caller = caller
            case .failure(let error): request.refusal = error.refusal
            }
        }
        state = .reading
        self.request = request
        deadline = request.started + .milliseconds(Int64(loop.settings.timeouts.bodyMs))
        if let length = head.length, length > limit { return reject(.bodyTooLarge(limit: limit)) }
        if request.takesChunks, head.first("expect") != nil, let context {
            var buffer = context.channel.allocator.buffer(capacity: 32)
            buffer.writeStaticString("HTTP/1.1 100 Continue\r\n\r\n")
            context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
        }
    }

    private func dispatch() {
        guard let request else { return }
        if let refusal = request.refusal { return reject(refusal) }
        state = .answering
        deadline = .distantFuture
        switch request.endpoint {
        case .chat:
            do throws(RefusalError) {
                let exchange = try Exchange(request, client: self)
                self.exchange = exchange
                exchange.start()
            } catch {
                reject(error.refusal)
            }
        case .models: respondModels(request)
        case .feedback: acceptFeedback(request)
        case .health, .none:
            var body = ByteBuffer()
            body.writeStaticString("{\"status\":\"ok\"}")
            respond(200, body: body)
        }
    }

    /// Refuses the request, and records it if it was for a model.
    func reject(_ refusal: Refusal) {
        // Before its head has been read, a request may have been for anything: it counts as one for a model.
        if request.map({ $0.endpoint == .chat }) ?? true {
            loop.appendRejection(of: request, status: refusal.status, error: refusal.error, outcome: .rejected)
        }
        refuse(refusal)
    }

    /// The last bytes are on their way: nothing more is read or answered.
    func beginClosing() {
        exchange = nil
        guard state != .closed else { return }
        state = .lingering
        deadline = .now() + .milliseconds(Int64(loop.settings.timeouts.keepAliveMs))
    }

    /// The answer is out.
    func finished(closing: Bool) {
        exchange = nil
        let bodyEnded = request?.bodyEnded ?? false
        request = nil
        guard let context, state != .closed else { return }
        if closing {
            state = .lingering
            deadline = .now() + Self.lingerTime
            // With unread bytes in the socket a full close would reset the connection and could take the answer along.
            if bodyEnded || slot < 0 { context.close(promise: nil) } else { context.close(mode: .output, promise: nil) }
            return
        }
        state = .waiting
        deadline = .now() + .milliseconds(Int64(loop.settings.timeouts.keepAliveMs))
        handleParts()
        if readHeld, state != .answering || reader.isEmpty {
            readHeld = false
            context.read()
        }
    }

    // MARK: Time and stopping

    func expired(_ now: NIODeadline) {
        switch state {
        case .waiting:
            if begun { reject(.slowClient) } else { context?.close(promise: nil) }
        case .reading: reject(.slowClient)
        case .answering:
            if let exchange { exchange.expired(now) } else { context?.close(promise: nil) }
        case .lingering, .closed: context?.close(promise: nil)
        }
    }

    func closeNow() { context?.close(promise: nil) }

    func drain() {
        if state == .waiting, !begun { context?.close(promise: nil) }
    }

    func cutOff() {
        exchange?.truncate()
        context?.close(promise: nil)
    }
}

extension GatewayLoop {
    /// Records a request that never became an exchange.
    func appendRejection(of request: ClientRequest?, status: Int, error: ErrorClass?, outcome: Outcome) {
        let now = NIODeadline.now()
        let ended = wallClock()
        var record = RequestRecord(
            id: makeID(ended), at: ended, startedAt: request?.startedAt ?? ended, route: RequestRecord.noRoute,
            outcome: outcome, status: status, totalMs: request.map { now.milliseconds(since: $0.started) } ?? 0)
        record.error = error
        record.clientRequestID = request.flatMap(clientRequestID)
        record.key = request?.caller.key?.name
        record.project = request?.caller.key?.project
        append(record)
    }

    func clientRequestID(_ request: ClientRequest) -> String? {
        request.head.first("x-request-id").map { request.head.text($0.prefix(128)) }
    }
}

extension RequestRecord {
    /// The route of a request that named none we know: no route can be called so.
    package static let noRoute = "-"
}

import Core
import Foundation
import NIOCore
import NIOHTTP1

/// One connection to the fleet. The pipeline before it hands over one request at a time.
final class FleetHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let settings: FleetSettings
    private var head: HTTPRequestHead?
    private var body = ByteBuffer()
    private var tooLarge = false
    private var timer: Scheduled<Void>?

    init(_ settings: FleetSettings) { self.settings = settings }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body.clear()
            tooLarge = false
        case .body(var part):
            tooLarge = tooLarge || body.readableBytes + part.readableBytes > settings.maximumBodyBytes
            if !tooLarge { body.writeBuffer(&part) }
        case .end:
            if let head { route(context, head) }
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func route(_ context: ChannelHandlerContext, _ head: HTTPRequestHead) {
        if tooLarge {
            return reject(context, .payloadTooLarge, "The body is larger than 8 MiB.", "invalid_request_error")
        }
        let path = head.uri.split(separator: "?", maxSplits: 1).first ?? ""
        let parts = path.split(separator: "/").map(String.init)
        guard parts.count >= 3, parts[1] == "v1" else {
            return reject(context, .notFound, "Unknown request URL: \(head.method) \(path).", "invalid_request_error")
        }
        switch (head.method, parts[2...].joined(separator: "/")) {
        case (.GET, "models"):
            let models = settings.simulator.models.filter { $0.provider == parts[0] }
            respond(context, .ok, ChatWire.models(models, created: settings.clock() / 1000))
        case (.POST, "chat/completions"):
            chat(context, provider: parts[0])
        default:
            reject(context, .notFound, "Unknown request URL: \(head.method) \(path).", "invalid_request_error")
        }
    }

    private func chat(_ context: ChannelHandlerContext, provider: String) {
        let request: ChatRequest
        do {
            request = try JSONDecoder().decode(ChatRequest.self, from: Data(body.readableBytesView))
        } catch {
            return reject(
                context, .badRequest, "We could not parse the JSON body of your request.", "invalid_request_error")
        }
        let now = settings.clock()
        let answer = settings.simulator.answer(
            request.simulated, model: "\(provider)/\(request.model)", nowMs: Double(now))
        guard let answer else {
            return reject(
                context, .notFound, "The model `\(request.model)` does not exist or you do not have access to it.",
                "invalid_request_error", code: "model_not_found")
        }
        let seed = Hash64.hash("\(request.simulated.prompt)\u{0}\(request.model)", salt: UInt64(bitPattern: now))
        let identity = ChatWire.Identity(
            id: "chatcmpl-sim" + String(seed, radix: 36), created: now / 1000, model: request.model)
        switch answer.outcome {
        case .complete, .cut:
            if request.stream == true {
                let usage = request.streamOptions?.includeUsage == true
                let payloads = ChatWire.chunks(identity, answer, includeUsage: usage)
                stream(context, payloads, contents: payloads.count - (usage ? 4 : 3), answer)
            } else {
                after(answer.latencyMs, context) { [self] in
                    respond(context, .ok, ChatWire.completion(identity, answer), cut: answer.outcome == .cut)
                }
            }
        case .hang: break
        default: after(answer.latencyMs, context) { [self] in fail(context, answer.outcome, request.model) }
        }
    }

    private func fail(_ context: ChannelHandlerContext, _ outcome: SimulatedAnswer.Outcome, _ model: String) {
        switch outcome {
        case .serverError:
            reject(
                context, .internalServerError, "The server had an error while processing your request.", "server_error")
        case .unavailable:
            reject(
                context, .serviceUnavailable, "The engine is currently overloaded.", "server_error", code: "overloaded")
        case .rateLimited(let seconds):
            reject(
                context, .tooManyRequests, "Rate limit reached for \(model): try again in \(seconds) s.",
                "requests", code: "rate_limit_exceeded", headers: ["retry-after": "\(seconds)"])
        case .reset: context.close(promise: nil)
        case .complete, .hang, .cut: break
        }
    }

    /// Sends the first chunk after the time to first token and the last content at the latency, evenly between.
    private func stream(
        _ context: ChannelHandlerContext, _ payloads: [String], contents: Int, _ answer: SimulatedAnswer
    ) {
        let cut = answer.outcome == .cut
        let last = cut ? max(1, payloads.count / 2) : payloads.count
        let gap = (answer.latencyMs - answer.ttftMs) / Double(max(1, contents - 1))
        after(answer.ttftMs, context) { [self] in
            let headers: HTTPHeaders = [
                "content-type": "text/event-stream; charset=utf-8", "transfer-encoding": "chunked",
                "x-request-id": requestID(),
            ]
            context.write(wrapOutboundOut(.head(.init(version: .http1_1, status: .ok, headers: headers))), promise: nil)
            // The role and the first content leave together, as do the end, the usage and `[DONE]`.
            send(context, payloads, from: 0, upTo: min(2, last), until: last, gap: gap, cut: cut)
        }
    }

    private func send(
        _ context: ChannelHandlerContext, _ payloads: [String], from: Int, upTo: Int, until: Int, gap: Double, cut: Bool
    ) {
        var buffer = context.channel.allocator.buffer(capacity: 1024)
        for payload in payloads[from..<upTo] { buffer.writeString("data: \(payload)\n\n") }
        context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(buffer))), promise: nil)
        if upTo == until {
            if cut { context.close(promise: nil) } else { end(context) }
            return
        }
        let next = payloads[upTo].contains("\"finish_reason\":\"stop\"") ? until : upTo + 1
        after(next == until ? 0 : gap, context) { [self] in
            send(context, payloads, from: upTo, upTo: next, until: until, gap: gap, cut: cut)
        }
    }

    private func after(_ milliseconds: Double, _ context: ChannelHandlerContext, _ body: @escaping () -> Void) {
        let delay = TimeAmount.microseconds(Int64(max(0, min(milliseconds / settings.speed, 3.6e6)) * 1000))
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: delay, body)
    }

    private func respond(
        _ context: ChannelHandlerContext, _ status: HTTPResponseStatus, _ text: String, headers: HTTPHeaders = [:],
        cut: Bool = false
    ) {
        let buffer = context.channel.allocator.buffer(string: text)
        var all = headers
        all.add(name: "content-type", value: "application/json")
        all.add(name: "content-length", value: "\(buffer.readableBytes)")
        all.add(name: "x-request-id", value: requestID())
        context.write(wrapOutboundOut(.head(.init(version: .http1_1, status: status, headers: all))), promise: nil)
        let part = cut ? buffer.getSlice(at: 0, length: buffer.readableBytes / 2) ?? buffer : buffer
        context.write(wrapOutboundOut(.body(.byteBuffer(part))), promise: nil)
        if cut {
            context.flush()
            context.close(promise: nil)
        } else {
            end(context)
        }
    }

    private func end(_ context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        if head?.isKeepAlive == false { context.close(promise: nil) }
    }

    private func reject(
        _ context: ChannelHandlerContext, _ status: HTTPResponseStatus, _ message: String, _ type: String,
        code: String? = nil, headers: HTTPHeaders = [:]
    ) {
        respond(context, status, ChatWire.error(message, type: type, code: code), headers: headers)
    }

    private func requestID() -> String { "req-sim" + String(UInt64(bitPattern: settings.clock()), radix: 36) }
}

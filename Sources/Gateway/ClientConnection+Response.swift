import Core
import NIOCore

/// Writing answers: we write the bytes ourselves, so that a head and its body are one buffer and one system call.
extension ClientConnection {
    /// Bodies up to this are copied behind their head; larger ones are written as they are.
    private static let copyLimit = 32 << 10

    func refuse(_ refusal: Refusal) {
        respond(refusal.status, body: refusal.body, closes: refusal.closes) { head in
            if let header = refusal.header { head.literal(header) }
        }
    }

    /// Writes a whole answer of our own making.
    func respond(
        _ status: Int, body: ByteBuffer, closes: Bool = false, _ headers: (inout HeadWriter) -> Void = { _ in }
    ) {
        let id = loop.makeID(wallClock())
        respondWhole(status, body: body, closes: closes) { head in
            head.literal("content-type: application/json\r\n")
            head.field("x-request-id: ", id)
            headers(&head)
        }
    }

    /// Writes a whole answer; `headers` are all but those that frame it.
    func respondWhole(
        _ status: Int, body: ByteBuffer, closes: Bool = false, _ headers: (inout HeadWriter) -> Void
    ) {
        let closes = closes || !(request?.keepAlive ?? false) || loop.draining
        let copies = body.readableBytes <= Self.copyLimit
        var head = HeadWriter()
        head.statusLine(status)
        headers(&head)
        head.field("content-length: ", body.readableBytes)
        head.literal(closes ? "connection: close\r\n\r\n" : "\r\n")
        let sendsBody = !(request?.isHead ?? false)
        var buffer = head.buffer(more: copies && sendsBody ? body.readableBytes : 0)
        if copies, sendsBody { buffer.writeImmutableBuffer(body) }
        write(buffer, copies || !sendsBody ? nil : body, closes: closes)
    }

    private func write(_ head: ByteBuffer, _ body: ByteBuffer?, closes: Bool) {
        guard let context else { return }
        guard closes else {
            context.write(wrapOutboundOut(head), promise: nil)
            if let body { context.write(wrapOutboundOut(body), promise: nil) }
            context.flush()
            return finished(closing: false)
        }
        if let body {
            context.write(wrapOutboundOut(head), promise: nil)
            closeAfter(body)
        } else {
            closeAfter(head)
        }
    }

    /// Writes the last bytes of the connection and closes it when they are out.
    private func closeAfter(_ bytes: ByteBuffer) {
        guard let context else { return }
        // Nothing more is read or answered from here on.
        beginClosing()
        context.writeAndFlush(wrapOutboundOut(bytes)).assumeIsolated().whenComplete { _ in
            self.finished(closing: true)
        }
    }

    // MARK: Streams

    /// Writes the head of an answer whose length is not known yet, or known from the provider.
    func startStream(_ status: Int, length: Int?, _ headers: (inout HeadWriter) -> Void) {
        guard let context, let request else { return }
        var head = HeadWriter()
        head.statusLine(status)
        headers(&head)
        if let length {
            head.field("content-length: ", length)
        } else if request.takesChunks {
            head.literal("transfer-encoding: chunked\r\n")
        }
        head.literal(keepsAlive(length: length) ? "\r\n" : "connection: close\r\n\r\n")
        context.write(wrapOutboundOut(head.buffer()), promise: nil)
    }

    func writeStream(_ bytes: ByteBuffer, chunked: Bool) {
        guard let context, bytes.readableBytes > 0 else { return }
        guard chunked, request?.takesChunks == true else {
            return context.write(wrapOutboundOut(bytes), promise: nil)
        }
        let copies = bytes.readableBytes <= Self.copyLimit
        var buffer = context.channel.allocator.buffer(capacity: 16 + (copies ? bytes.readableBytes : 0))
        buffer.writeHex(bytes.readableBytes)
        buffer.writeStaticString("\r\n")
        if copies {
            buffer.writeImmutableBuffer(bytes)
            buffer.writeStaticString("\r\n")
            context.write(wrapOutboundOut(buffer), promise: nil)
        } else {
            context.write(wrapOutboundOut(buffer), promise: nil)
            context.write(wrapOutboundOut(bytes), promise: nil)
            context.write(wrapOutboundOut(ByteBuffer(staticString: "\r\n")), promise: nil)
        }
    }

    func flush() { context?.flush() }

    func endStream(length: Int?) {
        let last = length == nil && request?.takesChunks == true ? ByteBuffer(staticString: "0\r\n\r\n") : ByteBuffer()
        write(last, nil, closes: !keepsAlive(length: length))
    }

    /// Closes in the middle of a stream, so that the client cannot take it for whole.
    func abortStream() { closeAfter(ByteBuffer()) }

    private func keepsAlive(length: Int?) -> Bool {
        guard let request else { return false }
        return request.keepAlive && (length != nil || request.takesChunks) && !loop.draining
    }
}

extension ByteBuffer {
    mutating func writeHex(_ value: Int) {
        if value >= 16 { writeHex(value >> 4) }
        writeInteger(hexDigit(UInt8(value & 15)))
    }
}

import Core
import NIOCore
import Policy
import Telemetry

/// Passing the provider's answer on.
extension Exchange {
    func upstreamHead(_ head: HTTPHead) {
        guard phase == .sent, case .response(let code) = head.start else { return }
        let now = NIODeadline.now()
        if let failure = UpstreamFailure.of(status: code), hasFallback(for: failure) { return abandon(failure) }
        status = code
        answer = head
        length = head.length
        expect(within: timeouts.idleMs, from: now)
        guard code < 300, head.isEventStream else {
            phase = .collecting
            return
        }
        phase = .streaming
        length = nil
        client.startStream(code, length: nil) { writeHeaders(&$0) }
    }

    func upstreamBody(_ bytes: ByteBuffer) {
        let now = NIODeadline.now()
        switch phase {
        case .collecting:
            noteFirstByte(now)
            if collected.readableBytes == 0 { collected = bytes } else { collected.writeImmutableBuffer(bytes) }
            if collected.readableBytes > loop.settings.limits.answerBytes { startPassing() }
        case .streaming:
            let output = events.feed(bytes)
            if events.hasContent { noteFirstByte(now) }
            client.writeStream(output, chunked: true)
        case .passing:
            passedBytes += bytes.readableBytes
            client.writeStream(bytes, chunked: length == nil)
        case .waiting, .sent, .ended: return
        }
        // After [DONE] only the end of the body is to come, and it is not worth waiting for.
        expect(within: events.done ? min(1_000, timeouts.idleMs) : timeouts.idleMs, from: now)
    }

    func upstreamReadComplete() {
        guard phase == .streaming || phase == .passing else { return }
        client.flush()
        if phase != .ended, !client.isWritable { pauseUpstream() }
    }

    func upstreamEnded() {
        let now = NIODeadline.now()
        detachUpstream()
        resumeWork(now)
        switch phase {
        case .collecting: finishCollected()
        case .streaming:
            if events.done { finishStream() } else { fail(UpstreamFailure(error: .reset)) }
        case .passing:
            noteStreamed()
            end(
                status < 300 ? .complete : .upstreamError, status: status,
                error: UpstreamFailure.of(status: status)?.error)
            client.endStream(length: length)
        case .waiting, .sent, .ended: break
        }
    }

    private func noteFirstByte(_ now: NIODeadline) {
        if record.ttftMs == nil { record.ttftMs = now.milliseconds(since: request.started) }
    }

    // MARK: Kept answers

    private func finishCollected() {
        if let failure = UpstreamFailure.of(status: status) { return passFailure(failure) }
        let facts = collected.withUnsafeReadableBytes { bytes -> AnswerFacts? in
            try? AnswerScanner.scan(bytes, keepsContent: keepsContent)
        }
        guard let facts, facts.choices > 0 else { return fail(UpstreamFailure(error: .protocol, status: status)) }
        record.note(facts)
        check(facts)
        record.price(by: snapshot.prices, target)
        let cost = record.cost
        client.respondWhole(status, body: collected) { head in
            writeHeaders(&head)
            if let cost { head.cost(cost) }
        }
        end(.complete, status: status, error: nil)
    }

    /// Passes on the provider's own words about what was wrong, except those about our credentials.
    private func passFailure(_ failure: UpstreamFailure) {
        guard failure.error != .auth, failure.error != .protocol else { return fail(failure) }
        let failure = failure.explained(by: collected)
        record.ttftMs = nil
        client.respondWhole(status, body: collected) { writeHeaders(&$0) }
        end(.upstreamError, status: status, error: failure.error)
    }

    private func check(_ facts: AnswerFacts) {
        record.check(facts, of: chat, body: request.body)
        if isJudged { judgedAnswer = facts }
    }

    private func startPassing() {
        phase = .passing
        passedBytes = collected.readableBytes
        client.startStream(status, length: length) { writeHeaders(&$0) }
        client.writeStream(collected, chunked: length == nil)
        collected = ByteBuffer()
    }

    // MARK: Ends

    func finishStream() {
        noteStreamed()
        let failed = events.facts.failed
        if !failed { check(events.facts) }
        client.writeStream(events.rest(), chunked: true)
        end(failed ? .upstreamError : .complete, status: status, error: failed ? .server : nil)
        client.endStream(length: nil)
    }

    /// Ends the exchange because of the provider, telling the client as far as that is still possible.
    func fail(_ failure: UpstreamFailure) {
        let refusal = failure.refusal(provider: record.provider ?? "")
        let begun = phase == .collecting || phase == .streaming || phase == .passing
        stop(failure.outcome(begun: begun), failure.error, refusal)
    }

    /// The gateway stops and waits no longer.
    func truncate() {
        let refusal = Refusal(
            status: 503, code: "shutting_down", message: "The gateway is stopping. Send the request again.",
            type: "server_error", closes: true, header: "retry-after: 1\r\n")
        stop(.truncated, nil, refusal)
    }

    private func stop(_ outcome: Outcome, _ error: ErrorClass?, _ refusal: Refusal) {
        switch phase {
        case .waiting, .sent, .collecting:
            record.ttftMs = nil
            let body = refusal.body
            end(outcome, status: refusal.status, error: error)
            client.respondWhole(refusal.status, body: body, closes: refusal.closes) { head in
                head.literal("content-type: application/json\r\n")
                writeOwnHeaders(&head)
                if let header = refusal.header { head.literal(header) }
            }
        case .streaming:
            noteStreamed()
            end(outcome, status: status, error: error)
            var event = events.rest()
            event.writeStaticString(event.readableBytes > 0 ? "\n\ndata: " : "data: ")
            event.writeImmutableBuffer(refusal.body)
            event.writeStaticString("\n\n")
            client.writeStream(event, chunked: true)
            client.abortStream()
        case .passing:
            noteStreamed()
            end(outcome, status: status, error: error)
            client.abortStream()
        case .ended: break
        }
    }

    // MARK: Headers and books

    private func writeHeaders(_ head: inout HeadWriter) {
        if let answer { HeaderRules.writeResponseHeaders(answer, into: &head) }
        writeOwnHeaders(&head)
    }

    private func writeOwnHeaders(_ head: inout HeadWriter) {
        head.field("x-request-id: ", record.id)
        head.field("x-trimtab-policy: ", max(0, record.policy ?? 0))
        head.field("x-trimtab-arm: ", record.arm.rawValue)
        head.field("x-trimtab-target: ", target.id)
    }

    /// Writes down what has passed through, whole or not.
    func noteStreamed() {
        switch phase {
        case .streaming: record.note(events.facts)
        case .passing: record.note(AnswerFacts(characters: passedBytes))
        case .waiting, .sent, .collecting, .ended: break
        }
    }
}

extension ByteBuffer {
    /// Whether the bytes hold `text` anywhere.
    func contains(_ text: StaticString) -> Bool {
        let wanted = UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        return withUnsafeReadableBytes { bytes in
            guard bytes.count >= wanted.count else { return false }
            return (0...bytes.count - wanted.count).contains { start in
                bytes[start..<start + wanted.count].elementsEqual(wanted)
            }
        }
    }
}

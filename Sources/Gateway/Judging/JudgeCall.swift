import Core
import NIOCore
import Policy
import Telemetry

/// Asks a configured chat target, over the gateway's own connections.
struct ChatJudge: Judge {
    let loop: NIOLoopBoundBox<GatewayLoop>
    let eventLoop: any EventLoop
    let target: Target
    let timeoutMs: Int

    func prefer(_ case: JudgeCase) async throws(JudgeFailure) -> JudgeVerdict {
        let body = JudgePrompt.body(`case`, model: target.model)
        let result = await withCheckedContinuation {
            (continuation: CheckedContinuation<Result<JudgeVerdict, JudgeFailure>, Never>) in
            eventLoop.execute {
                JudgeCall(body, target, timeoutMs: timeoutMs, loop: loop.value) { continuation.resume(returning: $0) }
                    .start()
            }
        }
        return try result.get()
    }
}

/// One question on its way. It leaves no record, since it is no route's traffic, and takes no connection that a user could
/// be short of.
final class JudgeCall: UpstreamUser, Slotted {
    /// Bytes of an answer: one letter and what surrounds it.
    private static let answerLimit = 64 << 10

    let deadline: NIODeadline
    /// Its place in the loop's list; -1 outside of it.
    var slot = -1
    private(set) var ticket: Int?

    private let loop: GatewayLoop
    private let target: Target
    private let body: ByteBuffer
    private let timeoutMs: Int
    private var upstream: UpstreamConnection?
    private var isSent = false
    private var retriedStale = false
    private var status = 0
    private var collected = ByteBuffer()
    /// Called once.
    private var done: ((Result<JudgeVerdict, JudgeFailure>) -> Void)?

    init(
        _ body: ByteBuffer, _ target: Target, timeoutMs: Int, loop: GatewayLoop,
        done: @escaping (Result<JudgeVerdict, JudgeFailure>) -> Void
    ) {
        self.body = body
        self.target = target
        self.timeoutMs = timeoutMs
        self.loop = loop
        self.done = done
        deadline = .now() + .milliseconds(Int64(timeoutMs))
    }

    func start() {
        loop.judgeCalls.enter(self)
        if loop.draining { cut() } else { attempt(fresh: false) }
    }

    private func attempt(fresh: Bool) {
        guard let pool = loop.pools[target.provider] else { return fail(.refused) }
        guard pool.hasRoomToSpare else { return fail(.localLimit) }
        switch pool.acquire(self, fresh: fresh, connectMs: timeoutMs) {
        case .connection(let connection): connected(connection)
        case .waiting(let ticket, _): self.ticket = ticket
        case .full: fail(.localLimit)
        }
    }

    func connected(_ connection: UpstreamConnection) {
        ticket = nil
        guard let pool = loop.pools[target.provider] else { return connection.close() }
        var head = HeadWriter(pool.endpoint.head)
        head.field("content-length: ", body.readableBytes)
        head.endLine()
        upstream = connection
        isSent = true
        connection.send(head.buffer(), body, for: self)
    }

    func attemptFailed(_ failure: UpstreamFailure) {
        ticket = nil
        fail(failure.error)
    }

    func upstreamFailed(_ failure: UpstreamFailure, _ connection: UpstreamConnection) {
        upstream = nil
        if failure.error == .reset, connection.reused, !connection.answered, !retriedStale {
            retriedStale = true
            isSent = false
            attempt(fresh: true)
        } else {
            fail(failure.error)
        }
    }

    // MARK: The answer

    func upstreamHead(_ head: HTTPHead) {
        if case .response(let code) = head.start { status = code }
    }

    func upstreamBody(_ bytes: ByteBuffer) {
        guard collected.readableBytes + bytes.readableBytes <= Self.answerLimit else { return fail(.protocol) }
        collected.writeImmutableBuffer(bytes)
    }

    func upstreamReadComplete() {}

    func upstreamEnded() {
        upstream = nil
        if let failure = UpstreamFailure.of(status: status)?.explained(by: collected) {
            // What was refused is not charged.
            isSent = false
            return fail(failure.error)
        }
        let facts = collected.withUnsafeReadableBytes { try? AnswerScanner.scan($0, keepsContent: true) }
        guard let facts, facts.choices > 0 else { return fail(.protocol) }
        var estimate = TokenUsage(input: (body.readableBytes + 3) / 4, output: (facts.characters + 3) / 4)
        estimate.source = .estimated
        let preference = facts.content.flatMap { JudgePrompt.preference(in: $0) }
        end(.success(JudgeVerdict(preference, usage: facts.usage ?? estimate)))
    }

    // MARK: The end

    func expired() { fail(isSent ? .timeoutTotal : .timeoutConnect) }

    /// The gateway stops.
    func cut() { fail(.localLimit) }

    private func fail(_ error: ErrorClass) { end(.failure(JudgeFailure(error, mayCost: isSent))) }

    private func end(_ result: Result<JudgeVerdict, JudgeFailure>) {
        guard let done else { return }
        self.done = nil
        ticket = nil
        upstream?.close()
        upstream = nil
        _ = loop.judgeCalls.leave(self)
        done(result)
    }
}

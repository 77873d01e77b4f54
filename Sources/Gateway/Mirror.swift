import Core
import NIOCore
import Policy
import Telemetry

/// A copy of a request that a rollout's candidate answers for nobody: the user has had stable's answer, and the copy
/// leaves a record of its own, with arm `shadow`. One attempt, no fallback.
///
/// It begins after the user's exchange has ended, and takes nothing that a user could be short of: there are so many at
/// most, and a connection only while less than half of the provider's are in use.
final class Mirror: UpstreamUser, Slotted {
    /// Requests with a larger body are not mirrored, and of an answer no more than this is kept.
    static let bodyLimit = 1 << 20
    static let answerLimit = 1 << 20

    let loop: GatewayLoop
    /// Its place in the loop's list; -1 outside of it.
    var slot = -1
    private(set) var deadline = NIODeadline.distantFuture
    private(set) var ticket: Int?

    private let prices: PriceBook
    private let client: HTTPHead
    private let body: ByteBuffer
    private let chat: ChatBody
    private let choice: RouteSelection.Mirror
    private let started = NIODeadline.now()
    private var record: RequestRecord
    private var phase = Phase.waiting
    private var upstream: UpstreamConnection?
    private var retriedStale = false
    private var status = 0
    private var collected = ByteBuffer()
    private var received = 0
    private var events = SSEScanner(dropsUsage: false)
    /// The user's answer, if this one is to be compared with it.
    private let judgedAgainst: AnswerFacts?
    private var keepsContent: Bool { chat.asksJSON || judgedAgainst != nil }

    private enum Phase { case waiting, sent, collecting, streaming, passing, ended }

    init(of exchange: Exchange, _ choice: RouteSelection.Mirror) {
        loop = exchange.loop
        prices = exchange.snapshot.prices
        client = exchange.request.head
        body = exchange.request.body
        chat = exchange.chat
        self.choice = choice
        judgedAgainst = exchange.judgedAnswer
        record = Self.record(of: exchange.record, choice, exchange.loop)
    }

    /// - Parameter original: with its bucket, the copy's record lies in the same partition.
    private static func record(
        of original: RequestRecord, _ choice: RouteSelection.Mirror, _ loop: GatewayLoop
    ) -> RequestRecord {
        let now = wallClock()
        var record = RequestRecord(
            id: loop.makeID(now, bucket: original.id.bucket), at: now, startedAt: now, route: original.route,
            outcome: .complete, status: 0, totalMs: 0)
        (record.project, record.key, record.tags) = (original.project, original.key, original.tags)
        (record.session, record.user) = (original.session, original.user)
        (record.endpoint, record.stream, record.prompt) = (original.endpoint, original.stream, original.prompt)
        // A copy is no prompt that somebody sent again.
        record.prompt?.features = nil
        (record.rollout, record.step) = (original.rollout, original.step)
        (record.candidateWeight, record.unit) = (original.candidateWeight, original.unit)
        (record.policy, record.propensity, record.arm) = (choice.policy, choice.propensity, .shadow)
        record.shadowOf = original.id
        record.note(choice.target)
        return record
    }

    // MARK: Asking

    func start() { attempt(fresh: false) }

    private func attempt(fresh: Bool) {
        phase = .waiting
        guard let pool = loop.pools[choice.target.provider] else { return fail(UpstreamFailure(error: .refused)) }
        switch pool.acquire(self, fresh: fresh, connectMs: choice.timeouts.connectMs) {
        case .connection(let connection): connected(connection)
        case .waiting(let ticket, _):
            self.ticket = ticket
            expect(within: choice.timeouts.connectMs)
        case .full: fail(UpstreamFailure(error: .localLimit))
        }
    }

    func connected(_ connection: UpstreamConnection) {
        ticket = nil
        guard let pool = loop.pools[choice.target.provider] else { return connection.close() }
        let asksUsage = chat.stream && pool.endpoint.settings.includeUsage && chat.usage != .asked
        let message = UpstreamRequest(
            endpoint: pool.endpoint, client: client, id: record.id, body: body, chat: chat, model: choice.target.model,
            asksUsage: asksUsage, isCopy: true)
        events = SSEScanner(dropsUsage: false, keepsContent: keepsContent)
        upstream = connection
        phase = .sent
        connection.send(message.head, message.rest, for: self)
        expect(within: choice.timeouts.firstByteMs)
    }

    func attemptFailed(_ failure: UpstreamFailure) {
        ticket = nil
        fail(failure)
    }

    func upstreamFailed(_ failure: UpstreamFailure, _ connection: UpstreamConnection) {
        upstream = nil
        if phase == .sent, failure.error == .reset, connection.reused, !connection.answered, !retriedStale {
            retriedStale = true
            attempt(fresh: true)
        } else if events.done {
            finishStream()
        } else {
            fail(failure)
        }
    }

    // MARK: The answer

    func upstreamHead(_ head: HTTPHead) {
        guard phase == .sent, case .response(let code) = head.start else { return }
        status = code
        phase = code < 300 && head.isEventStream ? .streaming : .collecting
        expect(within: choice.timeouts.idleMs)
    }

    func upstreamBody(_ bytes: ByteBuffer) {
        received += bytes.readableBytes
        switch phase {
        case .collecting:
            noteFirstByte()
            if received > Self.answerLimit {
                collected = ByteBuffer()
                phase = .passing
            } else {
                collected.writeImmutableBuffer(bytes)
            }
        case .streaming:
            _ = events.feed(bytes)
            if events.hasContent { noteFirstByte() }
        case .waiting, .sent, .passing, .ended: break
        }
        expect(within: events.done ? min(1_000, choice.timeouts.idleMs) : choice.timeouts.idleMs)
    }

    func upstreamReadComplete() {}

    func upstreamEnded() {
        upstream = nil
        switch phase {
        case .collecting: finishCollected()
        case .streaming: if events.done { finishStream() } else { fail(UpstreamFailure(error: .reset)) }
        case .passing:
            record.note(AnswerFacts(characters: received))
            let failure = UpstreamFailure.of(status: status)
            end(failure == nil ? .complete : .upstreamError, status: status, error: failure?.error)
        case .waiting, .sent, .ended: break
        }
    }

    private func noteFirstByte() {
        if record.ttftMs == nil { record.ttftMs = NIODeadline.now().milliseconds(since: started) }
    }

    private func finishCollected() {
        if let failure = UpstreamFailure.of(status: status)?.explained(by: collected) { return fail(failure) }
        let facts = collected.withUnsafeReadableBytes { bytes -> AnswerFacts? in
            try? AnswerScanner.scan(bytes, keepsContent: keepsContent)
        }
        guard let facts, facts.choices > 0 else { return fail(UpstreamFailure(error: .protocol, status: status)) }
        record.note(facts)
        record.check(facts, of: chat, body: body)
        end(.complete, status: status, error: nil)
        judge(facts)
    }

    private func finishStream() {
        let failed = events.facts.failed
        record.note(events.facts)
        if !failed { record.check(events.facts, of: chat, body: body) }
        end(failed ? .upstreamError : .complete, status: status, error: failed ? .server : nil)
        if !failed { judge(events.facts) }
    }

    // MARK: The end

    private func expect(within milliseconds: Int) {
        let now = NIODeadline.now()
        deadline = min(
            started + .milliseconds(Int64(choice.timeouts.totalMs)), now + .milliseconds(Int64(milliseconds)))
    }

    func expired(_ now: NIODeadline) {
        if events.done { return finishStream() }
        let total = now >= started + .milliseconds(Int64(choice.timeouts.totalMs))
        let error: ErrorClass =
            switch phase {
            case .waiting: .timeoutConnect
            case .sent: .timeoutFirstByte
            case .collecting, .streaming, .passing, .ended: .timeoutIdle
            }
        fail(UpstreamFailure(error: total && phase != .waiting ? .timeoutTotal : error))
    }

    /// The gateway stops: nobody waits for the answer, and its lack says nothing about the candidate.
    func cut() { end(.clientGone, status: status, error: nil) }

    private func fail(_ failure: UpstreamFailure) {
        let begun = phase == .collecting || phase == .streaming || phase == .passing
        switch phase {
        case .streaming: record.note(events.facts)
        case .passing: record.note(AnswerFacts(characters: received))
        case .waiting, .sent, .collecting, .ended: record.ttftMs = nil
        }
        let seen = begun && status >= 300 || phase == .streaming || phase == .passing
        end(
            failure.outcome(begun: begun),
            status: seen ? status : failure.refusal(provider: record.provider ?? "").status, error: failure.error)
    }

    /// Has this answer compared with the user's; the record is there already, so that what is said of it finds it.
    private func judge(_ facts: AnswerFacts) {
        guard let answer = judgedAgainst, let original = record.shadowOf, let panel = loop.panel else { return }
        let pair = JudgePair(
            original, answer, copy: record.id, facts, route: record.route, body: body, chat: chat)
        if let pair { panel.offer(pair) } else { panel.skip(.unfit) }
    }

    private func end(_ outcome: Outcome, status: Int, error: ErrorClass?) {
        guard phase != .ended else { return }
        phase = .ended
        ticket = nil
        upstream?.close()
        upstream = nil
        record.at = max(record.startedAt, wallClock())
        record.totalMs = NIODeadline.now().milliseconds(since: started)
        (record.outcome, record.status, record.error) = (outcome, status, error)
        record.price(by: prices, choice.target)
        loop.remove(self)
        loop.sink.append(.request(record))
        loop.statistics.mirrored += 1
    }
}

extension GatewayLoop {
    /// Sends a copy of an ended exchange's request to the candidate, if that is still wanted and there is room.
    func mirror(_ exchange: Exchange, _ choice: RouteSelection.Mirror) {
        guard !draining, let route = RouteName(exchange.record.route),
            snapshot.table.entries[route]?.mirrors(exchange.record.rollout, to: choice.policy, now: wallClock()) == true
        else { return }
        guard mirrors.count < settings.limits.mirrors, exchange.request.body.readableBytes <= Mirror.bodyLimit,
            pools[choice.target.provider]?.hasRoomToSpare ?? true
        else {
            statistics.mirrorsDropped += 1
            return
        }
        let mirror = Mirror(of: exchange, choice)
        mirrors.enter(mirror)
        mirror.start()
    }

    func remove(_ mirror: Mirror) {
        _ = mirrors.leave(mirror)
    }

    /// From the end, since one that ends is replaced by the last.
    func forEachMirror(_ body: (Mirror) -> Void) {
        var index = mirrors.count
        while index > 0 {
            index = min(index, mirrors.count) - 1
            guard index >= 0 else { break }
            body(mirrors[index])
        }
    }
}

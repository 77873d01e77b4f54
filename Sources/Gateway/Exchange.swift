import Core
import NIOCore
import Policy
import Telemetry

/// One chat request from its body to its record: chooses a target, tries it, falls back at most once or so, and passes
/// the answer on. Whatever happens, it ends once and leaves exactly one record.
final class Exchange: UpstreamUser {
    let client: ClientConnection
    let loop: GatewayLoop
    let snapshot: GatewaySnapshot
    let request: ClientRequest
    let chat: ChatBody
    let timeouts: RoutingPolicy.Timeouts
    var record: RequestRecord
    var phase = Phase.waiting
    private(set) var ticket: Int?
    private var queued = false
    private var queuedAt = NIODeadline.now()

    private(set) var target: Target
    private var fallbacks: ArraySlice<Target>
    private let mirror: RouteSelection.Mirror?
    /// Whether this answer is to be compared with its copy's.
    let isJudged: Bool
    /// The whole answer, if it came and is to be compared.
    var judgedAnswer: AnswerFacts?
    var keepsContent: Bool { chat.asksJSON || isJudged }
    private var upstream: UpstreamConnection?
    private var retriedStale = false
    private var attemptStarted = NIODeadline.now()
    private let totalDeadline: NIODeadline
    /// Since when the gateway itself has been at work.
    private var workingSince: NIODeadline?
    private var overheadMs = 0.0

    /// The answer so far.
    var status = 0
    var answer: HTTPHead?
    var collected = ByteBuffer()
    var events = SSEScanner(dropsUsage: false)
    /// Bytes passed on unread.
    var passedBytes = 0
    var length: Int?
    private var pausedUpstream = false

    enum Phase {
        /// For a connection.
        case waiting
        /// For the first byte of an answer.
        case sent
        /// The whole answer is kept back, to be read first.
        case collecting
        /// Server-sent events pass through.
        case streaming
        /// An answer too large to be kept passes through unread.
        case passing
        case ended
    }

    /// - Throws: a refusal; it has been recorded.
    init(_ request: ClientRequest, client: ClientConnection) throws(RefusalError) {
        let loop = client.loop
        let result = request.body.withUnsafeReadableBytes { bytes -> Result<(ChatBody, Assignment), RefusalError> in
            do throws(ChatBodyFault) {
                let chat = try BodyScanner.scan(bytes, salt: loop.promptSalt)
                do throws(RefusalError) {
                    return .success((chat, try Assignment(request, chat, JSONCursor(bytes), loop: loop)))
                } catch {
                    return .failure(error)
                }
            } catch {
                return .failure(
                    RefusalError(
                        Refusal(status: 400, code: "invalid_body", message: error.text, param: error.field)))
            }
        }
        let (chat, assignment) = try result.get()
        let selection = assignment.selection
        self.client = client
        self.loop = loop
        self.request = request
        self.chat = chat
        snapshot = loop.snapshot
        target = selection.target
        fallbacks = selection.fallbacks.prefix(loop.settings.fallbackLimit)
        timeouts = selection.timeouts
        mirror = selection.mirror
        isJudged = selection.mirror != nil && loop.panel?.samples(assignment.id) == true
        workingSince = .now()
        totalDeadline = request.started + .milliseconds(Int64(timeouts.totalMs))
        record = RequestRecord(
            id: assignment.id, at: request.startedAt, startedAt: request.startedAt,
            route: assignment.entry.route.name.description, outcome: .complete, status: 0, totalMs: 0)
        record.stream = chat.stream
        record.session = assignment.session
        record.user = assignment.user
        record.tags = assignment.tags
        record.key = request.caller.key?.name
        record.project = request.caller.key?.project ?? assignment.entry.route.project
        record.clientRequestID = loop.clientRequestID(request)
        var prompt = RequestRecord.Prompt()
        prompt.chars = chat.characters
        prompt.messages = chat.messages
        prompt.images = chat.images
        prompt.tools = chat.tools != nil
        prompt.features = chat.features
        record.prompt = prompt
        if let session = assignment.sessionNumber, let features = chat.features {
            record.regenerates = loop.recentPrompts.remember(
                record.id, session: session, prompt: features.exact, at: request.startedAt)
        }
        record.note(selection)
    }

    func start() {
        loop.statistics.inFlight += 1
        attempt()
    }

    // MARK: Attempts

    private func attempt(fresh: Bool = false) {
        phase = .waiting
        attemptStarted = .now()
        guard let pool = loop.pools[target.provider] else {
            return attemptFailed(UpstreamFailure(error: .refused))
        }
        switch pool.acquire(self, fresh: fresh, connectMs: timeouts.connectMs) {
        case .connection(let connection): connected(connection)
        case .waiting(let ticket, let queued):
            self.ticket = ticket
            self.queued = queued
            queuedAt = attemptStarted
            rest()
            expect(within: timeouts.connectMs, from: attemptStarted)
        case .full: attemptFailed(UpstreamFailure(error: .localLimit))
        }
    }

    /// A connection is there for this exchange.
    func connected(_ connection: UpstreamConnection) {
        ticket = nil
        let now = NIODeadline.now()
        if queued { record.queueMs += now.milliseconds(since: queuedAt) }
        queued = false
        if workingSince == nil { workingSince = now }
        guard let pool = loop.pools[target.provider] else { return }
        let asksUsage = chat.stream && pool.endpoint.settings.includeUsage && chat.usage != .asked
        events = SSEScanner(dropsUsage: asksUsage, keepsContent: keepsContent)
        let message = UpstreamRequest(
            endpoint: pool.endpoint, client: request.head, id: record.id, body: request.body, chat: chat,
            model: target.model, asksUsage: asksUsage)
        upstream = connection
        phase = .sent
        connection.send(message.head, message.rest, for: self)
        rest()
        expect(within: timeouts.firstByteMs, from: now)
    }

    /// The attempt has come to nothing, and no byte of it has gone to the client.
    func attemptFailed(_ failure: UpstreamFailure) {
        ticket = nil
        upstream = nil
        guard phase != .ended else { return }
        let now = NIODeadline.now()
        if failure.mayFallBack, now < totalDeadline, let next = fallbacks.popFirst() {
            record.attempts.append(
                .init(
                    target: target.id, outcome: failure.error, status: failure.status,
                    ms: now.milliseconds(since: attemptStarted)))
            loop.statistics.fallbacks += 1
            target = next
            record.note(next)
            retriedStale = false
            return attempt()
        }
        fail(failure)
    }

    /// Whether a status can be kept from the client because another target will be tried.
    func hasFallback(for failure: UpstreamFailure) -> Bool { failure.mayFallBack && !fallbacks.isEmpty }

    /// Leaves the current answer and tries the next target.
    func abandon(_ failure: UpstreamFailure) {
        upstream?.discard()
        attemptFailed(failure)
    }

    /// The connection has broken.
    func upstreamFailed(_ failure: UpstreamFailure, _ connection: UpstreamConnection) {
        switch phase {
        case .waiting, .ended: break
        case .sent:
            if failure.error == .reset, connection.reused, !connection.answered, !retriedStale {
                retriedStale = true
                upstream = nil
                loop.statistics.staleRetries += 1
                return attempt(fresh: true)
            }
            attemptFailed(failure)
        case .collecting, .streaming, .passing:
            upstream = nil
            if events.done { finishStream() } else { fail(failure) }
        }
    }

    // MARK: Time

    /// Sets the time by which something must have happened.
    func expect(within milliseconds: Int, from now: NIODeadline) {
        guard phase != .ended else { return }
        client.deadline = min(totalDeadline, now + .milliseconds(Int64(milliseconds)))
    }

    func expired(_ now: NIODeadline) {
        let total = now >= totalDeadline
        switch phase {
        case .waiting:
            let error: ErrorClass = queued ? .localLimit : total ? .timeoutTotal : .timeoutConnect
            attemptFailed(UpstreamFailure(error: error))
        case .sent:
            upstream?.close()
            attemptFailed(UpstreamFailure(error: total ? .timeoutTotal : .timeoutFirstByte))
        case .collecting, .streaming, .passing:
            if events.done { return finishStream() }
            // It is the client who does not read: the provider has been held back for it.
            if pausedUpstream { return clientGone() }
            fail(UpstreamFailure(error: total ? .timeoutTotal : .timeoutIdle))
        case .ended: break
        }
    }

    /// The gateway has done its part and waits.
    private func rest() {
        guard let since = workingSince else { return }
        overheadMs += NIODeadline.now().milliseconds(since: since)
        workingSince = nil
    }

    func resumeWork(_ now: NIODeadline) { workingSince = workingSince ?? now }

    // MARK: The client

    func clientGone() {
        guard phase != .ended else { return }
        noteStreamed()
        end(.clientGone, status: status, error: nil)
        client.closeNow()
    }

    func clientWritabilityChanged(_ writable: Bool) {
        guard phase == .streaming || phase == .passing else { return }
        if writable { resumeUpstream() } else { pauseUpstream() }
    }

    func pauseUpstream() {
        pausedUpstream = true
        upstream?.pause()
    }

    private func resumeUpstream() {
        guard pausedUpstream else { return }
        pausedUpstream = false
        expect(within: timeouts.idleMs, from: .now())
        upstream?.resume()
    }

    // MARK: The end

    /// Closes the books: from here on nothing changes the record.
    func end(_ outcome: Outcome, status: Int, error: ErrorClass?) {
        guard phase != .ended else { return }
        phase = .ended
        ticket = nil
        upstream?.close()
        upstream = nil
        rest()
        let now = NIODeadline.now()
        record.totalMs = now.milliseconds(since: request.started)
        record.at = max(record.startedAt, wallClock())
        record.outcome = outcome
        record.status = status
        record.error = error
        record.overheadMs = overheadMs
        loop.statistics.inFlight -= 1
        record.price(by: snapshot.prices, target)
        loop.append(record)
        // Not before the last bytes have been written for the user.
        if let mirror { loop.eventLoop.assumeIsolated().execute { self.loop.mirror(self, mirror) } }
    }

    /// The connection is the pool's again.
    func detachUpstream() { upstream = nil }
}

import Core
import Foundation
import NIOCore
import NIOHTTP1

/// The state of one replay, confined to its event loop.
final class Replay {
    private let options: ReplayOptions
    private let simulator: SharedSimulator
    private let loop: any EventLoop
    private let client: LoopHTTPClient
    /// Feedback has connections of its own, so that it never takes the place of a request.
    private let feedbackClient: LoopHTTPClient
    private var workload: Workload
    private var ids: SplitMix64
    private var start: NIODeadline?
    private var next: PlannedRequest?
    private var timer: Scheduled<Void>?
    private var finished: EventLoopPromise<Void>?
    private var feedbackInFlight = 0
    private(set) var total = ReplayStatistics()
    private var recent = ReplayStatistics()

    static let maximumFeedbackInFlight = 256

    init(
        _ options: ReplayOptions, url: PlainURL, workload: Workload, simulator: SharedSimulator, loop: any EventLoop
    ) {
        self.options = options
        self.workload = workload
        self.simulator = simulator
        self.loop = loop
        ids = SplitMix64(seed: options.seed ^ 0x6665_6564_6261_636b)
        let timeout = TimeAmount.seconds(Int64(options.timeoutS))
        client = LoopHTTPClient(
            loop: loop, url: url, maximumConnections: options.maximumInFlight, timeout: timeout)
        feedbackClient = LoopHTTPClient(
            loop: loop, url: url, maximumConnections: Self.maximumFeedbackInFlight, timeout: timeout)
    }

    func start(_ finished: EventLoopPromise<Void>) {
        guard start == nil else { return finished.succeed() }
        self.finished = finished
        start = .now()
        next = workload.next()
        pump()
    }

    func stop() {
        next = nil
        timer?.cancel()
        settle()
    }

    func takeRecent() -> ReplayStatistics {
        var taken = recent
        taken.inFlight = total.inFlight
        recent = ReplayStatistics()
        return taken
    }

    /// Sends all that is due and sets the alarm for the next.
    private func pump() {
        guard let start else { return }
        while let request = next {
            let due = start + .microseconds(Int64(request.atMs / max(options.speed, 1e-6) * 1000))
            guard due <= .now() else {
                timer = loop.assumeIsolated().scheduleTask(deadline: due) { self.pump() }
                return
            }
            next = workload.next()
            send(request, intended: due)
        }
        settle()
    }

    private func settle() {
        guard next == nil, total.inFlight == 0, feedbackInFlight == 0, let finished else { return }
        self.finished = nil
        client.shutDown()
        feedbackClient.shutDown()
        finished.succeed()
    }

    private func count(_ change: (inout ReplayStatistics) -> Void) {
        change(&total)
        change(&recent)
    }

    private func send(_ request: PlannedRequest, intended: NIODeadline) {
        var headers: HTTPHeaders = [
            "content-type": "application/json", "authorization": "Bearer \(options.key)",
            "user-agent": "trimtab-replay",
        ]
        if let session = request.session { headers.add(name: "x-trimtab-session", value: session) }
        var reader = AnswerReader()
        var ttftMs: Double?
        let receive: LoopHTTPClient.Receiver = { [self] event in
            switch event {
            case .head(let head): reader.read(head)
            case .body(let part):
                _ = reader.read(part)
                if ttftMs == nil, reader.sawContent { ttftMs = elapsed(since: intended) }
            case .end: complete(request, &reader, ttftMs, intended)
            case .failed(let reason):
                count { $0.addFailure(reason, group: reader.group) }
                leave()
            }
        }
        let free = total.inFlight < options.maximumInFlight
        guard free, client.send(.POST, "/v1/chat/completions", headers: headers, body: body(request), receive) else {
            return count { $0.dropped += 1 }
        }
        count { $0.sent += 1 }
        total.inFlight += 1
    }

    private func body(_ request: PlannedRequest) -> ByteBuffer {
        let prompt = ChatWire.quoted(PromptText.make(id: request.prompt, tokens: request.inputTokens))
        let length = request.outputTokens.map { ",\"output_tokens\":\"\($0)\"" } ?? ""
        let stream = request.stream ? ",\"stream\":true,\"stream_options\":{\"include_usage\":true}" : ""
        return ByteBuffer(
            string: """
                {"model":\(ChatWire.quoted(options.route)),"messages":[{"role":"user","content":\(prompt)}],\
                "metadata":{"prompt_id":\(ChatWire.quoted(request.prompt))\(length)}\(stream)}
                """)
    }

    private func elapsed(since start: NIODeadline) -> Double { Double((NIODeadline.now() - start).nanoseconds) / 1e6 }

    private func leave() {
        total.inFlight -= 1
        settle()
    }

    private func complete(
        _ request: PlannedRequest, _ reader: inout AnswerReader, _ ttftMs: Double?, _ intended: NIODeadline
    ) {
        defer { leave() }
        let group = reader.group ?? .init(policy: "", arm: "", target: reader.model ?? "")
        if let reason = reader.failure() { return count { $0.addFailure(reason, group: group) } }
        let latency = elapsed(since: intended)
        let model = reader.model.flatMap { simulator.model(named: $0, target: group.target) }
        let score = model.flatMap { simulator.quality(prompt: request.prompt, model: $0.key) }
        let cost = reader.usage.flatMap { usage in
            model?.price?.cost(input: usage.promptTokens, output: usage.completionTokens)
        }
        count {
            $0.addCompletion(
                latencyMs: latency, ttftMs: request.stream ? ttftMs : nil, costNanoUSD: cost.map { Double($0.value) },
                quality: score, group: group)
        }
        if request.givesFeedback, let id = reader.requestID, let score { sendFeedback(on: id, score) }
    }

    private func sendFeedback(on request: String, _ score: Double) {
        guard feedbackInFlight < Self.maximumFeedbackInFlight else { return count { $0.feedbackFailed += 1 } }
        let id = UUIDv7(milliseconds: Int64(Date().timeIntervalSince1970 * 1000), using: &ids)
        let body = ByteBuffer(
            string: """
                {"id":"\(id)","request":\(ChatWire.quoted(request)),"name":"quality","value":\(score),"source":"user"}
                """)
        let headers: HTTPHeaders = ["content-type": "application/json", "authorization": "Bearer \(options.key)"]
        var accepted = false
        feedbackInFlight += 1
        let sent = feedbackClient.send(.POST, "/v1/feedback", headers: headers, body: body) { [self] event in
            switch event {
            case .head(let head): accepted = (200..<300).contains(head.status.code)
            case .body: break
            case .end, .failed:
                if case .failed = event { accepted = false }
                feedbackInFlight -= 1
                count { if accepted { $0.feedbackSent += 1 } else { $0.feedbackFailed += 1 } }
                settle()
            }
        }
        if !sent { feedbackInFlight -= 1 }
    }
}

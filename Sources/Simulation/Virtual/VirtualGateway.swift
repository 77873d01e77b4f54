import Core
import Policy
import Telemetry

/// What the gateway does to one request, without a socket: assign, try, fall back, record.
struct VirtualGateway {
    var table: RoutingTable
    var prices: PriceBook
    private var random: SplitMix64

    init(prices: PriceBook, seed: UInt64) {
        table = RoutingTable()
        self.prices = prices
        random = SplitMix64(seed: seed)
    }

    struct Served {
        var record: RequestRecord
        /// What a user would say of the answer; `nil` if there was none.
        var quality: Double?
    }

    /// - Parameter now: when the request arrives, milliseconds since the epoch.
    /// - Returns: what the user got, and the copy that a shadow answered for nobody.
    mutating func serve(_ planned: PlannedRequest, route: RouteName, now: Int64, _ simulator: inout Simulator)
        -> (user: Served, copy: Served?)?
    {
        let bucket = planned.session.map { UInt16(truncatingIfNeeded: Hash64.hash($0, salt: 0)) }
        let id = UUIDv7(milliseconds: now, bucket: bucket, using: &random)
        let request = RoutingRequest(route: route, id: id, session: planned.session)
        guard let chosen = table.select(request, random: random.unit(), now: now) else { return nil }
        let simulated = SimulatedRequest(
            prompt: planned.prompt, inputTokens: planned.inputTokens, outputTokens: planned.outputTokens)
        var record = RequestRecord(
            id: id, at: now, startedAt: now, route: route.description, outcome: .upstreamError, status: 502, totalMs: 0)
        record.session = planned.session
        record.stream = planned.stream
        record.policy = chosen.policy
        record.rollout = chosen.rollout
        record.step = chosen.step
        record.arm = Arm(chosen.arm)
        (record.candidateWeight, record.unit) = (chosen.candidateWeight, chosen.unit)
        record.propensity = chosen.propensity
        var quality: Double?
        for target in [chosen.target] + chosen.fallbacks {
            (record.target, record.provider, record.model) = (target.id, target.provider, target.model)
            guard let answer = simulator.answer(simulated, model: target.modelKey, nowMs: Double(now)) else { break }
            finish(&record, answer, target, chosen.timeouts)
            if answer.outcome == .complete { quality = answer.quality }
            guard record.outcome == .upstreamError, let error = record.error else { break }
            record.attempts.append(
                .init(target: target.id, outcome: error, status: record.status, ms: answer.latencyMs))
        }
        // The last attempt is the record itself.
        if record.outcome == .upstreamError, !record.attempts.isEmpty { record.attempts.removeLast() }
        record.at = now + Int64(record.totalMs.rounded())
        let copy = chosen.mirror.flatMap { self.copy(record, $0, simulated, &simulator) }
        return (Served(record: record, quality: quality), copy)
    }

    /// It begins once the user has the answer, with one attempt and no fallback.
    private mutating func copy(
        _ original: RequestRecord, _ choice: RouteSelection.Mirror, _ request: SimulatedRequest,
        _ simulator: inout Simulator
    ) -> Served? {
        let (target, now) = (choice.target, original.at)
        guard let answer = simulator.answer(request, model: target.modelKey, nowMs: Double(now)) else { return nil }
        var record = RequestRecord(
            id: UUIDv7(milliseconds: now, bucket: original.id.bucket, using: &random), at: now, startedAt: now,
            route: original.route, outcome: .upstreamError, status: 502, totalMs: 0)
        (record.session, record.stream) = (original.session, original.stream)
        (record.rollout, record.step) = (original.rollout, original.step)
        (record.candidateWeight, record.unit) = (original.candidateWeight, original.unit)
        (record.policy, record.propensity, record.arm) = (choice.policy, choice.propensity, .shadow)
        (record.target, record.provider, record.model) = (target.id, target.provider, target.model)
        record.shadowOf = original.id
        finish(&record, answer, target, choice.timeouts)
        record.at = now + Int64(record.totalMs.rounded())
        return Served(record: record, quality: answer.outcome == .complete ? answer.quality : nil)
    }

    private func finish(
        _ record: inout RequestRecord, _ answer: SimulatedAnswer, _ target: Target, _ timeouts: RoutingPolicy.Timeouts
    ) {
        record.error = nil
        record.totalMs += answer.latencyMs
        switch answer.outcome {
        case .complete: (record.outcome, record.status, record.finish) = (.complete, 200, "stop")
        case .cut: (record.outcome, record.status) = (.upstreamCut, 200)
        case .hang:
            (record.outcome, record.status, record.error) = (.timeout, 504, .timeoutFirstByte)
            record.totalMs += Double(timeouts.firstByteMs)
        case .serverError: (record.status, record.error) = (500, .server)
        case .unavailable: (record.status, record.error) = (503, .overloaded)
        case .rateLimited: (record.status, record.error) = (429, .rateLimited)
        case .reset: (record.status, record.error) = (502, .reset)
        }
        guard answer.outcome == .complete else { return }
        var checks = RequestRecord.Checks()
        (checks.refusal, checks.empty) = (false, false)
        record.checks = checks
        record.ttftMs = record.totalMs - answer.latencyMs + answer.ttftMs
        record.tokens = TokenUsage(input: answer.inputTokens, output: answer.outputTokens)
        record.cost = prices[target.modelKey]?.cost(input: answer.inputTokens, output: answer.outputTokens)
        record.price = prices.id
    }
}

extension Arm {
    init(_ arm: RouteSelection.SelectedArm) {
        self =
            switch arm {
            case .stable: .stable
            case .candidate: .candidate
            case .holdout: .holdout
            case .explore: .explore
            case .forced: .forced
            }
    }
}

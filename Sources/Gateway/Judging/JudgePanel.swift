package import Core
package import Logging
import NIOCore
package import Policy
import Statistics
import Synchronization
import Telemetry

/// Has sampled pairs of answers judged, a few at a time, and writes down what comes of it as feedback on both sides.
///
/// Nothing waits for it: a pair that finds no room is dropped. Each pair is asked about in both orders; now and then the
/// judge itself is tested instead, and one that fails is not listened to.
package final class JudgePanel: Sendable {
    /// Pairs that wait; further ones are dropped.
    package static let queueLimit = 64

    private let settings: JudgeSettings
    private let judge: any Judge
    private let sink: any RecordSink
    private let logger: Logger
    private let version: String
    private let state: Mutex<State>

    private struct State {
        var queue = CircularBuffer<JudgePair>()
        var running = 0
        var isStopped = false
        var price: TokenPrice?
        var budget: DayBudget
        var record = JudgeRecord()
        var random: SplitMix64
        var statistics: JudgeStatistics
        /// What keeps it from judging, once said.
        var obstacle: String?
    }

    /// One question to the judge, with the better side first where that is known.
    private struct Question {
        let asked: JudgeCase
        let check: JudgeCheck?
    }

    package init(
        settings: JudgeSettings, judge: any Judge, sink: any RecordSink, logger: Logger,
        seed: UInt64 = .random(in: 0 ... .max)
    ) {
        self.settings = settings
        self.judge = judge
        self.sink = sink
        self.logger = logger
        version = JudgePrompt.version(model: settings.target.modelKey)
        state = Mutex(
            State(
                budget: DayBudget(limit: settings.budgetPerDay), random: SplitMix64(seed: seed),
                statistics: JudgeStatistics(version: version)))
    }

    package var statistics: JudgeStatistics {
        state.withLock { state in
            var statistics = state.statistics
            statistics.spent = state.budget.spent
            statistics.accuracy = state.record.accuracy
            statistics.isSuspended = state.record.fails(settings.minAccuracy)
            return statistics
        }
    }

    /// Whether the answers to a request are to be judged, if it has a copy. The same for each asking, and without a lock.
    package func samples(_ id: UUIDv7) -> Bool {
        var random = SplitMix64(seed: id.high ^ id.low)
        return random.unit() < settings.share
    }

    package func update(_ prices: PriceBook) {
        state.withLock { $0.price = prices[settings.target.modelKey] }
    }

    func skip(_ reason: JudgeSkip) {
        state.withLock { $0.statistics.skipped[reason, default: 0] += 1 }
    }

    package func offer(_ pair: JudgePair) {
        let starts = state.withLock { state in
            guard !state.isStopped else { return false }
            guard state.queue.count < Self.queueLimit else {
                state.statistics.skipped[.queue, default: 0] += 1
                return false
            }
            state.queue.append(pair)
            guard state.running < settings.maxInFlight else { return false }
            state.running += 1
            return true
        }
        if starts { Task { await work() } }
    }

    /// Nothing is said any more.
    package func stop() {
        state.withLock { state in
            state.isStopped = true
            state.queue.removeAll()
        }
    }

    private func work() async {
        while let pair = next() { await take(pair) }
    }

    private func next() -> JudgePair? {
        state.withLock { state in
            let pair = state.queue.popFirst()
            if pair == nil { state.running -= 1 }
            return pair
        }
    }

    // MARK: Asking

    private func take(_ pair: JudgePair) async {
        guard let question = question(pair) else { return skip(.unfit) }
        if question.check == nil {
            if isSuspended { return skip(.suspended) }
            // Nobody need be asked.
            if question.asked.first == question.asked.second { return conclude(pair, .tie) }
        }
        guard let price = state.withLock({ $0.price }) else {
            report("The price of the judge '\(settings.target.modelKey)' is not known, so nothing is judged")
            return skip(.price)
        }
        let reserved = NanoUSD(2 * Self.mostCost(of: question.asked, price).value)
        guard state.withLock({ $0.budget.reserve(reserved, now: wallClock()) }) else {
            report("The judge's budget of the day is spent, so nothing is judged until tomorrow (UTC)")
            return skip(.budget)
        }
        let (side, cost) = await ask(question.asked, price)
        state.withLock { $0.budget.settle(reserved: reserved, cost: cost, now: wallClock()) }
        guard let side else { return state.withLock { $0.statistics.verdicts[.failed, default: 0] += 1 } }
        report(nil)
        if let check = question.check {
            note(check, passed: side == .first)
        } else {
            conclude(pair, side)
        }
    }

    private func question(_ pair: JudgePair) -> Question? {
        let (turn, isHeads, draw) = state.withLock { state in
            let turn = JudgeTurn.next(settings, isKnown: state.record.isKnown, draw: state.random.unit())
            return (turn, state.random.next() & 1 == 0, state.random.next())
        }
        switch turn {
        case .judge: return pair.judged.map { Question(asked: $0, check: nil) }
        case .check(.control):
            return pair.control(withoutCopy: isHeads).map { Question(asked: $0, check: .control) }
        case .check(.gold):
            guard !settings.gold.isEmpty else { return nil }
            let gold = settings.gold[Int(draw % UInt64(settings.gold.count))]
            return Question(
                asked: JudgeCase(
                    conversation: JudgePrompt.conversation(asking: gold.prompt), first: gold.better, second: gold.worse
                ), check: .gold)
        }
    }

    /// Asks in both orders; the second is saved where the first is no verdict.
    ///
    /// - Returns: no side if the judge gave no answer.
    private func ask(_ asked: JudgeCase, _ price: TokenPrice) async -> (JudgedSide?, cost: NanoUSD) {
        var cost = NanoUSD.zero
        var preferences: [JudgePreference] = []
        for one in [asked, asked.swapped] {
            do throws(JudgeFailure) {
                let verdict = try await judge.prefer(one)
                let usage = verdict.usage
                cost =
                    cost
                    + price.cost(
                        input: usage.input, cachedRead: usage.cachedRead, cacheWrite: usage.cacheWrite,
                        output: usage.output)
                guard let preference = verdict.preference else { return (.unusable, cost) }
                preferences.append(preference)
            } catch {
                report("The judge gives no answer (\(error.error.rawValue))")
                return (nil, error.mayCost ? cost + Self.mostCost(of: one, price) : cost)
            }
        }
        return (JudgedSide(preferences[0], swapped: preferences[1]), cost)
    }

    /// A bound of what one question costs: no tokenizer makes more than a token of three bytes of plain text.
    private static func mostCost(of asked: JudgeCase, _ price: TokenPrice) -> NanoUSD {
        let bytes =
            JudgePrompt.instructions.utf8.count + asked.conversation.utf8.count + asked.first.utf8.count
            + asked.second.utf8.count
        return price.cost(input: bytes / 3 + 32, output: JudgePrompt.answerTokens)
    }

    // MARK: What is made of it

    private var isSuspended: Bool { state.withLock { $0.record.fails(settings.minAccuracy) } }

    private func note(_ check: JudgeCheck, passed: Bool) {
        let (before, after, accuracy) = state.withLock { state in
            let before = state.record.fails(settings.minAccuracy)
            state.statistics.checks[.init(check, passed: passed), default: 0] += 1
            state.record.add(passed)
            return (before, state.record.fails(settings.minAccuracy), state.record.accuracy)
        }
        guard before != after else { return }
        let metadata: Logger.Metadata = [
            "judge": "\(settings.target.modelKey)", "version": "\(version)", "passed": "\(accuracy.events)",
            "checks": "\(accuracy.trials)",
        ]
        if after {
            logger.warning(
                "The judge fails its checks and is suspended: no feedback of it goes out", metadata: metadata)
        } else {
            logger.notice("The judge passes its checks again", metadata: metadata)
        }
    }

    private func conclude(_ pair: JudgePair, _ side: JudgedSide) {
        let feedback = state.withLock { state -> [Feedback] in
            // It may have been suspended, or the gateway stopped, while this was being asked.
            guard !state.isStopped else { return [] }
            guard !state.record.fails(settings.minAccuracy) else {
                state.statistics.skipped[.suspended, default: 0] += 1
                return []
            }
            let (value, outcome) = Self.worth(side)
            state.statistics.verdicts[outcome, default: 0] += 1
            guard let value else { return [] }
            if outcome == .preferred {
                Self.noteLength(pair, side, &state.statistics)
                state.statistics.prefer(copy: side == .second, route: pair.route)
            }
            let accuracy = state.record.accuracy
            return pair.feedback(
                value: value, note: "judge:\(version) checks:\(accuracy.events)/\(accuracy.trials)", at: wallClock(),
                using: &state.random)
        }
        for one in feedback { sink.append(.feedback(one)) }
    }

    /// The value of the original.
    private static func worth(_ side: JudgedSide) -> (Double?, JudgeOutcome) {
        switch side {
        case .first: (1, .preferred)
        case .second: (0, .preferred)
        case .tie: (0.5, .tie)
        case .inconsistent: (0.5, .inconsistent)
        case .unusable: (nil, .unusable)
        }
    }

    private static func noteLength(_ pair: JudgePair, _ side: JudgedSide, _ statistics: inout JudgeStatistics) {
        let longer = JudgePair.characters(pair.originalAnswer) - JudgePair.characters(pair.copyAnswer)
        guard longer != 0 else { return }
        if (longer > 0) == (side == .first) {
            statistics.preferredLonger += 1
        } else {
            statistics.preferredShorter += 1
        }
    }

    /// Says once what keeps it from judging, and once that it is gone.
    private func report(_ obstacle: String?) {
        let changed = state.withLock { state in
            defer { state.obstacle = obstacle }
            return state.obstacle != obstacle && !state.isStopped
        }
        guard changed else { return }
        if let obstacle { logger.warning("\(obstacle)") } else { logger.notice("The judge answers again") }
    }
}

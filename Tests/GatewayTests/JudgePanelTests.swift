import Core
import Gateway
import Logging
import NIOCore
import Policy
import Statistics
import Synchronization
import Telemetry
import Testing

/// A judge that a test plays; it counts how many ask it at a time.
private final class PlayedJudge: Judge {
    struct State {
        var asked: [JudgeCase] = []
        var inFlight = 0
        var most = 0
    }

    let state = Mutex(State())
    private let answer: @Sendable (JudgeCase) async -> Result<JudgePreference?, JudgeFailure>

    init(_ answer: @escaping @Sendable (JudgeCase) async -> Result<JudgePreference?, JudgeFailure>) {
        self.answer = answer
    }

    /// Prefers the answer with "good" in it, wherever it stands.
    static func reader() -> PlayedJudge {
        PlayedJudge { asked in
            let (first, second) = (asked.first.contains("good"), asked.second.contains("good"))
            return .success(first == second ? .tie : first ? .first : .second)
        }
    }

    var asked: [JudgeCase] { state.withLock(\.asked) }

    func prefer(_ case: JudgeCase) async throws(JudgeFailure) -> JudgeVerdict {
        state.withLock { state in
            state.asked.append(`case`)
            state.inFlight += 1
            state.most = max(state.most, state.inFlight)
        }
        let result = await answer(`case`)
        state.withLock { $0.inFlight -= 1 }
        return JudgeVerdict(try result.get(), usage: TokenUsage(input: 100, output: 1))
    }
}

@Suite struct JudgePanelTests {
    private static let target = Target(provider: "p", model: "judge")

    private static func panel(
        _ judge: PlayedJudge, sink: MemorySink, price: TokenPrice? = TokenPrice(input: 1_000_000, output: 1_000_000),
        _ change: (inout JudgeSettings) -> Void = { _ in }
    ) -> JudgePanel {
        var settings = JudgeSettings(target: target)
        settings.controlShare = 0
        change(&settings)
        let panel = JudgePanel(
            settings: settings, judge: judge, sink: sink,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, seed: 5)
        if let price { panel.update(PriceBook(prices: [target.modelKey: price])) }
        return panel
    }

    private static func pair(_ number: UInt64, _ original: String = "good answer", _ copy: String = "bad") -> JudgePair
    {
        JudgePair(
            original: UUIDv7(high: number << 16 | 0x7000, low: 1 << 63 | 7),
            copy: UUIDv7(high: number << 16 | 0x7001, low: 1 << 63 | 7), route: "chat",
            body: ByteBuffer(string: #"{"model":"chat","messages":[{"role":"user","content":"hello"}]}"#),
            originalAnswer: Array(original.utf8), copyAnswer: Array(copy.utf8))
    }

    private static func total(_ statistics: JudgeStatistics) -> Int {
        statistics.verdicts.values.reduce(0, +) + statistics.checks.values.reduce(0, +)
            + statistics.skipped.values.reduce(0, +)
    }

    /// Two questions for each pair, with the sides exchanged, and one feedback for each side.
    @Test func theBetterSideGetsOneAndTheOtherNothing() async throws {
        let (judge, sink) = (PlayedJudge.reader(), MemorySink())
        let panel = Self.panel(judge, sink: sink)
        panel.offer(Self.pair(1))
        await eventually("two feedbacks") { sink.feedback.count == 2 }
        let pair = Self.pair(1)
        let (original, copy) = (sink.feedback[0], sink.feedback[1])
        #expect(original.request == pair.original && original.pair == pair.copy && original.value == 1)
        #expect(copy.request == pair.copy && copy.pair == pair.original && copy.value == 0)
        #expect([original, copy].allSatisfy { $0.name == "quality" && $0.source == .judge && $0.key == nil })
        let version = JudgePrompt.version(model: "p/judge")
        #expect(original.comment == "judge:\(version) checks:0/0 longer_by:8")
        #expect(copy.comment == "judge:\(version) checks:0/0 longer_by:-8")
        let asked = judge.asked
        #expect(asked.count == 2 && asked[0].first == asked[1].second && asked[0].second == asked[1].first)
        #expect(asked[0].conversation == #"[{"role":"user","content":"hello"}]"#)
        #expect(panel.statistics.verdicts == [.preferred: 1] && panel.statistics.preferredLonger == 1)
        #expect(panel.statistics.spent == NanoUSD(202))
    }

    @Test func identicalAnswersAreATieThatNobodyIsAskedAbout() async {
        let (judge, sink) = (PlayedJudge.reader(), MemorySink())
        let panel = Self.panel(judge, sink: sink)
        panel.offer(Self.pair(1, "same", "same"))
        await eventually("two feedbacks") { sink.feedback.count == 2 }
        #expect(sink.feedback.allSatisfy { $0.value == 0.5 } && judge.asked.isEmpty)
        #expect(panel.statistics.verdicts == [.tie: 1])
    }

    /// A judge that is checked is checked before it is believed; one that likes a place passes no check.
    @Test func aJudgeThatPrefersAPlaceIsSuspendedBeforeItHasSaidAnything() async {
        let sink = MemorySink()
        let panel = Self.panel(PlayedJudge { _ in .success(.first) }, sink: sink) { $0.controlShare = 0.05 }
        for number in 0..<60 {
            panel.offer(Self.pair(UInt64(number)))
            await eventually("its end") { Self.total(panel.statistics) == number + 1 }
        }
        let statistics = panel.statistics
        #expect(statistics.isSuspended && sink.feedback.isEmpty)
        #expect((statistics.checks[.init(.control, passed: false)] ?? 0) >= 20)
        #expect((statistics.skipped[.suspended] ?? 0) > 20 && statistics.verdicts.isEmpty)
    }

    /// After twenty checks that it passed a judge is heard, and each feedback says how it fared.
    @Test func aJudgeThatReadsQualifies() async throws {
        let sink = MemorySink()
        let judge = PlayedJudge { asked in
            let empty = [asked.first, asked.second].map { $0 == JudgePrompt.nullAnswer || $0 == "3" }
            return .success(empty[0] ? .second : empty[1] ? .first : .tie)
        }
        let panel = Self.panel(judge, sink: sink) { settings in
            settings.controlShare = 0.02
            settings.gold = [.init(prompt: "1 + 1?", better: "2", worse: "3")]
        }
        for number in 0..<40 {
            panel.offer(Self.pair(UInt64(number)))
            await eventually("its end") { Self.total(panel.statistics) == number + 1 }
        }
        let statistics = panel.statistics
        #expect(!statistics.isSuspended && statistics.checks.keys.allSatisfy(\.passed))
        #expect(Set(statistics.checks.keys.map(\.kind)) == [.control, .gold])
        let feedback = try #require(sink.feedback.first)
        #expect(feedback.comment?.contains(" checks:2") == true && feedback.value == 0.5)
        await eventually("feedback on both sides") { sink.feedback.count == 2 * (statistics.verdicts[.tie] ?? 0) }
    }

    /// Whose answer was better is counted by route, and corrected once the judge has been checked.
    @Test func sharesAreCorrectedByTheChecks() async throws {
        let sink = MemorySink()
        let judge = PlayedJudge { asked in
            let isNull = [asked.first, asked.second].map { $0 == JudgePrompt.nullAnswer }
            if isNull.contains(true) { return .success(isNull[0] ? .second : .first) }
            return .success(asked.first.contains("good") ? .first : .second)
        }
        let panel = Self.panel(judge, sink: sink) { $0.controlShare = 0.1 }
        for number in 0..<220 {
            panel.offer(
                number % 4 == 0 ? Self.pair(UInt64(number), "bad", "good answer") : Self.pair(UInt64(number)))
            await eventually("its end") { Self.total(panel.statistics) == number + 1 }
        }
        let statistics = panel.statistics, sides = try #require(statistics.sides["chat"])
        #expect(Int(sides.user + sides.copy) == statistics.verdicts[.preferred])
        let better = try #require(statistics.copyIsBetter(on: "chat"))
        #expect(better.interval.contains(0.25) && better.interval.upperBound < 0.4)
        // The judge made no mistake in its checks, which does not say that it makes none.
        #expect(abs(better.share - Double(sides.copy) / Double(sides.user + sides.copy)) < 1e-9)
        #expect(statistics.copyIsBetter(on: "other") == nil)
        var unchecked = statistics
        unchecked.accuracy = Proportion(events: 0, trials: 0)
        #expect(unchecked.copyIsBetter(on: "chat") == nil)
    }

    @Test func routesThatAreCountedApartAreBounded() {
        var statistics = JudgeStatistics(version: "v")
        for number in 0..<1_000 { statistics.prefer(copy: true, route: "route-\(number)") }
        #expect(statistics.sides.count == JudgeStatistics.mostRoutes)
        #expect(statistics.sides[JudgeStatistics.otherRoutes]?.copy == 1_000 - Int64(JudgeStatistics.mostRoutes) + 1)
    }

    /// What waits is bounded, what is asked at a time too, and offering never waits.
    @Test func aSlowJudgeHasItsQueue() async {
        let sink = MemorySink(), gate = Mutex(false)
        let judge = PlayedJudge { _ in
            while !gate.withLock({ $0 }) { try? await Task.sleep(for: .milliseconds(2)) }
            return .success(.tie)
        }
        let panel = Self.panel(judge, sink: sink) { $0.maxInFlight = 3 }
        for number in 0..<3 { panel.offer(Self.pair(UInt64(number))) }
        await eventually("three being asked about") { judge.asked.count == 3 }
        for number in 3..<100 { panel.offer(Self.pair(UInt64(number))) }
        #expect(panel.statistics.skipped == [.queue: 97 - JudgePanel.queueLimit])
        gate.withLock { $0 = true }
        await eventually("all that had room") { panel.statistics.verdicts[.tie] == 3 + JudgePanel.queueLimit }
        #expect(judge.state.withLock(\.most) == 3)
        panel.stop()
        panel.offer(Self.pair(200))
        #expect(panel.statistics.skipped.count == 1)
    }

    /// The day's money bounds the questions; an unknown price asks none.
    @Test func theBudgetStopsTheQuestions() async {
        let (judge, sink) = (PlayedJudge.reader(), MemorySink())
        // A pair sets aside about 2 × 250 tokens, 500 nano-dollars, and costs 202.
        let panel = Self.panel(judge, sink: sink) { $0.budgetPerDay = NanoUSD(2_000) }
        for number in 0..<30 {
            panel.offer(Self.pair(UInt64(number)))
            await eventually("its end") { Self.total(panel.statistics) == number + 1 }
        }
        let statistics = panel.statistics
        #expect(statistics.spent <= NanoUSD(2_000) && (statistics.verdicts[.preferred] ?? 0) >= 5)
        #expect((statistics.skipped[.budget] ?? 0) >= 15)
        let free = Self.panel(PlayedJudge.reader(), sink: MemorySink(), price: nil)
        free.offer(Self.pair(1))
        await eventually("its end") { free.statistics.skipped == [.price: 1] }
    }

    /// No answer is no feedback; what may have to be paid for is counted as spent.
    @Test(arguments: [true, false])
    func aJudgeThatFailsSaysNothing(_ mayCost: Bool) async {
        let sink = MemorySink()
        let judge = PlayedJudge { _ in .failure(JudgeFailure(.timeoutTotal, mayCost: mayCost)) }
        let panel = Self.panel(judge, sink: sink)
        panel.offer(Self.pair(1))
        await eventually("its end") { panel.statistics.verdicts == [.failed: 1] }
        #expect(sink.feedback.isEmpty && (panel.statistics.spent > .zero) == mayCost)
    }

    @Test func theShareIsSampledByTheRequest() {
        let panel = Self.panel(PlayedJudge.reader(), sink: MemorySink()) { $0.share = 0.1 }
        var random = SplitMix64(seed: 9)
        let ids = (0..<10_000).map { UUIDv7(milliseconds: 1_700_000_000_000 + $0, using: &random) }
        let sampled = ids.filter(panel.samples)
        #expect((850...1_150).contains(sampled.count) && sampled == ids.filter(panel.samples))
    }
}

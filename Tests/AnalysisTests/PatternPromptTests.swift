import Analysis
import Core
import Foundation
import Statistics
import StreamProcessing
import Testing

/// What a route's prompts are like: who sends them, how alike they are, and of which kinds.
struct PatternPromptTests {
    private struct Diary {
        var analyzer = PatternAnalyzer()
        let context = RouteContext(route: "chat")
        var random: SplitMix64
        var index = 0

        init(seed: UInt64) { random = SplitMix64(seed: seed) }

        /// Ten minutes, and what stands after them.
        mutating func window(_ prompts: PromptWindows) -> [Observation] {
            index += 10
            var minute = Minutes.minute(index, ["a/b": Minutes.users(requests: 30)])
            minute.results = [prompts.result(index, &random)].compactMap { $0 }
            return analyzer.observe(minute, context)
        }
    }

    private func said(_ prompts: PromptWindows) -> [Observation] {
        var diary = Diary(seed: 1)
        return diary.window(prompts)
    }

    @Test func ordinaryPromptsSayNothing() {
        #expect(said(PromptWindows()).isEmpty)
    }

    @Test func aHeavyUserIsNamedWithItsBounds() throws {
        var prompts = PromptWindows()
        prompts.heavyUser = 0.5
        let found = try #require(said(prompts).first)
        #expect(found.code == "pattern.heavy_hitter" && found.subject == Subject(.user, "heavy"))
        #expect(found.magnitude.lower < 0.5 && found.magnitude.upper > 0.5 && found.severity == .info)
        let lowest = try #require(found.evidence["count_lowest"]),
            highest = try #require(found.evidence["count_highest"])
        #expect(lowest <= highest)
    }

    @Test func repeatsAreTold() throws {
        var prompts = PromptWindows()
        prompts.repeated = 0.4
        let found = try #require(said(prompts).first { $0.code == "pattern.repeats" })
        // Five of them came first.
        #expect(found.magnitude.estimate > 0.3 && found.magnitude.estimate < 0.45)
        #expect(found.magnitude.lower < found.magnitude.estimate && found.magnitude.upper > found.magnitude.estimate)
    }

    @Test func templatesAndPrefixesAreTold() throws {
        var prompts = PromptWindows()
        prompts.templated = 0.8
        prompts.prefixed = 0.6
        let codes = Set(said(prompts).map(\.code))
        #expect(codes == ["pattern.near_repeats", "pattern.shared_prefix"])
        let prefix = try #require(said(prompts).first { $0.code == "pattern.shared_prefix" })
        #expect(prefix.subject.kind == .prefix && abs((prefix.evidence["cached_share"] ?? 0) - 0.2) < 1e-9)
    }

    @Test func aChangeOfMixIsFound() throws {
        var diary = Diary(seed: 2), prompts = PromptWindows()
        for _ in 0..<(2 * 144) { #expect(diary.window(prompts).isEmpty) }
        prompts.kinds = [2, 4, 2, 2, 1, 1, 1, 8]
        var said: [Observation] = []
        for _ in 0..<13 where said.isEmpty { said = diary.window(prompts) }
        let shift = try #require(said.first)
        #expect(shift.code == "pattern.mix_shift" && shift.severity == .warning)
        #expect(shift.magnitude.lower > 0.05)
        // It becomes the usual mix.
        for _ in 0..<(5 * 144) { said = diary.window(prompts) }
        #expect(said.isEmpty)
    }

    @Test func longerConversationsAreTold() throws {
        var diary = Diary(seed: 3), prompts = PromptWindows()
        for _ in 0..<(10 * 144) { #expect(diary.window(prompts).isEmpty) }
        prompts.messages = 5
        var said: [Observation] = []
        for _ in 0..<(2 * 144) where said.isEmpty { said = diary.window(prompts) }
        let change = try #require(said.first)
        #expect(change.code == "pattern.sessions" && change.subject.name == "messages")
        #expect(change.magnitude.lower > 0.4 && change.magnitude.upper < 0.9)
    }

    @Test func monthsOfOrdinaryPromptsAreQuiet() {
        var codes: [String: Int] = [:]
        for seed in 0..<UInt64(2) {
            var diary = Diary(seed: 100 + seed)
            var prompts = PromptWindows()
            for window in 0..<(30 * 144) {
                // Kinds have their times of day.
                let night = abs(window % 144 - 72) > 40
                prompts.kinds = night ? [6, 4, 2, 2, 2, 1, 1, 1] : [8, 4, 2, 2, 1, 1, 1, 1]
                for told in diary.window(prompts) { codes[told.code, default: 0] += 1 }
            }
        }
        #expect(codes.isEmpty)
    }
}

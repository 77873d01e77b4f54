import Analysis
import ControlLoop
import Core
import CurlClient
import Foundation
import Gateway
import Logging
import Observability
import Policy
import Server
import StreamProcessing
import Synchronization
import Testing

/// Who is asked what and when, for how much, and what is kept of it.
struct ProberTests {
    private static let start: Int64 = 1_763_650_000_000
    private static let round: Int64 = 300_000

    /// A provider that says what it is told to, and a clock.
    private final class Stage: Sendable {
        let asked = Mutex<[OutboundRequest]>([])
        let clock = Mutex(ProberTests.start)
        let metrics = MetricRegistry()
        let store = InMemoryControlStore()
        let answer: @Sendable (_ body: String) -> OutboundResponse

        init(answer: @escaping @Sendable (_ body: String) -> OutboundResponse = { _ in Stage.completion("Yes.") }) {
            self.answer = answer
        }

        static func completion(_ text: String, tokens: Int = 5) -> OutboundResponse {
            let body = """
                {"choices":[{"index":0,"message":{"role":"assistant","content":"\(text)"},"finish_reason":"stop"}],
                "usage":{"prompt_tokens":20,"completion_tokens":\(tokens),"total_tokens":25}}
                """
            return OutboundResponse(status: 200, body: Array(body.utf8))
        }

        func route(_ name: String, _ models: String...) async throws {
            let name = try #require(RouteName(name))
            let targets = models.map { Target(provider: "p", model: $0) }
            let policy = RoutingPolicy(
                route: name, version: 1, createdAt: 0, createdBy: "test", reason: "", targets: targets)
            try await store.apply(Route(name: name), firstPolicy: policy, by: "test", now: 0)
        }

        func price(_ models: String..., usdPerMtok: Int64 = 1) async throws {
            let price = TokenPrice(input: usdPerMtok * 1_000_000_000, output: usdPerMtok * 1_000_000_000)
            let prices = Dictionary(uniqueKeysWithValues: models.map { ("p/\($0)", Optional(price)) })
            _ = await store.setPrices(prices, by: "test", now: 0)
        }

        func prober(_ change: (inout ProbeSettings) -> Void = { _ in }) -> Prober {
            var settings = ProbeSettings()
            settings.everyMs = ProberTests.round
            change(&settings)
            return Prober(
                settings, providers: [ProviderSettings(id: "p", baseURL: "http://p.test/v1/", apiKey: "key")],
                store: store, metrics: metrics, logger: Logger(label: "test"), now: { self.clock.withLock { $0 } }
            ) { request in
                self.asked.withLock { $0.append(request) }
                return self.answer(String(decoding: request.body, as: UTF8.self))
            }
        }

        /// Lets time pass as the leader does, looking each second.
        func pass(_ milliseconds: Int64, _ prober: inout Prober) async throws {
            for _ in 0..<milliseconds / 1_000 {
                clock.withLock { $0 += 1_000 }
                try await prober.tick()
            }
        }

        func probes(_ models: String...) async -> [StoredProbe] {
            await store.probes(of: models.map { "p/\($0)" }, in: 0..<Int64.max)
        }

        var models: [String] {
            asked.withLock(\.self).map { String(decoding: $0.body, as: UTF8.self) }
                .compactMap { $0.firstMatch(of: /"model":"([^"]+)"/).map { String($0.1) } }
        }
    }

    @Test func everyModelThatServesIsAskedOnceARoundAndEvenly() async throws {
        let stage = Stage()
        try await stage.route("one", "a", "b")
        try await stage.route("two", "b", "c")
        try await stage.price("a", "b", "c")
        // A candidate serves too; a policy that is neither does not.
        let name = try #require(RouteName("two"))
        for model in ["d", "unused"] {
            let policy = RoutingPolicy(
                route: name, version: 0, createdAt: 0, createdBy: "test", reason: "",
                targets: [Target(provider: "p", model: model)])
            _ = try await stage.store.create(policy, now: 0)
        }
        try await stage.store.update(name) { state in
            var pointer = state.pointer
            pointer.candidate = 2
            return ([.setPointer(pointer)], ())
        }
        try await stage.price("d", "unused")
        var prober = stage.prober()
        try await stage.pass(3 * Self.round, &prober)
        let models = stage.models
        #expect(models.count == 12)
        for round in 0..<3 { #expect(Set(models[round * 4..<round * 4 + 4]) == ["a", "b", "c", "d"]) }
        let times = await stage.probes("a", "b", "c", "d").map(\.at)
        for (before, after) in zip(times, times.dropFirst()) { #expect(abs(after - before - 75_000) <= 1_000) }
        // Each model gets one prompt after the other.
        #expect(Set(await stage.probes("a").map(\.result.probe)).count == 3)
    }

    @Test func theQuestionIsTheSameEachTimeAndGoesToTheProvider() async throws {
        let stage = Stage()
        try await stage.route("one", "a")
        try await stage.price("a")
        var prober = stage.prober { $0.prompts = [ProbePrompt(name: "sum", prompt: "1 + \"1\"?")] }
        try await stage.pass(2 * Self.round, &prober)
        let asked = stage.asked.withLock(\.self)
        #expect(asked.count == 2 && asked[0].body == asked[1].body)
        #expect(asked[0].url == "http://p.test/v1/chat/completions")
        #expect(asked[0].headers.contains { $0 == ("authorization", "Bearer key") })
        let messages = #"[{"content":"1 + \"1\"?","role":"user"}]"#
        let body = String(decoding: asked[0].body, as: UTF8.self)
        #expect(body == #"{"max_tokens":64,"messages":\#(messages),"model":"a","temperature":0}"#)
    }

    @Test func anotherPromptUnderTheSameNameIsAnotherProbe() async throws {
        let stage = Stage()
        try await stage.route("one", "a")
        try await stage.price("a")
        for prompt in ["1 + 1?", "1 + 2?", "1 + 1?"] {
            var prober = stage.prober { $0.prompts = [ProbePrompt(name: "sum", prompt: prompt)] }
            try await stage.pass(Self.round, &prober)
        }
        let probes = await stage.probes("a").map(\.result.probe)
        #expect(probes.count == 3 && probes[0] == probes[2] && probes[0] != probes[1])
        #expect(probes.allSatisfy { $0.hasPrefix("sum-") })
    }

    @Test func onlyWhatTellsAnswersApartIsKept() async throws {
        let texts = Mutex([" Yes.\\n", "Yes.", "yes."])
        let stage = Stage { _ in Stage.completion(texts.withLock { $0.removeFirst() }, tokens: 7) }
        try await stage.route("one", "a")
        try await stage.price("a")
        var prober = stage.prober { $0.prompts = [ProbePrompt(name: "one", prompt: "Well?")] }
        try await stage.pass(3 * Self.round, &prober)
        let results = await stage.probes("a").map(\.result)
        #expect(results.count == 3 && results[0] == results[1] && results[1].digest != results[2].digest)
        #expect(results.allSatisfy { $0.outputTokens == 7 })
    }

    @Test(arguments: [
        (ProbeOutcome.refused, 400, #"{"error":{"message":"no"}}"#),
        (.refused, 500, ""),
        (.unreadable, 200, "<html>"),
        (.unreadable, 200, #"{"choices":[]}"#),
        (.unreadable, 200, #"{"choices":[{"message":{"content":"a"}},{"message":{"content":"b"}}]}"#),
    ])
    func whatIsNoAnswerIsCountedAndNoResult(outcome: ProbeOutcome, status: Int, body: String) async throws {
        let stage = Stage { _ in OutboundResponse(status: status, body: Array(body.utf8)) }
        try await stage.route("one", "a")
        try await stage.price("a")
        var prober = stage.prober()
        try await stage.pass(2 * Self.round, &prober)
        #expect(await stage.probes("a").isEmpty)
        let text = stage.metrics.text()
        #expect(
            text.contains(#"trimtab_probe_prompts_total{provider="p",outcome="\#(outcome.rawValue)"} 2"#), "\(text)")
        // What was refused is not charged; what was answered may be.
        #expect(text.contains("trimtab_probe_spend_usd_total 0\n") == (outcome == .refused), "\(text)")
    }

    @Test func withoutAPriceNobodyIsAsked() async throws {
        let stage = Stage()
        try await stage.route("one", "a", "b")
        try await stage.price("b")
        var prober = stage.prober()
        try await stage.pass(2 * Self.round, &prober)
        #expect(stage.models == ["b", "b"])
        #expect(stage.metrics.text().contains(#"trimtab_probe_prompts_total{provider="p",outcome="price"} 2"#))
        // Known a minute after it was set.
        try await stage.price("a")
        try await stage.pass(Self.round + 60_000, &prober)
        #expect(stage.models.contains("a"))
    }

    @Test func theBudgetOfADayBoundsWhatIsSpent() async throws {
        let stage = Stage { _ in Stage.completion("A long answer.", tokens: 64) }
        try await stage.route("one", "a")
        try await stage.price("a", usdPerMtok: 100)
        // Of 20 and 64 tokens each: 0.0084 dollars.
        var prober = stage.prober { $0.budgetPerDay = NanoUSD(100_000_000) }
        stage.clock.withLock { $0 = Self.start / 86_400_000 * 86_400_000 }
        try await stage.pass(86_400_000 - 1_000, &prober)
        let first = stage.models.count
        #expect((8...11).contains(first), "\(first)")
        try await stage.pass(Self.round * 5, &prober)
        #expect((4...5).contains(stage.models.count - first), "a new day")
        #expect(stage.metrics.text().contains(#"outcome="budget"}"#))
    }

    @Test func modelsAreBounded() async throws {
        let stage = Stage()
        for index in 100..<170 {
            try await stage.route("route-\(index)", "m\(index)")
            try await stage.price("m\(index)")
        }
        var prober = stage.prober()
        try await stage.pass(Self.round, &prober)
        #expect(Set(stage.models) == Set((100..<100 + Prober.mostModels).map { "m\($0)" }))
    }

    // MARK: The schedule

    @Test(arguments: [1, 3, 7, 64]) func aRoundHasATurnForEachModel(models: Int) {
        var schedule = ProbeSchedule(everyMs: 10_000)
        var turns: [ProbeSchedule.Turn] = []
        for now in stride(from: 999 as Int64, through: 60_999, by: 10) {
            if let turn = schedule.turn(now: now, models: models) { turns.append(turn) }
        }
        #expect(turns.count == 6 * models)
        for model in 0..<models { #expect(turns.count { $0.model == model } == 6) }
        #expect(Set(turns.map { "\($0.model) \($0.round)" }).count == turns.count)
    }

    @Test func aRestartTakesNoTurnTwice() {
        var turns: [ProbeSchedule.Turn] = []
        var schedule = ProbeSchedule(everyMs: 10_000)
        for (index, now) in stride(from: 0 as Int64, to: 100_000, by: 100).enumerated() {
            if index % 37 == 0 { schedule = ProbeSchedule(everyMs: 10_000) }
            if let turn = schedule.turn(now: now, models: 4) { turns.append(turn) }
        }
        #expect(Set(turns.map { "\($0.model) \($0.round)" }).count == turns.count)
        #expect(turns.count > 30)
    }

    @Test func missedTurnsAreMadeUpForUpToARound() {
        var schedule = ProbeSchedule(everyMs: 10_000)
        #expect(schedule.turn(now: 1, models: 5) == nil)
        func due(_ now: Int64) -> [Int] {
            var models: [Int] = []
            while let turn = schedule.turn(now: now, models: 5) { models.append(turn.model) }
            return models
        }
        #expect(due(6_001) == [1, 2, 3])
        #expect(due(60_001) == [1, 2, 3, 4, 0])
        schedule.rest()
        #expect(due(90_001) == [])
        // A clock that was set back does not stop it.
        #expect(due(20_001) == [])
        #expect(due(22_001) == [1])
        #expect(schedule.turn(now: 90_001, models: 0) == nil)
    }
}

import Analysis
import Core
import Foundation
import Statistics
import StreamProcessing
import Telemetry
import Testing

/// What need not be spent, with how much and how sure; and a bounded state behind it all.
struct CostWasteTests {
    /// Dollars a day that the traffic below costs, without its rhythm: 100 requests a minute at 0.0012.
    private static let spend = 0.0012 * 100 * 1_440
    private let traffic = CostTraffic(rate: 100, rhythm: 0, failureRate: 0)

    private func route() -> CostRoute {
        var route = CostRoute(seed: 11)
        route.context.prices["sim/a"] = TokenPrice(
            input: 1_000_000_000, output: 4_000_000_000, cachedInput: 100_000_000)
        return route
    }

    @Test(arguments: [("cost.waste_truncated", Signal.truncated), ("cost.waste_abandoned", .abandoned)])
    func answersThatAreOfNoUse(code: String, signal: Signal) throws {
        for (count, isTold) in [(10, true), (1, false)] as [(Int64, Bool)] {
            var route = route()
            let said = route.run(1_440, [traffic]) { $0.models[0].users.signals = [signal: count] }
            #expect(said.news == (isTold ? [code] : []))
            guard isTold else { continue }
            let found = try #require(said.first { $0.code == code })
            #expect(found.magnitude.lower <= 0.1 * Self.spend && found.magnitude.upper >= 0.07 * Self.spend)
            #expect(found.severity == .info && !found.action.isEmpty)
        }
    }

    @Test func retriesAreABoundAndNoCertainty() throws {
        var route = route()
        let said = route.run(1_440, [traffic]) { $0.models[0].users.signals = [.retried: 20] }
        let found = try #require(said.first { $0.code == "cost.waste_retries" })
        #expect(found.magnitude.lower == 0 && found.confidence == 0.5)
        #expect(found.magnitude.upper < 0.25 * Self.spend)
    }

    private func result(
        _ name: String, _ minute: RouteMinute, _ aggregate: WindowAggregate, _ model: String = "",
        _ others: [String] = []
    )
        -> MergedWindow
    {
        MergedWindow(
            window: minute.window,
            key: WindowKey(window: name, route: "chat", modelKey: model, arm: .stable, policy: 0, others: others),
            aggregate: aggregate, feedback: [:])
    }

    /// Ten minutes of 1,000 prompts, of which `repeats` had come before and `sharing` begin alike.
    private func prompts(repeats: Int, sharing: Int, cached: Double, _ random: inout SplitMix64) -> WindowAggregate {
        let top: [CountedItem] = [.prompt, .template, .prefix]
        var aggregate = WindowAggregate(
            AggregateSelection(
                measures: [.inputTokens, .cachedTokens], distinct: [.prompt],
                top: top.map { .init(item: $0, counters: 64) }))
        aggregate.requests = 1_000
        for place in 0..<1_000 {
            let isRepeat = place < repeats, hash = isRepeat ? UInt64(place % 5) &* 0x9E37_79B9_7F4A_7C15 : random.next()
            aggregate.distinct[0].insert(hash: hash)
            aggregate.top[0].insert("\(hash)")
            if place < sharing { aggregate.top[2].insert("\(place % 3)") }
        }
        aggregate.inputTokens = Moments(n: 1_000, sum: 2e6, sumOfSquares: 4e9)
        aggregate[.cachedTokens].moments = Moments(n: 1_000, sum: cached, sumOfSquares: 0)
        return aggregate
    }

    @Test func repeatedPromptsCouldComeFromACache() throws {
        for (repeats, isTold) in [(300, true), (0, false)] {
            var route = route(), random = SplitMix64(seed: 3)
            let said = route.run(1_440, [traffic]) { minute in
                guard minute.window.start % 600_000 == 0 else { return }
                let aggregate = prompts(repeats: repeats, sharing: 0, cached: 0, &random)
                minute.results = [result("prompts", minute, aggregate)]
            }
            #expect(said.news == (isTold ? ["cost.waste_repeats"] : []))
            guard isTold else { continue }
            let found = try #require(said.first { $0.code == "cost.waste_repeats" })
            #expect(found.magnitude.lower > 0.25 * Self.spend && found.magnitude.upper < 0.35 * Self.spend)
        }
    }

    @Test func sharedBeginningsCouldComeFromTheProvidersCache() throws {
        for (cached, isTold) in [(0.0, true), (1e6, false)] {
            var route = route(), random = SplitMix64(seed: 3)
            let said = route.run(1_440, [traffic]) { minute in
                guard minute.window.start % 600_000 == 0 else { return }
                let aggregate = prompts(repeats: 0, sharing: 900, cached: cached, &random)
                minute.results = [result("prompts", minute, aggregate)]
            }
            #expect(said.news == (isTold ? ["cost.waste_prefix"] : []))
            guard isTold else { continue }
            let found = try #require(said.first { $0.code == "cost.waste_prefix" })
            // 900 × 1,024 tokens × 0.9 USD a million, 144 times a day.
            #expect(abs(found.magnitude.estimate / (900 * 1_024 * 0.9e-6 * 144) - 1) < 0.05)
        }
    }

    @Test func whatNobodyWaitsForCouldGoThroughABatchInterface() throws {
        // Of 1,000 requests an hour at 2 USD, by key.
        let unattended: [String: Int64] = ["nightly": 1_000, "chat": 900, "little": 1_000]
        var route = route()
        func spent(_ minute: inout RouteMinute, _ keys: some Sequence<String>) {
            guard minute.window.start % 3_600_000 == 0 else { return }
            minute.results = keys.map { key in
                var aggregate = WindowAggregate(AggregateSelection(measures: [.cost], signals: true))
                aggregate.requests = 1_000
                aggregate.cost.add(key == "little" ? 1e7 : 2e9)
                aggregate.signals = [.unattended: unattended[key] ?? 0]
                return result("spend", minute, aggregate, "", ["", key])
            }
        }
        #expect(route.run(1_440, [traffic]) { spent(&$0, unattended.keys.sorted()) }.news == [])
        let said = route.run(1_440, [traffic]) { spent(&$0, unattended.keys.sorted()) }
        #expect(said.news == ["cost.waste_batchable"])
        let found = try #require(said.first { $0.code == "cost.waste_batchable" })
        #expect(found.subject == Subject(.key, "nightly") && found.severity == .info && found.confidence == 0.5)
        #expect(abs(found.magnitude.upper - 24) < 0.01 && found.magnitude.lower == 0)
        // It is over with the last day that had any.
        route.run(1_440, [traffic])
        #expect(!route.run(60, [traffic]).contains { $0.code == "cost.waste_batchable" })
    }

    /// An hour of prompts of one size: what a model costs and how long its answers are.
    private func sizes(_ cost: Double, sigma: Double, _ random: inout SplitMix64) -> WindowAggregate {
        var aggregate = WindowAggregate(
            AggregateSelection(measures: [.cost, .outputTokens], quantiles: [.outputTokens]))
        aggregate.requests = 2_000
        for _ in 0..<2_000 {
            let length = exp(sigma * random.normal())
            aggregate[.cost].add(cost * length, sketched: false)
            aggregate[.outputTokens].add(200 * length, sketched: true)
        }
        return aggregate
    }

    @Test func overLongAnswersAreTold() {
        for (sigma, codes) in [(2.0, ["cost.waste_long_outputs"]), (0.8, [])] {
            var route = route(), random = SplitMix64(seed: 4)
            let said = route.run(1_440, [traffic]) { minute in
                guard minute.window.start % 3_600_000 == 0 else { return }
                let aggregate = sizes(1e6, sigma: sigma, &random)
                minute.results = [result("sizes", minute, aggregate, "sim/a", ["256_1k"])]
            }
            #expect(said.news == codes)
        }
    }

    @Test(arguments: [(0.8, true), (0.7, false)]) func aDearerModelThatIsNoBetterIsTold(quality: Double, isTold: Bool) {
        var route = route(), random = SplitMix64(seed: 4)
        let cheap = CostTraffic(model: "sim/cheap", rate: 20, rhythm: 0, failureRate: 0)
        let said = route.run(3 * 1_440, [traffic, cheap]) { minute in
            minute.feedback = [("sim/a", 0.8), ("sim/cheap", quality)].map { model, quality in
                var scores = Moments()
                for _ in 0..<20 { scores.add(min(1, max(0, quality + 0.1 * random.normal()))) }
                return ModelFeedback(modelKey: model, policy: 1, values: ["quality": scores], answers: 100)
            }
            guard minute.window.start % 3_600_000 == 0 else { return }
            let dear = sizes(1e6, sigma: 0.8, &random), other = sizes(0.4e6, sigma: 0.8, &random)
            minute.results = [
                result("sizes", minute, dear, "sim/a", ["256_1k"]),
                result("sizes", minute, other, "sim/cheap", ["256_1k"]),
            ]
        }
        #expect(said.news == (isTold ? ["cost.dearer_model"] : []))
    }

    @Test func whatItKnowsIsBoundedAndReadsBackTheSame() throws {
        var route = CostRoute(seed: 2)
        var models = (0..<3).map { CostTraffic(model: "sim/\($0)", rate: 30) }
        for model in models { route.context.prices[model.model] = model.price }
        route.run(8 * 1_440, models)
        let bytes = try JSONEncoder().encode(route.analyzer)
        #expect(bytes.count / models.count < 20_000, "\(bytes.count / models.count) bytes a model")
        var copy = route
        copy.analyzer = try JSONDecoder().decode(CostAnalyzer.self, from: bytes)
        models[0].outputTokens *= 3
        for _ in 0..<30 { #expect(copy.step(models).codes == route.step(models).codes) }
        // However many models there are, no more than a bound are told apart.
        let many = (0..<100).map { CostTraffic(model: "sim/\($0)", rate: 1) }
        route.run(3, many)
        let wide = try JSONEncoder().encode(route.analyzer)
        #expect(wide.count < 64 * 20_000)
    }

    @Test func numbersFromOutsideDoNotBreakIt() throws {
        var route = route()
        route.run(120, [traffic]) { minute in
            minute.models[0].users.cost = Moments(n: 100, sum: 9e18, sumOfSquares: 8e37)
            minute.models[0].users.inputTokens = Moments(n: 100, sum: 9e18, sumOfSquares: 8e37)
            minute.models[0].users.requests = -5
        }
        let bytes = try JSONEncoder().encode(route.analyzer)
        #expect(throws: Never.self) { try JSONDecoder().decode(CostAnalyzer.self, from: bytes) }
    }
}

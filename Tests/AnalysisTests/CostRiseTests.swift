import Analysis
import Core
import Statistics
import StreamProcessing
import Testing

/// A request that costs more is told, with what made it dearer; nothing else is.
struct CostRiseTests {
    @Test func healthyMonthsAreQuiet() {
        var spoken: [String] = []
        let months = 3
        for seed in 1...UInt64(months) {
            var route = CostRoute(seed: seed)
            route.context.objective.budgetDayUSD = 1_000
            var traffic = [
                CostTraffic(rate: seed % 3 == 0 ? 6 : 25, rhythm: 0.7), CostTraffic(model: "sim/b", rate: 5),
            ]
            traffic[1].outputTokens = 600
            if seed % 2 == 0 { for model in traffic { route.context.prices[model.model] = model.price } }
            spoken += route.run(30 * 1_440, traffic).filter { $0.severity > .info }.map(\.statement)
        }
        #expect(spoken.isEmpty, "\(spoken)")
    }

    @Test(arguments: [true, false]) func longerAnswersAreFoundInThreeMinutes(isListed: Bool) throws {
        for seed in 1...4 as ClosedRange<UInt64> {
            var route = CostRoute(seed: seed), traffic = CostTraffic(rate: 300)
            if isListed { route.context.prices["sim/a"] = traffic.price }
            #expect(route.run(3 * 1_440 / 2, [traffic]).news == [])
            traffic.outputTokens *= 3
            let found = try #require(route.run(3, [traffic]).first { $0.code == "cost.rise" }, "seed \(seed)")
            #expect(found.subject == .model("sim/a") && found.confidence >= 0.99)
            #expect(found.statement.hasSuffix("by longer answers."))
            #expect(found.magnitude.lower < 1.333 && found.magnitude.upper > 1.333, "\(found.magnitude)")
        }
    }

    @Test func aSmallRiseIsFoundInAnHour() throws {
        for seed in 1...4 as ClosedRange<UInt64> {
            var route = CostRoute(seed: seed), traffic = CostTraffic(rate: 300)
            route.run(3 * 1_440, [traffic])
            traffic.inputTokens *= 1.9
            let found = try #require(route.run(60, [traffic]).first { $0.code == "cost.rise" }, "seed \(seed)")
            #expect(found.statement.hasSuffix("by longer prompts."))
            #expect(found.severity == .warning)
        }
    }

    @Test func cheaperRequestsAreNoAlarm() {
        var route = CostRoute(), traffic = CostTraffic()
        route.run(2 * 1_440, [traffic])
        traffic.outputTokens /= 3
        #expect(route.run(1_440, [traffic]).allSatisfy { $0.severity == .info })
    }

    @Test func aRiseEndsWhenItIsOver() {
        var route = CostRoute(), traffic = CostTraffic()
        route.run(2 * 1_440, [traffic])
        traffic.outputTokens *= 3
        #expect(route.run(30, [traffic]).codes.contains("cost.rise"))
        traffic.outputTokens /= 3
        route.run(15, [traffic])
        #expect(!route.run(60, [traffic]).codes.contains("cost.rise"))
    }

    @Test func moreOfADearModelIsTheRoutesRise() throws {
        var route = CostRoute(seed: 3)
        var cheap = CostTraffic(model: "sim/cheap", rate: 200), dear = CostTraffic(model: "sim/dear", rate: 20)
        dear.price = TokenPrice(input: 10_000_000_000, output: 40_000_000_000)
        #expect(route.run(2 * 1_440, [cheap, dear]).news == [])
        (cheap.rate, dear.rate) = (110, 110)
        let found = try #require(route.run(10, [cheap, dear]).first { $0.code == "cost.rise" })
        #expect(found.subject == .route && found.severity == .critical)
        #expect((found.evidence["from_mix_usd_per_1000"] ?? 0) > 0.9 * (found.magnitude.estimate) / 1e3)
    }

    @Test func anUnknownCostIsToldAndIsNotCheap() throws {
        var route = CostRoute(), traffic = CostTraffic()
        route.run(1_440, [traffic])
        traffic.unpriced = 0.3
        let found = route.run(60, [traffic]).filter { $0.severity > .info }
        #expect(found.codes == ["cost.unknown_price"])
        let magnitude = try #require(found.first?.magnitude)
        #expect(magnitude.lower < 0.3 && magnitude.upper > 0.25)
    }

    @Test func anAcceptedAnswerCanBecomeDearerWhileARequestDoesNot() throws {
        var route = CostRoute(), good = 0.8
        let traffic = CostTraffic(failureRate: 0)
        func scored(_ minute: inout RouteMinute, _ random: inout SplitMix64) {
            var quality = Moments()
            for _ in 0..<10 { quality.add(random.unit() < good ? 1 : 0) }
            minute.feedback = [ModelFeedback(modelKey: "sim/a", policy: 1, values: ["quality": quality], answers: 60)]
        }
        var scores = SplitMix64(seed: 9)
        #expect(route.run(4 * 1_440, [traffic]) { scored(&$0, &scores) }.news == [])
        good = 0.5
        let found = route.run(30 * 60 + 360, [traffic]) { scored(&$0, &scores) }
        #expect(found.news == ["cost.per_accepted"])
        let magnitude = try #require(found.first { $0.code == "cost.per_accepted" }?.magnitude)
        #expect(magnitude.lower > 0.4 && magnitude.upper < 0.8, "\(magnitude)")
    }

    @Test func gapsSayNothing() {
        var route = CostRoute(), traffic = CostTraffic()
        route.run(2 * 1_440, [traffic])
        traffic.outputTokens *= 10
        #expect(route.run(60, [traffic]) { $0.isGap = true }.news == [])
    }
}

import Analysis
import Core
import Foundation
import Statistics
import StreamProcessing

/// Traffic of one model for tests of what it costs, drawn from a seed: Poisson arrivals with a daily rhythm, prompts and
/// answers of log-normal length.
struct CostTraffic {
    var model = "sim/a"
    /// Requests a minute, mean over the day.
    var rate = 60.0
    /// Of the rate between night and day, 0...1.
    var rhythm = 0.5
    var inputTokens = 400.0
    var outputTokens = 200.0
    var sigma = 0.8
    var failureRate = 0.01
    /// What is charged, nano-dollars a million tokens.
    var price = TokenPrice(input: 1_000_000_000, output: 4_000_000_000)
    /// Requests whose cost nobody knows, 0...1.
    var unpriced = 0.0

    func aggregate(_ minute: Int64, _ random: inout SplitMix64) -> WindowAggregate {
        var aggregate = WindowAggregate()
        let day = Double(minute % 1_440) / 1_440
        let mean = rate * (1 - rhythm * cos(2 * .pi * day))
        let count = max(0, Int64((mean + mean.squareRoot() * random.normal()).rounded()))
        var cost = Moments(), input = Moments(), output = Moments()
        for _ in 0..<count {
            aggregate.requests += 1
            if random.unit() < failureRate {
                aggregate.failures += 1
                aggregate.unknownCost += 1
                continue
            }
            let prompt = length(inputTokens, &random), answer = length(outputTokens, &random)
            if random.unit() < unpriced {
                aggregate.unknownCost += 1
                continue
            }
            cost.add(Double(price.cost(input: prompt, output: answer).value))
            input.add(Double(prompt))
            output.add(Double(answer))
        }
        aggregate.cost = cost
        aggregate.inputTokens = input
        aggregate.outputTokens = output
        return aggregate
    }

    private func length(_ mean: Double, _ random: inout SplitMix64) -> Int {
        max(1, Int(mean * exp(sigma * random.normal() - sigma * sigma / 2)))
    }
}

/// An analyzer with a route, fed minute by minute from midnight of the first of July 2026.
struct CostRoute {
    static let start: Int64 = 1_782_864_000_000
    var analyzer = CostAnalyzer()
    var context = RouteContext(route: "chat")
    var random: SplitMix64
    var minute: Int64 = 0

    init(seed: UInt64 = 1) { random = SplitMix64(seed: seed) }

    var now: Int64 { Self.start + minute * 60_000 }

    /// One minute more; what is said after it.
    mutating func step(
        _ traffic: [CostTraffic], change: (inout RouteMinute) -> Void = { _ in }
    ) -> [Observation] {
        var next = RouteMinute(Window(start: now, end: now + 60_000))
        for one in traffic {
            var model = ModelMinute(one.model)
            model.users = one.aggregate(minute, &random)
            next.models.append(model)
        }
        change(&next)
        minute += 1
        return analyzer.observe(next, context)
    }

    /// So many minutes; what was said in any of them, the newest of each code and subject.
    @discardableResult
    mutating func run(
        _ minutes: Int, _ traffic: [CostTraffic], change: (inout RouteMinute) -> Void = { _ in }
    ) -> [Observation] {
        var said: [String: Observation] = [:]
        for _ in 0..<minutes {
            for one in step(traffic, change: change) { said[one.code + one.subject.text] = one }
        }
        return said.values.sorted { ($0.code, $0.subject) < ($1.code, $1.subject) }
    }
}

extension [Observation] {
    var codes: [String] { map(\.code) }
    /// All but the forecast, which is always there.
    var news: [String] { codes.filter { $0 != "cost.forecast" } }
}

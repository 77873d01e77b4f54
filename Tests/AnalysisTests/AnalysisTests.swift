import Analysis
import Core
import Statistics
import StreamProcessing
import Testing

/// One span of traffic to one model, drawn from a seed.
private struct Traffic {
    var requests = 2_000
    var failureRate = 0.01
    var cost = 1_000_000.0
    var quality = 0.8
    var latency = 200.0
    var feedback = 0.3
    var priced = true

    func statistics(_ model: String = "sim/a", seed: UInt64) -> TargetStatistics {
        var random = SplitMix64(seed: seed)
        var aggregate = WindowAggregate()
        var quality = Moments()
        for _ in 0..<requests {
            aggregate.requests += 1
            if random.unit() < failureRate {
                aggregate.failures += 1
                aggregate.unknownCost += 1
                continue
            }
            if priced { aggregate.cost.add(cost * (0.5 + random.unit())) } else { aggregate.unknownCost += 1 }
            aggregate.latency.insert(latency * (0.5 + random.unit()))
            aggregate.ttft.insert(latency * (0.05 + 0.1 * random.unit()))
            if random.unit() < feedback { quality.add(random.unit() < self.quality ? 1 : 0) }
        }
        return TargetStatistics(route: "chat", modelKey: model, aggregate: aggregate, quality: quality)
    }
}

private func findings(
    _ now: Traffic, before: Traffic? = nil, limits: AnalysisInput.Limits = .init(), seed: UInt64 = 1
) -> [Finding] {
    var random = SplitMix64(seed: seed)
    let input = AnalysisInput(
        route: "chat", window: Window(start: 0, end: 3_600_000), current: [now.statistics(seed: random.next())],
        previous: before.map { [$0.statistics(seed: random.next())] } ?? [], objective: limits)
    return analyze(input, settings: AnalysisSettings(), now: 3_600_000, using: &random)
}

struct AnalysisTests {
    @Test("Traffic that does not change gives no finding in 300 pairs of spans")
    func quiet() {
        let limits = AnalysisInput.Limits(
            latencyP95Ms: 400, ttftP95Ms: 60, qualityFloor: 0.7, budgetDayUSD: 1_000)
        for seed in 1...300 as ClosedRange<UInt64> {
            let found = findings(Traffic(), before: Traffic(), limits: limits, seed: seed)
            #expect(found.isEmpty, "\(found.map(\.statement))")
        }
    }

    @Test(
        "Each change is found, and nothing else",
        arguments: [
            (Traffic(failureRate: 0.08), ["performance.errors"]), (Traffic(failureRate: 0.05), ["performance.errors"]),
            (Traffic(latency: 300), ["performance.latency_rise", "performance.latency_slo"]),
            (Traffic(cost: 1_300_000), ["cost.rise"]), (Traffic(quality: 0.68), ["quality.drop"]),
            (Traffic(priced: false), ["cost.unknown_price"]), (Traffic(feedback: 0), ["quality.no_feedback"]),
            (Traffic(quality: 0.5), ["quality.drop", "quality.floor"]),
        ] as [(Traffic, [String])])
    fileprivate func changes(now: Traffic, codes: [String]) {
        let limits = AnalysisInput.Limits(latencyP95Ms: 400, ttftP95Ms: 60, qualityFloor: 0.6)
        for seed in 1...20 as ClosedRange<UInt64> {
            let found = findings(now, before: Traffic(), limits: limits, seed: seed)
            #expect(found.map(\.code).sorted() == codes)
            for finding in found {
                #expect(finding.magnitude.lower <= finding.magnitude.estimate)
                #expect(finding.magnitude.estimate <= finding.magnitude.upper)
                #expect(finding.confidence >= 0.97 && finding.confidence <= 1)
                #expect(!finding.evidence.isEmpty)
            }
        }
    }

    @Test("A budget is told from the spend of a long enough span")
    func budget() {
        // 2,000 requests an hour at 0.001 USD: 48 USD a day.
        #expect(findings(Traffic(), limits: .init(budgetDayUSD: 30)).map(\.code) == ["cost.budget"])
        #expect(findings(Traffic(), limits: .init(budgetDayUSD: 60)).isEmpty)
    }

    @Test("Few requests say nothing, however bad they look")
    func few() {
        #expect(findings(Traffic(requests: 40, failureRate: 0.5), before: Traffic()).isEmpty)
        #expect(findings(Traffic(requests: 0), before: Traffic()).isEmpty)
    }

    @Test("The same input gives the same findings, ids included")
    func deterministic() {
        let limits = AnalysisInput.Limits(latencyP95Ms: 100)
        #expect(findings(Traffic(), limits: limits) == findings(Traffic(), limits: limits))
        #expect(findings(Traffic(), limits: limits).first?.at == 3_600_000)
    }

    @Test(
        "Numbers read the same everywhere",
        arguments: [
            (1.005.fixed(1), "1.0"), ((-0.25).fixed(2), "-0.25"), ((-0.001).fixed(1), "0.0"), (12.0.fixed(0), "12"),
            (0.05.fixed(3), "0.050"), (0.0712.percent, "7.1 %"), (0.000123.dollars, "0.000123 USD"),
            (1_234.5.dollars, "1235 USD"), (Double.nan.fixed(2), "nan"),
        ] as [(String, String)])
    func numbers(text: String, expected: String) { #expect(text == expected) }
}

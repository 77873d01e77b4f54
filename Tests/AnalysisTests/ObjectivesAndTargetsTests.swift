import Analysis
import Core
import Statistics
import StreamProcessing
import Telemetry
import Testing

/// What a route's objectives allow, what its models are beside each other, and what the service itself takes.
struct ObjectivesAndTargetsTests {
    private func burns(_ said: [Observation]) -> [String: Observation] {
        let codes = ["performance.error_budget_burn", "performance.latency_slo", "performance.ttft_slo"]
        return Dictionary(uniqueKeysWithValues: said.filter { codes.contains($0.code) }.map { ($0.code, $0) })
    }

    @Test("A budget burnt 20 times too fast is critical within minutes of the hour that shows it, and over soon after")
    func fastBurn() throws {
        var run = PerformanceRun(seed: 1)
        run.pass(60, .steady())
        run.pass(45, .steady { $0.failureShare = 0.2 })
        let said = try #require(burns(run.pass(1, .steady { $0.failureShare = 0.2 })).values.first)
        #expect(said.code == "performance.error_budget_burn" && said.severity == .critical && said.subject == .route)
        #expect(said.magnitude.lower > 14.4 && said.magnitude.upper < 18 && said.confidence > 0.99)
        // The last five minutes are clean, then the last half hour; the budget of three days is still overdrawn.
        #expect(burns(run.pass(6, .steady())).values.compactMap { $0.evidence["burn_rate_limit"] } == [6])
        #expect(burns(run.pass(30, .steady())).values.compactMap { $0.evidence["burn_rate_limit"] } == [1])
    }

    @Test("A small excess takes days of budget and is a warning; the allowance itself is none")
    func slowBurn() {
        var run = PerformanceRun(seed: 2)
        #expect(burns(run.pass(3 * 1_440, .steady { $0.requestsPerSecond = 1 })).isEmpty)
        let said = burns(
            run.pass(
                1_440,
                .steady {
                    $0.failureShare = 0.02
                    $0.requestsPerSecond = 1
                }))
        #expect(said.values.map(\.severity) == [.warning])
    }

    @Test("Answers slower than the objective burn what its p95 allows")
    func slow() {
        var run = PerformanceRun(seed: 3)
        #expect(burns(run.pass(120, .steady())).isEmpty)
        let said = burns(run.pass(60, .steady { $0.medianMs = 8_000 }))
        #expect(said.keys.sorted() == ["performance.latency_slo", "performance.ttft_slo"])
        #expect(said.values.allSatisfy { $0.severity == .critical && $0.objective == .latency })
        // Without an objective there is nothing to say.
        run.context.objective = RouteContext.Limits()
        #expect(burns(run.pass(60, .steady { $0.medianMs = 8_000 })).isEmpty)
    }

    @Test("What providers and our own limits turn away is told apart")
    func saturation() throws {
        var run = PerformanceRun(seed: 4)
        run.pass(10, .steady())
        let busy = SimulatedTraffic.steady {
            $0.failureShare = 0.1
            $0.error = .rateLimited
        }
        let provider = run.pass(3, busy).filter { $0.code == "performance.saturation" }
        #expect(provider.map(\.subject) == [.model("sim/a")])
        #expect(try #require(provider.first?.evidence["errors_rate_limited"]) > 20)
        var own = PerformanceRun(seed: 5), said: [Observation] = []
        for _ in 0..<3 {
            var minute = SimulatedTraffic.steady().minute(own.now, using: &own.random)
            var refused = ModelMinute("")
            refused.users.requests = 50
            refused.users.errors = [.localLimit: 50]
            minute.models.insert(refused, at: 0)
            said = own.analyzer.observe(minute, own.context)
            own.now += 1
        }
        #expect(said.map(\.code) == ["performance.saturation"] && said.map(\.subject) == [.route])
    }

    @Test("Our own share of the latency is told above its limit only")
    func overhead() throws {
        var run = PerformanceRun(seed: 6)
        #expect(run.pass(60, .steady { $0.overheadMs = 4.5 }).isEmpty)
        let said = try #require(run.pass(5, .steady { $0.overheadMs = 8 }).first)
        #expect(said.code == "performance.overhead" && said.magnitude.lower < 8 && said.magnitude.upper > 8)
        #expect(try #require(said.evidence["overhead_share"]) < 0.02)
    }

    /// One hour's windows of `sizes`, with the ratio of the slower model's times by size.
    private func hour(_ number: Int64, ratios: [String: Double], using random: inout SplitMix64) -> RouteMinute {
        let end = number * 3_600_000
        var minute = RouteMinute(Window(start: end - 60_000, end: end))
        // All share the hour's weather.
        let weather = 1 + 0.2 * random.normal()
        for (size, ratio) in ratios.sorted(by: { $0.key < $1.key }) {
            for (model, factor) in [("sim/fast", 1.0), ("sim/slow", ratio)] {
                var traffic = SimulatedTraffic.steady { $0.requestsPerSecond = 1 }
                traffic.medianMs = (size == "under_1k" ? 400 : 4_000) * factor * max(0.5, weather)
                guard let users = traffic.modelMinute(0, using: &random)?.users else { continue }
                minute.results.append(
                    MergedWindow(
                        window: Window(start: end - 3_600_000, end: end),
                        key: WindowKey(
                            window: "sizes", route: "chat", modelKey: model, arm: .stable, policy: 0, others: [size]),
                        aggregate: users, feedback: [:]))
            }
        }
        return minute
    }

    @Test("A model that is slower than another at every size of prompt is named, and only then")
    func targets() throws {
        func compare(_ ratios: [String: Double], seed: UInt64) -> [Observation] {
            var run = PerformanceRun(seed: seed), said: [Observation] = []
            for number in 1...72 {
                said = run.analyzer.observe(hour(Int64(number), ratios: ratios, using: &run.random), run.context)
            }
            return said
        }
        let said = compare(["under_1k": 1.8, "4k_16k": 2.2], seed: 7)
        #expect(said.map(\.code) == ["performance.slower_target"] && said.map(\.subject) == [.model("sim/slow")])
        let slower = try #require(said.first)
        #expect(
            slower.severity == .info && slower.magnitude.lower > 1.25 && (1.8...2.2).contains(slower.magnitude.estimate)
        )
        print("performance: \(slower.statement)")
        for seed in 8...12 as ClosedRange<UInt64> {
            #expect(compare(["under_1k": 1.1, "4k_16k": 1.1], seed: seed).isEmpty)
            #expect(compare(["under_1k": 2.5, "4k_16k": 0.7], seed: seed).isEmpty)
        }
    }
}

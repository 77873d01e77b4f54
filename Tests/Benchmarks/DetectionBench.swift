import Policy
import RolloutComparison

/// How soon a harm is found: canary requests until rollback, one guardrail with all of alpha beside all ten.
enum DetectionBench: Benchmark {
    static let name = "rollouts-detection"

    /// A harm, what finds it, and canary requests until then as published with the method: median and 95th percentile.
    private struct Case {
        let name: String
        let guardrail: Guardrail
        let effect: CandidateEffect
        let goal: (median: Double, p95: Double?)
    }

    private static let cases = [
        Case(name: "total_failure", guardrail: .errors, effect: .init(failsAlways: true), goal: (4, 5)),
        Case(name: "errors_1_to_5", guardrail: .errors, effect: .init(errors: 5), goal: (154, 390)),
        Case(name: "errors_1_to_2", guardrail: .errors, effect: .init(errors: 2), goal: (1_500, 4_100)),
        Case(name: "latency_20", guardrail: .slowMedian, effect: .init(latency: 1.2), goal: (784, 2_040)),
        Case(name: "cost_20", guardrail: .cost, effect: .init(cost: 1.2), goal: (1_050, nil)),
    ]

    static func run() async throws -> [Figure] {
        var figures: [Figure] = []
        print("| harm | guardrails | median / p95 canary requests | published | missed | extra failures, median |")
        print("|---|---|---|---|---|---|")
        for one in cases {
            var traffic = RolloutScenario.usual
            traffic.effect = one.effect
            let scenario = RolloutScenario(one.name, traffic)
            let study = RolloutStudy([.ours(only: one.guardrail), .ours], runs: RolloutBench.runs(10_000))
            for (index, result) in await study.run(scenario).enumerated() {
                let median = result.canaryRequests(quantile: 0.5) ?? .infinity
                let late = result.canaryRequests(quantile: 0.95) ?? .infinity
                let extra = result.extraFailures(quantile: 0.5) ?? .nan
                let goal = "\(Int(one.goal.median)) / \(one.goal.p95.map { "\(Int($0))" } ?? "–")"
                print(
                    "| \(one.name) | \(index == 0 ? one.guardrail.rawValue : "all ten") | \(median) / \(late) | \(goal) "
                        + "| \(StudyTable.share(result.wrong)) | \(extra) |")
                let name = "rollout.detect.\(one.name).\(index == 0 ? "one" : "ten")"
                figures.append(Figure(name: name, value: median, unit: "canary requests, median (published \(goal))"))
                figures.append(Figure(name: name + ".p95", value: late, unit: "canary requests, 95th percentile"))
                if one.name == "errors_1_to_5" {
                    figures.append(Figure(name: name + ".extra_failures", value: extra, unit: "requests, median"))
                }
            }
        }
        return figures
    }
}

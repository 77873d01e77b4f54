import Core
import Foundation
import Policy
import RolloutComparison
import Rollouts
import Simulation
import Statistics

/// How often a change that is worse by twice its margin is promoted nevertheless: never, and what happens to it instead.
enum PromotionBench: Benchmark {
    static let name = "rollouts-promotions"
    /// Of both arms, after which a rollout that is not over counts as held.
    private static let requests = 100_000

    private struct Case: Sendable {
        let name: String
        /// Points of failure rate and of quality by which the candidate is worse.
        var failures = 0.0
        var quality = 0.0
        /// Factor on its price.
        var price = 1.0
        var goal = RolloutPlan.Goal.neutral
    }

    private static let margins = RolloutPlan.Margins()
    private static let cases = [
        Case(name: "failures", failures: 2 * margins.failureRate),
        Case(name: "quality", quality: 2 * margins.quality),
        Case(name: "failures_for_half_the_price", failures: 2 * margins.failureRate, price: 0.5, goal: .cheaper),
        Case(name: "quality_for_half_the_price", quality: 2 * margins.quality, price: 0.5, goal: .cheaper),
    ]

    static func run() async throws -> [Figure] {
        var figures: [Figure] = []
        let runs = RolloutBench.runs(1_000)
        print("| worse by twice its margin | ended as, of \(runs) | candidate requests, median | promoted |")
        print("|---|---|---|---|")
        for one in cases {
            let results = try await study(one, runs: runs)
            let ends = Dictionary(grouping: results, by: { $0.phase.isActive ? "held" : $0.phase.name })
                .mapValues(\.count)
            let words = ends.sorted { $0.value > $1.value }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
            let spent = quantile(0.5, ofSorted: results.map { Double($0.candidateRequests) }.sorted()) ?? .nan
            let promoted = Proportion(events: Int64(ends["promoted"] ?? 0), trials: Int64(runs))
            print("| \(one.name) | \(words) | \(Int(spent)) | \(StudyTable.share(promoted)) |")
            figures.append(
                Figure(
                    name: "rollout.false_promotions.\(one.name)", value: Double(promoted.events),
                    unit: "of \(runs) rollouts (goal 0 of 1,000)"))
        }
        return figures
    }

    /// The default plan but for its times, over all cores; the same whatever their number.
    private static func study(_ one: Case, runs: Int) async throws -> [RolloutTrial.Result] {
        let trial = try trial(one)
        let lanes = max(1, ProcessInfo.processInfo.activeProcessorCount)
        return try await withThrowingTaskGroup(of: [RolloutTrial.Result].self) { group in
            for lane in 0..<lanes {
                group.addTask {
                    try stride(from: lane, to: runs, by: lanes).map {
                        try trial.run(limit: requests, seed: UInt64($0) + 1)
                    }
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
    }

    private static func trial(_ one: Case) throws -> RolloutTrial {
        guard let name = RouteName("promotions") else {
            throw TrimtabError("bench.name", "'promotions' is no route name.", remedy: "Rename it.")
        }
        func model(_ name: String, failures: Double, quality: Double, price: Double) -> SimulatedModel {
            SimulatedModel(
                provider: "sim", name: name, price: ListPrice(input: price, output: 2 * price).tokenPrice,
                quality: .init(mean: quality), latency: .init(medianMs: 1_000, sigma: 0.8), errorRate: failures)
        }
        var trial = RolloutTrial(
            route: Route(name: name), control: model("stable", failures: 0.01, quality: 0.7, price: 1),
            candidate: model(
                "candidate", failures: 0.01 + one.failures, quality: 0.7 - one.quality, price: one.price))
        trial.feedbackShare = 0.2
        (trial.plan.goal, trial.plan.deadlineMs) = (one.goal, .max)
        (trial.plan.minStepMs, trial.plan.watchMs, trial.plan.objectiveCycleMs) = (0, 0, 0)
        return trial
    }
}

import RolloutComparison
import Statistics

/// The rules of other products and ours on the same traffic: how often each is wrong, and how soon it stops a harm.
enum RivalsBench: Benchmark {
    static let name = "rollouts-rivals"

    /// Runs of each scenario, unless `TRIMTAB_BENCH_RUNS` says otherwise.
    private static let usualRuns = 200

    static func run() async throws -> [Figure] {
        let study = RolloutStudy([.ours] + RolloutStudy.Entry.rivals, runs: RolloutBench.runs(usualRuns))
        var results: [StudyResult] = []
        for scenario in RolloutScenario.harmless + RolloutScenario.harmful { results += await study.run(scenario) }
        print(StudyTable(results).markdown)
        return study.entries.enumerated().flatMap { index, entry in
            [false, true].map { isHarmful in
                let mine = results.filter { $0.rule == entry.name && $0.isHarmful == isHarmful }
                let mean = mine.reduce(0) { $0 + ($1.wrong.rate ?? 0) } / Double(max(1, mine.count))
                return Figure(
                    name: "rollouts.rule_\(index + 1).\(isHarmful ? "miss" : "false_rollback")", value: mean,
                    unit: "share of runs (\(entry.name))")
            }
        }
    }
}

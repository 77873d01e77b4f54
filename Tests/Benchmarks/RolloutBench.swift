import Core
import Foundation
import Policy
import RolloutComparison
import Rollouts
import Simulation
import Statistics

/// How often a harmless change is rolled back, and after how many answers a real regression is stopped.
enum RolloutBench: Benchmark {
    static let name = "rollouts"
    private static let requests = 100_000

    static func run() async throws -> [Figure] {
        var figures = await harmless()
        figures.append(update())
        guard let folder = RecordedData.folder else {
            print("recorded cases skipped: no recorded data (set TRIMTAB_TEST_DATA)")
            return figures
        }
        figures.append(try badUpgrade(folder))
        figures.append(try noChange(folder))
        return figures
    }

    /// How many runs a study makes: `usual`, unless `TRIMTAB_BENCH_RUNS` says otherwise.
    static func runs(_ usual: Int) -> Int {
        max(1, ProcessInfo.processInfo.environment["TRIMTAB_BENCH_RUNS"].flatMap(Int.init) ?? usual)
    }

    /// Nothing is worse, and every one of 100,000 requests is a look with ten guardrails: along a ramp from 1 to 50 %,
    /// while everything drifts up by 30 %, with users that keep their arm and differ from each other, or without.
    private static func harmless() async -> [Figure] {
        let study = RolloutStudy([.ours], runs: runs(2_000))
        var figures: [Figure] = []
        for keys in [nil, 200, 2_000, 20_000] {
            var traffic = RolloutScenario.usual
            traffic.drift = 0.3
            traffic.steps = [0.01, 0.05, 0.1, 0.25, 0.5].map { .init(share: $0, requests: requests / 5) }
            traffic.sticky = keys.map { RolloutTraffic.Sticky(keys: $0) }
            let name = keys.map { "\($0)_keys" } ?? "by_request"
            for result in await study.run(RolloutScenario("A/A, \(name)", traffic)) {
                print(
                    "A/A, ramp and drift, \(name): rolled back \(StudyTable.share(result.wrong)) of \(result.tally.runs)"
                )
                figures.append(
                    Figure(name: "rollout.aa.\(name)", value: result.wrong.rate ?? .nan, unit: "share rolled back"))
                figures.append(
                    Figure(
                        name: "rollout.aa.\(name).upper", value: result.wrong.clopperPearson().upperBound,
                        unit: "share, upper end of the 95 % interval"))
            }
        }
        return figures
    }

    /// One request's outcome into all evidence, and one look at all of it.
    private static func update() -> Figure {
        var traffic = RolloutScenario.usual
        traffic.sticky = .init(keys: 20_000)
        var source = RolloutTraffic(traffic, seed: 1)
        var rule = EvidenceRule(isSticky: true)
        rule.prepare(history: source.history(10_000))
        var trials: [RolloutTraffic.Trial] = []
        while let trial = source.next() { trials.append(trial) }
        let start = CPUClock.now()
        for trial in trials { _ = rule.observe(trial) }
        let each = (CPUClock.now() - start) / Double(trials.count)
        return Figure(name: "rollout.update_and_look", value: each * 1e6, unit: "µs of CPU a request (goal ≤ 2)")
    }

    /// gpt-4o from May to August 2024 in prompt mode: 0.786 to 0.264. One guardrail, 5 % of the traffic.
    private static func badUpgrade(_ folder: String) throws -> Figure {
        let trial = try recorded(
            "bfcl_2024_08", "gpt-4o-2024-05-13", "gpt-4o-2024-08-06", folder: folder, steps: [0.05, 1])
        var answers: [Int] = []
        for seed in 1...50 as ClosedRange<UInt64> {
            let result = try trial.run(limit: requests, seed: seed)
            guard case .ended(.guardrail) = result.phase else {
                print("seed \(seed) ended as \(result.phase.name)")
                continue
            }
            answers.append(result.candidateAnswers)
        }
        answers.sort()
        print("bad upgrade: \(answers.count) of 50 stopped, answers until then \(answers)")
        let median = answers.count == 50 ? Double(answers[24] + answers[25]) / 2 : .infinity
        return Figure(name: "rollout.bad_upgrade.median_requests", value: median, unit: "answers")
    }

    /// Pairs that published results call equal; judged on quality, since hosts differ in price and speed.
    private static func noChange(_ folder: String) throws -> Figure {
        let pairs = [
            ("bfcl_2024_08", "gemini-1.5-pro-preview-0409", "gemini-1.5-pro-preview-0514"),
            ("bfcl_2024_08", "meetkai_functionary-small-v3.1-FC", "meetkai_functionary-small-v3.2-FC"),
            ("zeroeval_crux", "Llama-3.1-405B-Inst@sambanova", "Meta-Llama-3.1-405B-Instruct@hyperbolic"),
        ]
        var alarms = 0
        for (set, old, new) in pairs {
            let trial = try recorded(set, old, new, folder: folder, steps: [0.05, 0.1, 0.25, 0.5, 1])
            // As many canary answers as the pair has prompts: more would only repeat them.
            let prompts = if case .recorded(let ids) = trial.prompts { ids.count } else { 0 }
            let ended = try (1...20).filter { try !trial.run(limit: 4 * prompts, seed: $0).phase.isActive }.count
            print("no change, \(old) → \(new): \(ended) of 20 rolled back")
            alarms += ended
        }
        return Figure(name: "rollout.no_change.false_alarms", value: Double(alarms), unit: "rollouts")
    }

    private static func recorded(
        _ set: String, _ old: String, _ new: String, folder: String, steps: [Double]
    ) throws -> RolloutTrial {
        let data = try RecordedData.load(set, in: folder)
        let models = try data.outcomes.simulatedModels([old, new], prices: data.prices)
        guard let name = RouteName(set) else {
            throw TrimtabError("bench.name", "\(set) is no route name.", remedy: "Rename the file.")
        }
        var route = Route(name: name)
        route.guardrails = .init(only: [.badAnswers: 1])
        var trial = RolloutTrial(
            route: route, control: models[0], candidate: models[1], outcomes: data.outcomes,
            prompts: .recorded(data.outcomes.prompts(answeredBy: [old, new])))
        trial.plan.steps = steps
        trial.plan.minStepMs = 0
        trial.plan.objectiveCycleMs = .max
        return trial
    }
}

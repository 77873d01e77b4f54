import Core
import Policy
import Rollouts
import Simulation

/// How often a harmless change is rolled back, and after how many answers a real regression is stopped.
enum RolloutBench: Benchmark {
    static let name = "rollouts"
    private static let harmlessRuns: UInt64 = 200
    private static let requests = 100_000

    static func run() async throws -> [Figure] {
        var figures = [try harmless()]
        guard let folder = RecordedData.folder else {
            print("recorded cases skipped: no recorded data (set TRIMTAB_TEST_DATA)")
            return figures
        }
        figures.append(try badUpgrade(folder))
        figures.append(try noChange(folder))
        return figures
    }

    /// The same model on both sides, every guardrail on, held at its last step until the requests are used up. The very
    /// same: two models with equal settings answer a finite set of prompts differently, and 100,000 requests show it.
    private static func harmless() throws -> Figure {
        guard let model = ModelCatalog.builtIn.first, let name = RouteName("aa") else {
            return .init(name: "", value: 0, unit: "")
        }
        var trial = RolloutTrial(route: Route(name: name), control: model, candidate: model)
        trial.plan.minStepMs = 0
        trial.plan.objectiveCycleMs = .max
        var ended = 0
        for seed in 1...harmlessRuns {
            let result = try trial.run(limit: requests, seed: seed)
            guard !result.phase.isActive else { continue }
            ended += 1
            print("A/A seed \(seed): \(result.phase) after \(result.requests) requests")
        }
        let rate = Double(ended) / Double(harmlessRuns)
        print(
            "A/A: \(ended) of \(harmlessRuns) runs of \(requests) requests rolled back; bound alpha \(trial.route.guardrails.alpha)"
        )
        return Figure(name: "rollout.aa.false_rate", value: rate, unit: "share")
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

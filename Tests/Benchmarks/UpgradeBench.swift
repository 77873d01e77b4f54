import Core
import Policy
import Rollouts
import Simulation
import Statistics

/// Sixteen real model upgrades, replayed from recorded outcomes: what a rollout with every guardrail makes of each.
enum UpgradeBench: Benchmark {
    static let name = "rollouts-upgrades"
    private static let seeds = 1...50 as ClosedRange<UInt64>
    private static let requests = 40_000

    /// What is right.
    private enum Verdict: String {
        /// Rolled back.
        case stop
        /// Promoted.
        case take
        /// Better in one thing and worse in another: held, or stopped by what is worse, and never taken for a gain alone.
        case trade
        /// Not rolled back.
        case leave = "no alarm"
    }

    private struct Case {
        let set, old, new: String
        let goal: RolloutPlan.Goal
        let right: Verdict
    }

    private static let cases: [Case] = [
        .init(set: bfcl, old: "gpt-4o-2024-05-13", new: "gpt-4o-2024-08-06", goal: .cheaper, right: .stop),
        .init(set: bfcl, old: "mistral-medium-2312", new: "mistral-large-2407", goal: .cheaper, right: .stop),
        .init(set: bfcl, old: "gpt-4o-2024-05-13-FC", new: "gpt-4o-2024-08-06-FC", goal: .cheaper, right: .take),
        .init(
            set: bfcl, old: "claude-3-sonnet-20240229", new: "claude-3-5-sonnet-20240620", goal: .better, right: .take),
        .init(
            set: bfcl, old: "claude-3-opus-20240229", new: "claude-3-5-sonnet-20240620", goal: .cheaper, right: .take),
        .init(set: bfcl, old: "gpt-4-turbo-2024-04-09", new: "gpt-4o-mini-2024-07-18", goal: .cheaper, right: .take),
        .init(set: bfcl, old: "gpt-4-0613", new: "gpt-4-turbo-2024-04-09", goal: .cheaper, right: .trade),
        .init(set: bfcl, old: "claude-2.1", new: "claude-3-haiku-20240307", goal: .cheaper, right: .trade),
        .init(set: bfcl, old: "gpt-3.5-turbo-0125-FC", new: "gpt-4o-mini-2024-07-18-FC", goal: .cheaper, right: .trade),
        .init(
            set: bfcl, old: "gemini-1.5-pro-preview-0409", new: "gemini-1.5-pro-preview-0514", goal: .neutral,
            right: .leave),
        .init(
            set: bfcl, old: "meetkai_functionary-small-v3.1-FC", new: "meetkai_functionary-small-v3.2-FC",
            goal: .neutral, right: .leave),
        .init(
            set: crux, old: "claude-3-5-sonnet-20240620", new: "claude-3-5-sonnet-20241022", goal: .better, right: .take
        ),
        .init(set: crux, old: "gemini-1.5-pro", new: "gemini-1.5-pro-exp-0827", goal: .better, right: .trade),
        .init(
            set: crux, old: "Llama-3.1-405B-Inst@sambanova", new: "Meta-Llama-3.1-405B-Instruct@hyperbolic",
            goal: .better, right: .leave),
        .init(
            set: crux, old: "claude-3-haiku-20240307", new: "claude-3-5-haiku-20241022", goal: .better, right: .trade),
        .init(set: "zeroeval_gsm", old: "gpt-4o-2024-05-13", new: "gpt-4o-2024-08-06", goal: .cheaper, right: .take),
    ]
    private static let bfcl = "bfcl_2024_08", crux = "zeroeval_crux"

    static func run() async throws -> [Figure] {
        guard let folder = RecordedData.folder else {
            print("recorded upgrades skipped: no recorded data (set TRIMTAB_TEST_DATA)")
            return []
        }
        print("| set | old | new | right | ended as, of 50 | candidate requests, median | right verdicts |")
        print("|---|---|---|---|---|---|---|")
        var right = 0
        for one in cases { right += try replay(one, folder) }
        let runs = cases.count * seeds.count
        return [
            Figure(
                name: "rollout.upgrades.right", value: Double(right) / Double(runs), unit: "share of \(runs) rollouts")
        ]
    }

    private static func replay(_ one: Case, _ folder: String) throws -> Int {
        let data = try RecordedData.load(one.set, in: folder)
        let models = try data.outcomes.simulatedModels([one.old, one.new], prices: data.prices)
        guard let name = RouteName(one.set) else { return 0 }
        var route = Route(name: name)
        route.objective.quality.tolerance = 0.02
        // Answers within five seconds are in time: what a chat would say.
        route.objective.latency.p95Ms = 5_000
        // What was not recorded cannot be judged: no set has times to the first token, and two have no times at all.
        route.guardrails[.slowFirstToken] = 0
        if one.set != bfcl { (route.guardrails[.slow], route.guardrails[.slowMedian]) = (0, 0) }
        let prompts = data.outcomes.prompts(answeredBy: [one.old, one.new])
        var trial = RolloutTrial(
            route: route, control: models[0], candidate: models[1], outcomes: data.outcomes, prompts: .recorded(prompts)
        )
        (trial.plan.minStepMs, trial.plan.watchMs, trial.plan.objectiveCycleMs) = (0, 0, 0)
        (trial.plan.goal, trial.plan.deadlineMs) = (one.goal, .max)
        // Where any alarm is false, a candidate answers about as many requests as there are prompts: more would judge these
        // very prompts again.
        if one.right == .leave { trial.plan.steps = [0.25, 0.5, 1] }
        let limit = one.right == .leave ? 4 * prompts.count : requests
        var ends: [String: Int] = [:], spent: [Double] = [], right = 0
        for seed in seeds {
            let result = try trial.run(limit: limit, seed: seed)
            ends[Self.word(result), default: 0] += 1
            spent.append(Double(result.candidateRequests))
            right += isRight(result, one) ? 1 : 0
        }
        let words = ends.sorted { $0.value > $1.value }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
        let median = quantile(0.5, ofSorted: spent.sorted()) ?? .nan
        print(
            "| \(one.set) | \(one.old) | \(one.new) | \(one.right.rawValue) | \(words) | \(Int(median)) "
                + "| \(right) of \(seeds.count) |")
        return right
    }

    private static func word(_ result: RolloutTrial.Result) -> String {
        guard case .ended(let reason) = result.phase else {
            return result.phase.isActive ? "held" : result.phase.name
        }
        return reason.detail
    }

    private static func isRight(_ result: RolloutTrial.Result, _ one: Case) -> Bool {
        switch one.right {
        case .stop: result.phase.name == "rolled_back"
        case .take: result.phase == .promoted
        case .leave: result.phase.name != "rolled_back"
        case .trade: result.phase != .promoted || isWithinTolerance(result.rollout)
        }
    }

    /// A loss that the route allows, shown beside the gain.
    private static func isWithinTolerance(_ rollout: Rollout) -> Bool {
        guard let quality = rollout.evidence.quality.difference?.estimate,
            let cost = rollout.evidence.cost.difference?.estimate
        else { return false }
        return quality < 0 && quality > -rollout.plan.margins.quality && cost < 0
    }
}

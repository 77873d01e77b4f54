import ControlLoop
import Core
import Policy
import Rollouts
import Simulation
import Statistics

/// The closed loop on recorded outcomes and recorded arrivals, on the virtual clock: where does it end, at what cost
/// and quality beside the single models?
enum LoopBench: Benchmark {
    static let name = "loop"

    private struct Case {
        var set: String
        /// The first is where the route starts.
        var models: [String]
        var tolerance = Objective.Quality.defaultTolerance
        var label: String { tolerance == Objective.Quality.defaultTolerance ? set : "\(set)_\(Int(tolerance * 100))" }
    }

    private static let cases = [
        Case(set: "routerarena_2", models: ["claude-3-haiku-20240307", "gemini-2.0-flash-001"]),
        Case(set: "zeroeval_gsm", models: ["gpt-4o-2024-08-06", "gpt-4o-mini-2024-07-18"]),
        Case(set: "zeroeval_gsm", models: ["gpt-4o-2024-08-06", "gpt-4o-mini-2024-07-18"], tolerance: 0.05),
        Case(set: "bfcl_2024_08", models: ["gpt-4-turbo-2024-04-09", "gpt-4o-mini-2024-07-18"]),
        Case(set: "routellm_mmlu", models: ["gpt-4-1106-preview", "mistralai/Mixtral-8x7B-Instruct-v0.1"]),
    ]
    private static let learningMs: Int64 = 24 * 3_600_000
    private static let measuredMs: Int64 = 2 * 3_600_000

    static func run() async throws -> [Figure] {
        guard let folder = RecordedData.folder else {
            print("skipped: no recorded data (set TRIMTAB_TEST_DATA)")
            return []
        }
        let arrivals = try Arrivals.load(path: "\(folder)/workload/azure2023_conv.csv", repeats: true)
        var figures: [Figure] = []
        for one in cases { figures += try await run(one, arrivals, folder) }
        return figures
    }

    private static func run(_ one: Case, _ arrivals: Arrivals, _ folder: String) async throws -> [Figure] {
        let data = try RecordedData.load(one.set, in: folder)
        var control = ControlSettings(engine: "bench")
        // The recorded hour has no daily cycle to wait for.
        control.plan.objectiveCycleMs = 0
        let settings = try VirtualSettings.recorded(
            data.outcomes, models: one.models, prices: data.prices, arrivals: arrivals, tolerance: one.tolerance,
            control: control, seed: 1)
        var world = try await VirtualWorld(settings)
        let began = ContinuousClock.now
        _ = try await world.run(milliseconds: learningMs)
        let end = try await world.run(milliseconds: measuredMs)
        let seconds = (ContinuousClock.now - began) / .seconds(1)
        let state = await world.store.state(of: settings.route.name)
        let model = state?.stable?.targets.first?.model ?? "?"
        print(
            "\(one.label): ends on \(model), \(data.outcomes.hasLatency ? "recorded" : "modelled") latency, ",
            terminator: "")
        print("\(Int(Double(learningMs + measuredMs) / 1000 / seconds)) times real time")
        for name in one.models { print("  \(name) alone: \(alone(name, data, one.models))") }
        for rollout in await world.store.rollouts(PageQuery()) {
            print("  rollout of policy \(rollout.candidate): \(rollout.phase.name)")
        }
        return [
            Figure(name: "loop.\(one.label).cost", value: end.total.costPer1000 ?? .nan, unit: "USD/1000"),
            Figure(name: "loop.\(one.label).quality", value: end.total.quality.mean ?? .nan, unit: "score"),
        ]
    }

    /// What a route on this model alone would cost and be worth, on the same prompts.
    private static func alone(_ name: String, _ data: RecordedData.Loaded, _ models: [String]) -> String {
        var served = ServedStatistics()
        for prompt in data.outcomes.prompts(answeredBy: models) {
            guard let cell = data.outcomes.cell(prompt: prompt, model: name) else { continue }
            served.quality.add(cell.quality)
            if let price = data.prices[name], let input = cell.promptTokens, let output = cell.outputTokens {
                served.cost.add(Double(price.cost(input: input, output: output).value))
            }
        }
        let quality = (served.quality.mean ?? .nan) * 1_000
        let cost = (served.costPer1000 ?? .nan) * 1_000
        return "quality \(quality.rounded() / 1_000), \(cost.rounded() / 1_000) USD/1000"
    }
}

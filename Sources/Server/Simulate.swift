import ControlLoop
import Core
import Decisions
import Foundation
import Policy
import Rollouts
import ServiceLifecycle
package import Simulation
import Statistics
import UnixSignals

/// What `trimtab simulate` runs.
package enum Simulate {
    /// Files of recorded data, in the layouts of docs/simulation.md.
    package struct Recorded: Sendable {
        package var arrivals: String?
        package var outcomes: String?
        package var prices: String?
        /// Models of the outcome set; a route starts on the first.
        package var models: [String]

        package init(arrivals: String?, outcomes: String?, prices: String?, models: [String]) {
            self.arrivals = arrivals
            self.outcomes = outcomes
            self.prices = prices
            self.models = models
        }

        fileprivate func simulator(seed: UInt64) throws -> (Simulator, OutcomeSet)? {
            guard let outcomes else { return nil }
            let set = try OutcomeSet(path: outcomes)
            let prices = try prices.map { try OutcomeSet.prices(path: $0, set: set.name) } ?? [:]
            return (Simulator(models: try set.simulatedModels(models, prices: prices), outcomes: set, seed: seed), set)
        }
    }

    /// Serves the simulated providers until cancelled.
    package static func fleet(
        scenario name: String, recorded: Recorded, port: Int, speed: Double, say: (String) -> Void
    ) async throws {
        let scenario = try Scenarios.load(name)
        let simulator =
            try recorded.simulator(seed: scenario.seed)?.0 ?? Simulator(models: scenario.allModels, seed: scenario.seed)
        let fleet = try await ProviderFleet.start(simulator: SharedSimulator(simulator), port: port, speed: speed)
        for provider in fleet.providers { say("\(provider)  \(fleet.baseURL(of: provider))") }
        try await Task.sleep(for: .seconds(Int64.max / 2_000_000_000))
    }

    /// Replays traffic against a gateway and says how it went.
    package static func replay(
        scenario name: String, recorded: Recorded, options: ReplayOptions, seconds: Double?,
        say: @escaping @Sendable (String) -> Void
    ) async throws {
        let scenario = try Scenarios.load(name)
        let data = try recorded.simulator(seed: scenario.seed)
        let simulator = SharedSimulator(data?.0 ?? Simulator(models: scenario.allModels, seed: scenario.seed))
        let workload = Workload(
            arrivals: try recorded.arrivals.map { try Arrivals.load(path: $0) },
            prompts: data.map { .recorded($0.1.prompts(answeredBy: recorded.models)) }, shape: scenario.traffic,
            seed: options.seed)
        let client = try await ReplayClient(options, workload: workload, simulator: simulator)
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
        let interruption = Task {
            for await _ in signals {
                client.stop()
                break
            }
            // A second one ends the process without waiting for open requests.
            signal(SIGINT, SIG_DFL)
            signal(SIGTERM, SIG_DFL)
        }
        let timer = Task {
            guard let seconds else { return }
            try await Task.sleep(for: .seconds(seconds))
            client.stop()
        }
        let result = try await client.run()
        timer.cancel()
        interruption.cancel()
        say("sent \(result.sent), completed \(result.completed), failed \(result.failed), dropped \(result.dropped)")
        if let cost = result.costPer1000 { say("cost per 1,000 requests: $\(StatusLines.number(cost, 3))") }
        if let p95 = result.p95Ms { say("p95 latency: \(Int(p95)) ms") }
        if let quality = result.quality.mean {
            say("mean quality of judged answers: \(StatusLines.number(quality, 3))")
        }
        for (reason, count) in result.failures.sorted(by: { ($1.value, $0.key) < ($0.value, $1.key) }) {
            say("failed with \(reason): \(count)")
        }
        guard result.completed == 0, result.sent + result.dropped > 0 else { return }
        throw TrimtabError(
            "simulation.unavailable", "No request was answered well.",
            remedy: "See that the gateway runs, the key is valid and the route exists.")
    }

    /// Runs the same loop on the virtual clock, from one seed.
    package static func virtual(
        scenario name: String, recorded: Recorded, hours: Double, seed: UInt64, source: SettingsSource,
        say: (String) -> Void
    ) async throws {
        let scenario = try Scenarios.load(name)
        let control = try Settings(source).control
        var settings: VirtualSettings
        if let (_, outcomes) = try recorded.simulator(seed: seed), let arrivals = recorded.arrivals {
            let prices = try recorded.prices.map { try OutcomeSet.prices(path: $0, set: outcomes.name) } ?? [:]
            settings = try VirtualSettings.recorded(
                outcomes, models: recorded.models, prices: prices,
                arrivals: Arrivals.load(path: arrivals, repeats: true),
                tolerance: scenario.route.objective.quality.tolerance ?? Objective.Quality.defaultTolerance,
                control: control.loop,
                seed: seed)
        } else {
            settings = VirtualSettings(scenario, control: control.loop)
            settings.decisionIntervalMs = control.decisionIntervalMs
            settings.seed = seed
        }
        let start = ContinuousClock.now
        var world = try await VirtualWorld(settings)
        let report = try await world.run(milliseconds: Int64(hours * 3_600_000))
        let real = (ContinuousClock.now - start) / .seconds(1)
        for (key, served) in report.served.sorted(by: { $0.key < $1.key }) {
            say("policy \(key.policy) \(key.arm) \(key.modelKey): \(line(served))")
        }
        for rollout in await world.store.rollouts(PageQuery(limit: 500)).reversed() {
            let detail = rollout.timeline.last?.detail ?? ""
            say("rollout of policy \(rollout.candidate): \(rollout.phase.name)\(detail.isEmpty ? "" : ", \(detail)")")
        }
        if let decision = await world.store.decisions(PageQuery(limit: 1)).first {
            say("last decision, \(decision.outcome.code): \(decision.outcome.rationale)")
        }
        let state = await world.store.state(of: settings.route.name)
        say(
            "ends on policy \(state?.pointer.stable ?? 0) (\(state?.stable?.targets.first?.modelKey ?? "?")); all: \(line(report.total))"
        )
        say("\(StatusLines.number(hours, 1)) virtual hours in \(StatusLines.number(real, 2)) s")
    }

    private static func line(_ served: ServedStatistics) -> String {
        let cost = served.costPer1000.map { "$\(StatusLines.number($0, 3)) per 1,000" } ?? "cost unknown"
        let quality = served.quality.mean.map { "quality \(StatusLines.number($0, 3))" } ?? "quality unknown"
        return "\(served.requests) requests, \(cost), \(quality), \(served.failures) failed"
    }
}

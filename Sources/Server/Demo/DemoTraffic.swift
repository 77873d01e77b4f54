import ControlAPI
import Gateway
import ControlLoop
import Core
import Foundation
import Policy
import Rollouts
import ServiceLifecycle
import Simulation
import StateStore

/// Replays the scenario against the gateway, says every few seconds how things stand, and once the loop has improved
/// the route, tries a bad upgrade on it, so that a rollback can be watched.
struct DemoTraffic: Service {
    let assembly: Assembly
    let scenario: Scenario
    let simulator: SharedSimulator
    let key: String
    let say: @Sendable (String) -> Void

    func run() async throws {
        try await cancelWhenGracefulShutdown {
            do { try await play() } catch is CancellationError {}
        }
    }

    private func play() async throws {
        let (gateway, api) = try await addresses()
        let tokenFile = "\(assembly.settings.dataFolder)/\(Seeding.tokenFile)"
        say("ready")
        say("  console   \(api)/   (token in \(tokenFile))")
        say(
            "  gateway   \(gateway)/v1   (model \"\(scenario.route.name)\", key in \(assembly.settings.dataFolder)/demo.key)"
        )
        say("  decisions \(api)/api/v1/decisions   metrics \(api)/metrics")
        say("  database  \(assembly.settings.state.url)   (for commands that take --config: state.postgres.url)")
        var generator = SystemRandomNumberGenerator()
        var options = ReplayOptions(gateway: gateway, key: key, route: scenario.route.name.description)
        options.seed = generator.next()
        let replay = try await ReplayClient(
            options, workload: Workload(shape: scenario.traffic, seed: generator.next()), simulator: simulator)
        let control = try ControlClient(url: api, token: try token(tokenFile))
        let runner = ScenarioRunner(
            scenario: scenario, simulator: simulator, replay: replay, control: control, say: say)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { _ = try await runner.run() }
            group.addTask { try await report(replay) }
            group.addTask { try await tryBadUpgrade(control) }
            group.addTask { await rehearse() }
            // The replay ends when it is told to; the report goes on until then.
            try await group.waitForAll()
        }
    }

    /// Once a decision's rollout has been promoted, what a hasty colleague might do.
    private func tryBadUpgrade(_ control: ControlClient) async throws {
        let model = assembly.settings.simulation.badUpgrade
        guard !model.isEmpty else { return }
        let route = scenario.route.name
        while true {
            try await Task.sleep(for: .seconds(Self.pauseBeforeUpgrade))
            guard let rollouts = try? await assembly.store.rollouts(PageQuery(route: route, limit: 20)) else {
                continue
            }
            if rollouts.contains(where: { $0.reason == Self.upgradeReason }) { return }
            guard rollouts.contains(where: { $0.decision != nil && $0.phase == .promoted }),
                !rollouts.contains(where: \.isActive)
            else { continue }
            say("Now somebody rolls out \(model): it looks like an upgrade, and it answers badly.")
            do {
                try await control.startRollout(
                    of: scenario.policy(model, reason: Self.upgradeReason), goal: .cheaper, reason: Self.upgradeReason)
                return
            } catch let error as TrimtabError { say(error.summary) }
        }
    }

    /// Before the loop may act by itself; the scenario knows what the traffic is going to be like.
    private func rehearse() async {
        do {
            let stable = try await assembly.store.state(of: scenario.route.name)?.stable?.targets.first?.modelKey
            let model = scenario.allModels.first { $0.key == stable ?? scenario.start }
            let report = try await assembly.rehearsals.rehearse(
                scenario.route.name, by: "demo", traffic: model.map { RehearsalTraffic($0, scenario.traffic) })
            let spent = report.scores.filter { $0.outcome == .caught }.map {
                "\($0.fault.rawValue) \($0.candidateRequests)"
            }
            say(
                "\(report.passed ? "✔" : "✖") Rehearsal: \(report.summary). Canary requests until rollback: "
                    + spent.joined(separator: ", ") + ".")
        } catch { say("✖ Rehearsal: \((error as? TrimtabError)?.summary ?? "\(error)")") }
    }

    private static let pauseBeforeUpgrade = 5.0
    private static let upgradeReason = "The vendor's new version promises the same for less."

    /// Waits until both ports are bound, the route is in the gateway's table and the token is there.
    private func addresses() async throws -> (gateway: String, api: String) {
        while true {
            if let gateway = assembly.ports.gateway, let api = assembly.ports.api,
                (assembly.gateway?.servedEpoch ?? -1) > 0,
                FileManager.default.fileExists(atPath: "\(assembly.settings.dataFolder)/\(Seeding.tokenFile)")
            {
                return (
                    "http://\(assembly.settings.gateway.host):\(gateway)", "http://\(assembly.settings.api.host):\(api)"
                )
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    private func token(_ file: String) throws -> String {
        guard let data = FileManager.default.contents(atPath: file) else {
            throw TrimtabError(
                "server.token", "There is no token in \(file).", remedy: "Create one with `trimtab tokens create`.")
        }
        return String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private func report(_ replay: ReplayClient) async throws {
        var lines = StatusLines(route: scenario.route.name, since: currentMilliseconds())
        while true {
            try await Task.sleep(for: .seconds(assembly.settings.simulation.statusSeconds))
            let recent = try await replay.recent()
            let state = try? await assembly.store.state(of: scenario.route.name)
            let rollouts = try? await assembly.store.rollouts(PageQuery(route: scenario.route.name, limit: 3))
            for line in lines.next(recent, state: state, rollouts: rollouts ?? []) { say(line) }
        }
    }
}

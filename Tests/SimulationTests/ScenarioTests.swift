import Core
import Foundation
import Policy
import Rollouts
import Simulation
import Synchronization
import Testing
import Yams

/// The scenarios of the repository can be read, and their events do what they say.
struct ScenarioTests {
    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("config/scenarios")

    @Test(arguments: ["savings", "bad-upgrade", "provider-outage", "price-drop", "dearer-is-worse"])
    func everyScenarioOfTheRepositoryIsValid(_ name: String) throws {
        let text = try String(contentsOf: Self.folder.appendingPathComponent("\(name).yaml"), encoding: .utf8)
        let scenario = try YAMLDecoder().decode(Scenario.self, from: text)
        try scenario.validate()
        #expect(scenario.name == name)
        #expect(scenario.firstPolicy.violations { _ in true }.isEmpty)
        #expect(scenario.firstPolicy.targets[0].modelKey == scenario.start)
    }

    @Test(arguments: [
        ("name: x\nroute: {name: r}\nstart: sim/none\n", "sim/none"),
        ("name: x\nroute: {name: r, holdout: 2}\nstart: sim/cheap-mini\n", "/holdout"),
        ("name: x\nroute: {name: r}\nstart: sim/cheap-mini\nevents: [{at_s: 1}]\n", "events[0]"),
    ])
    func mistakesAreNamed(_ text: String, _ part: String) throws {
        let scenario = try YAMLDecoder().decode(Scenario.self, from: text)
        let error = #expect(throws: TrimtabError.self) { try scenario.validate() }
        #expect(error?.summary.contains(part) == true)
    }

    @Test func anUnknownKeyIsAnError() {
        let text = "name: x\nroute: {name: r}\nstart: sim/cheap-mini\ntrafic: {}\n"
        #expect(throws: (any Error).self) { try YAMLDecoder().decode(Scenario.self, from: text) }
    }

    @Test func eventsReachModelsAndControlInOrder() async throws {
        let text = """
            name: x
            route: {name: r}
            start: sim/strong-large
            duration_s: 40
            traffic: {rate_per_s: 20}
            events:
              - {at_s: 20, say: second, rollout: {model: sim/broken-upgrade, goal: cheaper, reason: why}}
              - {at_s: 10, say: first, change: {model: sim/cheap-mini, to: {outage: error}}}
              - {at_s: 30, price: {model: sim/strong-small, to: {input_usd_per_mtok: 1, output_usd_per_mtok: 2}}}
            """
        let scenario = try YAMLDecoder().decode(Scenario.self, from: text)
        let simulator = SharedSimulator(Simulator(models: scenario.allModels, seed: scenario.seed))
        let fleet = try await ProviderFleet.start(simulator: simulator, speed: 100)
        var options = ReplayOptions(
            gateway: "http://127.0.0.1:\(fleet.port)/sim", key: "k", route: "strong-large")
        options.speed = 100
        let replay = try await ReplayClient(
            options, workload: Workload(shape: scenario.traffic, seed: 1), simulator: simulator)
        let control = RecordingControl()
        let runner = ScenarioRunner(
            scenario: scenario, simulator: simulator, replay: replay, control: control, speed: 100,
            say: { line in control.log.withLock { $0.append(line) } })
        let seen = try await runner.run()
        #expect(seen.inFlight == 0 && seen.completed > 0)
        #expect(
            control.log.withLock { $0 } == [
                "first", "second", "rollout sim/broken-upgrade cheaper why", "price sim/strong-small 1000000000",
            ])
        #expect(simulator.model("sim/cheap-mini")?.outage == .error)
        #expect(simulator.model("sim/strong-small")?.price?.output == 2_000_000_000)
        try await fleet.stop()
    }
}

private final class RecordingControl: ScenarioControl {
    let log = Mutex<[String]>([])

    func setPrice(_ price: TokenPrice, of modelKey: String) async throws {
        log.withLock { $0.append("price \(modelKey) \(price.input)") }
    }

    func startRollout(of policy: RoutingPolicy, goal: RolloutPlan.Goal, reason: String) async throws {
        log.withLock { $0.append("rollout \(policy.targets[0].modelKey) \(goal.rawValue) \(reason)") }
    }
}

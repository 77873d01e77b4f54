import Core

/// Plays a scenario: the replay and, beside it, the events at their time.
package struct ScenarioRunner: Sendable {
    package let scenario: Scenario
    package let simulator: SharedSimulator
    package let replay: ReplayClient
    package let control: any ScenarioControl
    /// Divides the times of the events, as the replay's own speed divides the gaps.
    package var speed = 1.0
    /// Told what happens, one line each.
    package var say: @Sendable (String) -> Void

    package init(
        scenario: Scenario, simulator: SharedSimulator, replay: ReplayClient, control: any ScenarioControl,
        speed: Double = 1, say: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.scenario = scenario
        self.simulator = simulator
        self.replay = replay
        self.control = control
        self.speed = max(speed, 1e-6)
        self.say = say
    }

    /// Returns when the replay has ended. An event that fails is said and does not end the scenario: a rehearsal goes on.
    package func run() async throws -> ReplayStatistics {
        try await withThrowingTaskGroup(of: ReplayStatistics?.self) { group in
            group.addTask { try await replay.run() }
            group.addTask {
                try await playEvents()
                if let end = scenario.durationS {
                    try await wait(until: end, since: scenario.events.last?.atS ?? 0)
                    replay.stop()
                }
                return nil
            }
            var result = ReplayStatistics()
            for try await statistics in group {
                guard let statistics else { continue }
                result = statistics
                group.cancelAll()
                break
            }
            return result
        }
    }

    private func playEvents() async throws {
        var clock = 0.0
        for event in scenario.events {
            try await wait(until: event.atS, since: clock)
            clock = event.atS
            if let text = event.say { say(text) }
            do { try await perform(event) } catch let error where !(error is CancellationError) { say("\(error)") }
        }
    }

    package func perform(_ event: ScenarioEvent) async throws {
        if let change = event.change { try simulator.set(change.model, change.to) }
        if let price = event.price {
            var change = ModelChange()
            change.price = price.to
            try simulator.set(price.model, change)
            try await control.setPrice(price.to.tokenPrice, of: price.model)
        }
        if let rollout = event.rollout {
            let policy = scenario.policy(rollout.model, reason: rollout.reason)
            try await control.startRollout(of: policy, goal: rollout.goal, reason: rollout.reason)
        }
    }

    private func wait(until seconds: Double, since past: Double) async throws {
        let gap = max(0, seconds - past) / speed
        if gap > 0 { try await Task.sleep(for: .seconds(gap)) }
    }
}

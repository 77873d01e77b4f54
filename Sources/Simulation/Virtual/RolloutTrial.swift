import Analysis
import ControlLoop
import Core
package import Policy
package import Rollouts
import Statistics
import StreamProcessing
import Telemetry

/// One rollout of one model against another, request by request, without streams and stores: for measuring how often a
/// harmless change is rolled back and how soon a harmful one is. Every request is a look.
package struct RolloutTrial: Sendable {
    package var route: Route
    package var control: SimulatedModel
    package var candidate: SimulatedModel
    package var outcomes: OutcomeSet?
    package var prompts: Prompts
    package var plan: RolloutPlan
    /// Requests a second; with a plan's step time it decides when steps end.
    package var ratePerS = 100.0
    /// Share of answers that get feedback, 0...1.
    package var feedbackShare = 1.0
    /// Requests to the control before the start, from which the thresholds are frozen.
    package var historyRequests = 2_000

    package init(
        route: Route, control: SimulatedModel, candidate: SimulatedModel, outcomes: OutcomeSet? = nil,
        prompts: Prompts = .synthetic(count: 5_000, meanTokens: 300), plan: RolloutPlan = .init()
    ) {
        self.route = route
        self.control = control
        self.candidate = candidate
        self.outcomes = outcomes
        self.prompts = prompts
        self.plan = plan
    }

    package struct Result: Sendable, Equatable {
        package var phase: RolloutPhase
        package var requests = 0
        package var candidateRequests = 0
        /// Candidate answers with quality feedback.
        package var candidateAnswers = 0
        package var rollout: Rollout
    }

    /// Runs until the rollout is over or `limit` requests are served.
    ///
    /// - Throws: what the control loop says of a route or plan that cannot be.
    package func run(limit: Int, seed: UInt64) throws -> Result {
        var seeds = SplitMix64(seed: seed)
        var simulator = Simulator(models: [control, candidate], outcomes: outcomes, seed: seeds.next())
        var shape = TrafficShape()
        (shape.ratePerS, shape.feedbackShare, shape.sessions) = (ratePerS, feedbackShare, 0)
        var workload = Workload(prompts: prompts, shape: shape, seed: seeds.next())
        var assignment = seeds.split()
        let history = observe(&simulator, &workload)
        let started = Self.startMs + Int64(Double(historyRequests) / ratePerS * 1000)
        let rollout = try start(history, now: started, using: &seeds)
        var result = Result(phase: rollout.phase, rollout: rollout)
        while result.requests < limit, result.rollout.isActive, let planned = workload.next() {
            let weight = result.rollout.weight
            let isCandidate = assignment.unit() < weight
            let now = Self.startMs + Int64(planned.atMs)
            let (answer, quality) = serve(planned, isCandidate ? candidate : control, &simulator)
            result.requests += 1
            if isCandidate {
                result.candidateRequests += 1
                result.candidateAnswers += quality == nil ? 0 : 1
            }
            let step = result.rollout.phase.step ?? 0
            for observation in [.request(answer), quality.map { Trial.Observation.quality($0) }].compactMap(\.self) {
                result.rollout.evidence.fold(
                    Trial(at: now, observation), arm: isCandidate ? .candidate : .stable, step: step, weight: weight)
            }
            result.rollout.evidence.endBlock()
            _ = result.rollout.apply(result.rollout.evaluate(now: now), now: now)
        }
        result.phase = result.rollout.phase
        return result
    }

    private static let startMs: Int64 = 1_767_225_600_000

    /// What is known of the control before the start.
    private func observe(_ simulator: inout Simulator, _ workload: inout Workload) -> TargetStatistics {
        var statistics = TargetStatistics(route: route.name.description, modelKey: control.key)
        var (latency, ttft) = (DDSketch(), DDSketch())
        for _ in 0..<historyRequests {
            guard let planned = workload.next(), let answer = ask(planned, control, &simulator) else { break }
            statistics.requests += 1
            guard answer.outcome == .complete else {
                statistics.failures += 1
                continue
            }
            latency.insert(answer.latencyMs)
            ttft.insert(answer.ttftMs)
            if let cost = cost(answer, control) { statistics.cost.add(cost) }
            if planned.givesFeedback { statistics.quality.add(answer.quality) }
        }
        statistics.setTimes(latency: latency, ttft: ttft)
        return statistics
    }

    /// The rollout as the control loop would start it, thresholds and tests included.
    private func start(
        _ history: TargetStatistics, now: Int64, using generator: inout SplitMix64
    ) throws -> Rollout {
        var settings = ControlSettings(engine: "trial")
        settings.plan = plan
        let policies = [control, candidate].enumerated().map { index, model in
            var policy = RoutingPolicy.simulated(route: route.name, model: model.key)
            policy.version = index + 1
            return policy
        }
        let state = RouteState(
            route: route, pointer: RoutePointer(route: route.name, stable: 1),
            policies: [1: policies[0], 2: policies[1]], latestVersion: 2)
        var surroundings = ControlLoop.Surroundings()
        surroundings.statistics = [history]
        let (effects, _) = try ControlLoop(settings: settings).handle(
            .startRollout(RolloutRequest(policy: 2, goal: plan.goal, reason: "trial")), by: "trial", state: state,
            surroundings, now: now, using: &generator)
        for case .saveRollout(let rollout) in effects { return rollout }
        throw TrimtabError(
            "simulation.trial", "The control loop did not start the trial's rollout.",
            remedy: "Report this as a defect.")
    }

    private func ask(
        _ planned: PlannedRequest, _ model: SimulatedModel, _ simulator: inout Simulator
    ) -> SimulatedAnswer? {
        simulator.answer(
            SimulatedRequest(
                prompt: planned.prompt, inputTokens: planned.inputTokens, outputTokens: planned.outputTokens),
            model: model.key, nowMs: planned.atMs)
    }

    private func cost(_ answer: SimulatedAnswer, _ model: SimulatedModel) -> Double? {
        model.price.map { Double($0.cost(input: answer.inputTokens, output: answer.outputTokens).value) }
    }

    /// How one request ended, and what its user says of it.
    private func serve(
        _ planned: PlannedRequest, _ model: SimulatedModel, _ simulator: inout Simulator
    ) -> (Trial.Answer, quality: Double?) {
        guard let answer = ask(planned, model, &simulator), answer.outcome == .complete else {
            return (Trial.Answer(.failed), nil)
        }
        let result = Trial.Answer(
            latencyMs: Float(answer.latencyMs), ttftMs: Float(answer.ttftMs),
            cost: cost(answer, model).map { Int64($0) }, tokens: Int64(answer.outputTokens))
        return (result, planned.givesFeedback ? answer.quality : nil)
    }
}

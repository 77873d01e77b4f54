import ControlLoop
import Core
import Policy
import Rollouts
import Statistics
import StreamProcessing

extension Rehearsal {
    /// A world that the fault is in, and the policy that suffers from it.
    func play(_ fault: RehearsalFault, seed: UInt64) throws -> (settings: VirtualSettings, candidate: RoutingPolicy) {
        let before = cast(stable, as: "stable")
        let after = cast(candidate ?? stable, as: "candidate")
        let share = steps.first ?? 1
        var models = before.targets.map { model(of: $0) }
        if fault == .errorRise {
            for index in models.indices {
                models[index].errorRate = max(models[index].errorRate, RehearsalFault.healthyFailureRate)
            }
        }
        let healthy = models.first
        models += after.targets.map { target in
            var model = model(of: target)
            model.errorRate = healthy?.errorRate ?? model.errorRate
            fault.strike(
                &model, ratePerS: share * Self.ratePerS / Double(max(1, after.targets.count)),
                inTime: route.objective.latency)
            return model
        }
        var settings = VirtualSettings(
            route: stage, start: before.targets.first?.modelKey ?? "", models: models, control: loop, seed: seed)
        settings.firstPolicy = before
        settings.arrivals = arrivals(seed: seed)
        settings.traffic.feedbackShare = traffic.feedbackShare
        (settings.traffic.sessions, settings.traffic.prompts) = (2_000, 100_000)
        settings.stream.windowMs = 5_000
        settings.stream.keepRequests = 0
        // Nothing is decided here: one rollout is all that happens.
        settings.decisionIntervalMs = .max / 4
        return (settings, after)
    }

    /// The policy with targets of its own, so that a fault strikes one arm only.
    private func cast(_ policy: RoutingPolicy, as part: String) -> RoutingPolicy {
        var cast = policy
        (cast.route, cast.fallbacks) = (route.name, [])
        cast.targets = policy.servingTargets.map { Target(id: $0.id, provider: part, model: $0.modelKey) }
        return cast
    }

    private func model(of target: Target) -> SimulatedModel {
        // Requests say how long their answers are; the price of a token makes the mean cost come out.
        let price = traffic.cost.map { cost in
            TokenPrice(input: 0, output: Int64(max(1, cost.mean / Self.meanTokens * 1e6)))
        }
        var latency = traffic.latency
        // Where thresholds are relative, a slow model is as well rehearsed faster, and its answers end sooner.
        if route.objective.latency == .init() { latency.medianMs = min(latency.medianMs, 1_000) }
        return SimulatedModel(
            provider: target.provider, name: target.model, price: price,
            quality: traffic.quality ?? .init(mean: 0.8), latency: latency, errorRate: traffic.failureRate)
    }

    private static var meanTokens: Double { 1_000 }

    /// A Poisson process whose answers have the spread of the route's costs.
    private func arrivals(seed: UInt64) -> Arrivals {
        var generator = SplitMix64(seed: seed ^ 0xA5A5)
        let sigma = traffic.cost?.sigma ?? 0.4
        let count = limits.requests + Int(Double(Self.historyMs) / 1000 * Self.ratePerS)
        var at = 0.0
        let list = (0..<count).map { _ in
            at += -logarithm(1 - generator.unit()) / Self.ratePerS
            let tokens = Self.meanTokens * exponential(sigma * generator.normal() - sigma * sigma / 2)
            return Arrival(atS: at, inputTokens: 100, outputTokens: max(1, Int(min(tokens, 1e6))))
        }
        return .recorded(list, repeats: true)
    }

    /// The plan's shares, but none so small that a rehearsal has no requests for it: what is judged is the candidate's
    /// requests, and below a tenth of the traffic it hardly matters which share they are.
    var steps: [Double] {
        let rest = control.plan.steps.drop { $0 <= Self.smallestShare }
        return rest.count == control.plan.steps.count ? control.plan.steps : [Self.smallestShare] + rest
    }

    /// The route, without what belongs to other experiments.
    private var stage: Route {
        var stage = route
        (stage.autonomy, stage.exploration.share, stage.allowed, stage.baseline) = (.observe, 0, [], nil)
        return stage
    }

    /// The loop's own settings; times follow the virtual traffic, as far as there is any to follow.
    private var loop: ControlSettings {
        var loop = control
        loop.plan.steps = steps
        let speed = traffic.ratePerS.map { $0 / Self.ratePerS } ?? 1
        loop.plan.minStepMs = min(Self.longestStepMs, Int64(min(1e12, Double(loop.plan.minStepMs) * speed)))
        loop.plan.watchMs = min(Self.longestStepMs, loop.plan.watchMs)
        (loop.plan.objectiveCycleMs, loop.plan.deadlineMs, loop.plan.freeze) = (0, .max / 4, [])
        (loop.maxActive, loop.requireRehearsal) = (1, false)
        return loop
    }
}

package import ControlLoop
package import Core
package import Policy
package import StreamProcessing

/// What a world on the virtual clock consists of.
package struct VirtualSettings: Sendable {
    package var route: Route
    package var firstPolicy: RoutingPolicy
    package var models: [SimulatedModel]
    package var outcomes: OutcomeSet?
    /// `nil`: a Poisson process at the traffic's rate.
    package var arrivals: Arrivals?
    /// `nil`: made-up prompts.
    package var prompts: Prompts?
    package var traffic = TrafficShape()
    /// In the order of their time.
    package var events: [ScenarioEvent] = []
    package var stream = StreamSettings()
    package var control: ControlSettings
    package var decisionIntervalMs: Int64 = 60_000
    package var partitions = 1
    /// Between a checkpoint with its look at the evidence and the next; milliseconds of virtual time.
    package var tickMs: Int64 = 1_000
    package var seed: UInt64
    /// Where the clock starts, milliseconds since the epoch: 1 January 2026.
    package var startMs: Int64 = 1_767_225_600_000

    package init(
        route: Route, start: String, models: [SimulatedModel], control: ControlSettings, seed: UInt64
    ) {
        self.route = route
        firstPolicy = .simulated(route: route.name, model: start)
        self.models = models
        self.control = control
        self.seed = seed
    }

    package init(_ scenario: Scenario, control: ControlSettings) {
        self.init(
            route: scenario.route, start: scenario.start, models: scenario.allModels, control: control,
            seed: scenario.seed)
        firstPolicy = scenario.firstPolicy
        traffic = scenario.traffic
        events = scenario.events
    }
}

extension VirtualSettings {
    /// A world of recorded outcomes: the route starts on the first of `models` and may use the others.
    ///
    /// - Parameters:
    ///   - prices: by model name.
    ///   - tolerance: points of quality, 0...1, that the loop may give up.
    /// - Throws: `simulation.unknown_model`, `simulation.no_common_prompt`.
    package static func recorded(
        _ outcomes: OutcomeSet, models names: [String], prices: [String: TokenPrice], arrivals: Arrivals,
        tolerance: Double, control: ControlSettings, seed: UInt64
    ) throws -> VirtualSettings {
        let prompts = outcomes.prompts(answeredBy: names)
        guard let first = names.first, !prompts.isEmpty, let name = RouteName(outcomes.name) else {
            throw TrimtabError(
                "simulation.no_common_prompt",
                "No prompt of \(outcomes.name) was answered by all of \(names.joined(separator: ", ")).",
                remedy: "Choose models of the same set, at least one.")
        }
        var route = Route(name: name)
        route.autonomy = .auto
        route.sticky = .request
        route.allowed = ["\(OutcomeSet.provider)/*"]
        route.exploration.share = 0.1
        route.objective.quality.tolerance = tolerance
        var settings = VirtualSettings(
            route: route, start: "\(OutcomeSet.provider)/\(first)",
            models: try outcomes.simulatedModels(names, prices: prices), control: control, seed: seed)
        settings.outcomes = outcomes
        settings.arrivals = arrivals
        settings.prompts = .recorded(prompts)
        settings.traffic.sessions = 0
        settings.traffic.feedbackShare = 1
        // Days of traffic: coarse windows keep the look-back span cheap to add up.
        settings.tickMs = 5_000
        settings.stream.windowMs = 600_000
        settings.decisionIntervalMs = 600_000
        return settings
    }
}

/// What happened in a span of virtual time.
package struct VirtualReport: Sendable, Equatable {
    /// Milliseconds since the epoch.
    package var start: Int64
    package var end: Int64
    /// By who served it.
    package var served: [Key: ServedStatistics] = [:]

    package struct Key: Hashable, Sendable, Comparable {
        package var policy: Int
        package var arm: String
        package var modelKey: String

        package init(policy: Int, arm: String, modelKey: String) {
            self.policy = policy
            self.arm = arm
            self.modelKey = modelKey
        }

        package static func < (a: Self, b: Self) -> Bool {
            (a.policy, a.arm, a.modelKey) < (b.policy, b.arm, b.modelKey)
        }
    }

    /// All requests, whichever way they went.
    package var total: ServedStatistics { served.values.reduce(into: ServedStatistics()) { $0.merge($1) } }
}

package import Core
package import Policy
package import Rollouts

/// A rehearsal: models, traffic, a route with its first policy, and what happens when.
package struct Scenario: Codable, Sendable, Equatable {
    package var name: String
    /// One or two sentences: what is rehearsed and what should come of it.
    package var description: String
    package var seed: UInt64
    /// Replay this long, seconds; `nil` until stopped.
    package var durationS: Double?
    /// Models beside the built-in ones; one with the key of a built-in takes its place.
    package var models: [SimulatedModel]
    package var route: Route
    /// The model the route starts on, `provider/model`.
    package var start: String
    /// Models tried after it fails, `provider/model`.
    package var fallbacks: [String]
    package var traffic: TrafficShape
    /// In the order of their time.
    package var events: [ScenarioEvent]

    enum CodingKeys: String, CodingKey, CaseIterable {
        case name, description, seed, models, route, start, fallbacks, traffic, events
        case durationS = "duration_s"
    }

    package init(from decoder: any Decoder) throws {
        try rejectUnknownKeys(of: CodingKeys.self, in: decoder)
        let c = try decoder.container(keyedBy: CodingKeys.self)
        name = try c.decode(String.self, forKey: .name)
        description = try c.decodeIfPresent(String.self, forKey: .description) ?? ""
        seed = try c.decodeIfPresent(UInt64.self, forKey: .seed) ?? 1
        durationS = try c.decodeIfPresent(Double.self, forKey: .durationS)
        models = try c.decodeIfPresent([SimulatedModel].self, forKey: .models) ?? []
        route = try c.decode(Route.self, forKey: .route)
        start = try c.decode(String.self, forKey: .start)
        fallbacks = try c.decodeIfPresent([String].self, forKey: .fallbacks) ?? []
        traffic = try c.decodeIfPresent(TrafficShape.self, forKey: .traffic) ?? TrafficShape()
        events = (try c.decodeIfPresent([ScenarioEvent].self, forKey: .events) ?? []).sorted { $0.atS < $1.atS }
    }

    /// The built-in models with this scenario's own.
    package var allModels: [SimulatedModel] {
        let own = Set(models.map(\.key))
        return ModelCatalog.builtIn.filter { !own.contains($0.key) } + models
    }

    package var firstPolicy: RoutingPolicy { policy(start, reason: "First policy of the scenario \(name).") }

    /// A policy of this route on one model, with the scenario's fallbacks.
    package func policy(_ modelKey: String, reason: String) -> RoutingPolicy {
        RoutingPolicy.simulated(route: route.name, model: modelKey, fallbacks: fallbacks, reason: reason)
    }

    /// - Throws: `simulation.scenario`, naming what is wrong.
    package func validate() throws {
        let known = Set(allModels.map(\.key))
        let named =
            [("start", start)] + fallbacks.map { ("fallbacks", $0) }
            + events.enumerated().flatMap { index, event in
                event.modelKeys.map { ("events[\(index)]", $0) }
            }
        for (place, key) in named where !known.contains(key) {
            throw TrimtabError(
                "simulation.scenario", "Scenario '\(name)', \(place): no simulated model is called '\(key)'.",
                remedy: "Use one of: \(known.sorted().joined(separator: ", ")); or define it under 'models'.")
        }
        if let wrong = route.violations().first {
            throw TrimtabError(
                "simulation.scenario", "Scenario '\(name)', route\(wrong.pointer): \(wrong.detail)",
                remedy: "Correct the value.")
        }
        for (index, event) in events.enumerated() where event.isEmpty {
            throw TrimtabError(
                "simulation.scenario", "Scenario '\(name)', events[\(index)]: nothing happens in it.",
                remedy: "Give it 'change', 'price' or 'rollout', or remove it.")
        }
    }
}

/// Something that happens during a scenario.
package struct ScenarioEvent: Codable, Sendable, Equatable {
    /// Seconds after the start.
    package var atS: Double
    /// What a person reads when it happens.
    package var say: String?
    package var change: Change?
    package var price: Price?
    package var rollout: Rollout?

    /// A model behaves differently from now on.
    package struct Change: Codable, Sendable, Equatable {
        package var model: String
        package var to: ModelChange
    }

    /// The list price changes, in the price book and in what the provider charges.
    package struct Price: Codable, Sendable, Equatable {
        package var model: String
        package var to: ListPrice
    }

    /// Somebody starts a canary.
    package struct Rollout: Codable, Sendable, Equatable {
        package var model: String
        package var goal: RolloutPlan.Goal
        package var reason: String
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case say, change, price, rollout
        case atS = "at_s"
    }

    package init(from decoder: any Decoder) throws {
        try rejectUnknownKeys(of: CodingKeys.self, in: decoder)
        let c = try decoder.container(keyedBy: CodingKeys.self)
        atS = try c.decode(Double.self, forKey: .atS)
        say = try c.decodeIfPresent(String.self, forKey: .say)
        change = try c.decodeIfPresent(Change.self, forKey: .change)
        price = try c.decodeIfPresent(Price.self, forKey: .price)
        rollout = try c.decodeIfPresent(Rollout.self, forKey: .rollout)
    }

    var modelKeys: [String] { [change?.model, price?.model, rollout?.model].compactMap { $0 } }
    var isEmpty: Bool { change == nil && price == nil && rollout == nil }
}

extension RoutingPolicy {
    /// A policy on one model, `provider/model`, with others to fall back to.
    package static func simulated(
        route: RouteName, model: String, fallbacks: [String] = [], reason: String = "simulated"
    ) -> RoutingPolicy {
        let targets = ([model] + fallbacks.filter { $0 != model }).map(Target.init(modelKey:))
        return RoutingPolicy(
            route: route, version: 1, createdAt: 0, createdBy: "simulation", reason: reason, targets: targets,
            fallbacks: targets.dropFirst().map(\.id))
    }
}

extension Target {
    /// The first `/` parts provider and model; the model may have more of them.
    init(modelKey: String) {
        let parts = modelKey.split(separator: "/", maxSplits: 1).map(String.init)
        self.init(provider: parts.first ?? modelKey, model: parts.count > 1 ? parts[1] : modelKey)
    }
}

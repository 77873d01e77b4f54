package import Core

/// A named kind of traffic that a client addresses as its `model`, with its own objectives.
package struct Route: Codable, Sendable, Equatable {
    package var name: RouteName
    package var project: String?
    package var objective = Objective()
    /// The pinned policy version every decision is measured against; only a person moves it. The holdout serves it.
    package var baseline: Int?
    /// Feedback under this is a bad answer, 0...1; no feedback is nothing.
    package var badBelow = 0.5
    /// Globs over `provider/model`; empty allows nothing beyond the policy's own targets.
    package var allowed: [String] = []
    package var sticky: StickyUnit = .session
    package var autonomy: Autonomy = .suggest
    /// Share of units kept on the baseline, 0...0.5.
    package var holdout = 0.01
    package var exploration = Exploration()
    package var guardrails = Guardrails()
    /// What differs here from the configuration of the analyzers, by analyzer.
    package var analyzers: [String: AnalyzerChoices] = [:]

    package init(name: RouteName) { self.name = name }

    package enum StickyUnit: String, Codable, Sendable, CaseIterable { case session, key, user, request }

    /// How much the loop may do by itself: only look, propose and wait for a person, or act.
    package enum Autonomy: String, Codable, Sendable, CaseIterable { case observe, suggest, auto }

    package struct Exploration: Codable, Sendable, Equatable {
        /// Share of units sent uniformly to the other allowed targets, 0...0.5.
        package var share = 0.0
        package init(share: Double = 0) { self.share = share }
    }

    enum CodingKeys: String, CodingKey {
        case name, project, objective, baseline, allowed, sticky, autonomy, holdout, exploration, guardrails
        case analyzers
        case badBelow = "bad_below"
    }
}

extension Route {
    package init(from decoder: any Decoder) throws {
        let c = try decoder.container(keyedBy: CodingKeys.self)
        self.init(name: try c.decode(RouteName.self, forKey: .name))
        project = try c.decodeIfPresent(String.self, forKey: .project)
        objective = try c.decodeIfPresent(Objective.self, forKey: .objective) ?? objective
        baseline = try c.decodeIfPresent(Int.self, forKey: .baseline)
        badBelow = try c.decodeIfPresent(Double.self, forKey: .badBelow) ?? badBelow
        allowed = try c.decodeIfPresent([String].self, forKey: .allowed) ?? allowed
        sticky = try c.decodeIfPresent(StickyUnit.self, forKey: .sticky) ?? sticky
        autonomy = try c.decodeIfPresent(Autonomy.self, forKey: .autonomy) ?? autonomy
        holdout = try c.decodeIfPresent(Double.self, forKey: .holdout) ?? holdout
        exploration = try c.decodeIfPresent(Exploration.self, forKey: .exploration) ?? exploration
        guardrails = try c.decodeIfPresent(Guardrails.self, forKey: .guardrails) ?? guardrails
        analyzers = try c.decodeIfPresent([String: AnalyzerChoices].self, forKey: .analyzers) ?? analyzers
    }
}

/// What a route wants: hard limits first, then quality within its tolerance, then cost, then latency.
package struct Objective: Codable, Sendable, Equatable {
    package var quality = Quality()
    package var latency = Latency()
    package var cost = Cost()

    package init() {}

    package struct Quality: Codable, Sendable, Equatable {
        /// The lowest mean quality allowed, 0...1.
        package var floor: Double?
        /// How far below the pinned baseline's mean quality a policy may lie, in points of 0...1. Default 0.02.
        package var tolerance: Double?
        package init(floor: Double? = nil, tolerance: Double? = nil) {
            self.floor = floor
            self.tolerance = tolerance
        }
        package static let defaultTolerance = 0.02
    }

    package struct Latency: Codable, Sendable, Equatable {
        package var p95Ms: Double?
        package var ttftP95Ms: Double?
        package init() {}
        enum CodingKeys: String, CodingKey {
            case p95Ms = "p95_ms"
            case ttftP95Ms = "ttft_p95_ms"
        }
    }

    package struct Cost: Codable, Sendable, Equatable {
        package var minimize = true
        package var budgetDayUSD: Double?
        package init() {}
        enum CodingKeys: String, CodingKey {
            case minimize
            case budgetDayUSD = "budget_day_usd"
        }
        package init(from decoder: any Decoder) throws {
            let c = try decoder.container(keyedBy: CodingKeys.self)
            minimize = try c.decodeIfPresent(Bool.self, forKey: .minimize) ?? true
            budgetDayUSD = try c.decodeIfPresent(Double.self, forKey: .budgetDayUSD)
        }
    }

    enum CodingKeys: String, CodingKey { case quality, latency, cost }

    package init(from decoder: any Decoder) throws {
        let c = try decoder.container(keyedBy: CodingKeys.self)
        quality = try c.decodeIfPresent(Quality.self, forKey: .quality) ?? Quality()
        latency = try c.decodeIfPresent(Latency.self, forKey: .latency) ?? Latency()
        cost = try c.decodeIfPresent(Cost.self, forKey: .cost) ?? Cost()
    }
}

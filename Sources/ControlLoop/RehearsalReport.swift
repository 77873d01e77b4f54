package import Core
package import Policy

/// What the candidate of a rehearsal suffers from.
package enum RehearsalFault: String, Codable, Sendable, CaseIterable {
    /// Nothing: a candidate that is as good as stable must not be rolled back.
    case none
    case rateLimitStorm = "rate_limit_storm"
    case errorRise = "error_rise"
    case slowFirstToken = "slow_first_token"
    case qualityDrop = "quality_drop"
    case priceRise = "price_rise"
}

/// How a rollout took one fault.
package struct RehearsalScore: Codable, Sendable, Equatable {
    package var fault: RehearsalFault
    package var outcome: Outcome
    /// What ended the rollout, in words; `nil` if nothing did.
    package var endedBy: String?
    /// The candidate's requests until the end, and all of the rollout's.
    package var candidateRequests = 0
    package var requests = 0
    /// The candidate's failures above the control's rate, at least 0.
    package var extraFailures = 0
    /// How long that takes at the route's own traffic, milliseconds; `nil` where there is none yet.
    package var milliseconds: Int64?
    /// One sentence; of what is unseen, also what to add.
    package var detail = ""

    package init(fault: RehearsalFault, outcome: Outcome) {
        self.fault = fault
        self.outcome = outcome
    }

    package enum Outcome: String, Codable, Sendable, CaseIterable {
        /// Rolled back.
        case caught
        /// Not rolled back within the bounds of the rehearsal.
        case missed
        /// The route has nothing to see the fault by; it says so, and does not count as caught.
        case unseen
        /// The healthy candidate was left alone.
        case unharmed
        /// The healthy candidate was rolled back, twice in a row.
        case falseAlarm = "false_alarm"
    }

    enum CodingKeys: String, CodingKey {
        case fault, outcome, requests, milliseconds, detail
        case endedBy = "ended_by"
        case candidateRequests = "candidate_requests"
        case extraFailures = "extra_failures"
    }
}

/// How a route's own rollout took injected faults.
package struct RehearsalReport: Codable, Sendable, Equatable {
    package var id: UUIDv7
    package var route: RouteName
    package var at: Int64
    /// `<version> <architecture>`: the same seed gives the same scores on the same engine.
    package var engine: String
    package var seed: UInt64
    /// Policy versions; `candidate` is `nil` where a copy of stable was rehearsed.
    package var stable: Int
    package var candidate: Int?
    package var terms: RehearsalTerms
    /// What the simulated traffic was made from, in words.
    package var traffic: String
    /// The healthy candidate first.
    package var scores: [RehearsalScore]

    package init(
        id: UUIDv7, route: RouteName, at: Int64, engine: String, seed: UInt64, stable: Int, candidate: Int?,
        terms: RehearsalTerms, traffic: String, scores: [RehearsalScore]
    ) {
        self.id = id
        self.route = route
        self.at = at
        self.engine = engine
        self.seed = seed
        self.stable = stable
        self.candidate = candidate
        self.terms = terms
        self.traffic = traffic
        self.scores = scores
    }

    enum CodingKeys: String, CodingKey {
        case id, route, at, engine, seed, stable, candidate, terms, traffic, scores
    }

    /// Kept for each route; the oldest go first.
    package static let keptPerRoute = 50

    /// Whether every fault that the route can see was rolled back, and the healthy candidate was not. Failing requests
    /// can be seen on every route, so what makes them has to be caught.
    package var passed: Bool {
        func outcome(_ fault: RehearsalFault) -> RehearsalScore.Outcome? {
            scores.first { $0.fault == fault }?.outcome
        }
        return outcome(.none) == .unharmed && outcome(.rateLimitStorm) == .caught && outcome(.errorRise) == .caught
            && !scores.contains { $0.outcome == .missed }
    }

    /// One line: `4 of 5 faults caught, 1 unseen (quality_drop); the healthy candidate was left alone`.
    package var summary: String {
        func named(_ outcome: RehearsalScore.Outcome) -> [String] {
            scores.filter { $0.outcome == outcome }.map(\.fault.rawValue)
        }
        var parts = ["\(named(.caught).count) of \(scores.filter { $0.fault != .none }.count) faults caught"]
        for outcome in [RehearsalScore.Outcome.missed, .unseen] where !named(outcome).isEmpty {
            parts.append("\(named(outcome).count) \(outcome.rawValue) (\(named(outcome).joined(separator: ", ")))")
        }
        let healthy = named(.falseAlarm).isEmpty ? "left alone" : "rolled back"
        return parts.joined(separator: ", ") + "; the healthy candidate was \(healthy)"
    }
}

/// What of a route a rehearsal holds for: once it is changed, the route has to be rehearsed again.
package struct RehearsalTerms: Codable, Sendable, Equatable {
    package var guardrails: Route.Guardrails
    package var badBelow: Double
    package var latency: Objective.Latency

    package init(_ route: Route) {
        guardrails = route.guardrails
        badBelow = route.badBelow
        latency = route.objective.latency
    }

    /// Of a rehearsal before it knew of objectives: held for a route without them.
    package init(from decoder: any Decoder) throws {
        let c = try decoder.container(keyedBy: CodingKeys.self)
        guardrails = try c.decode(Route.Guardrails.self, forKey: .guardrails)
        badBelow = try c.decode(Double.self, forKey: .badBelow)
        latency = try c.decodeIfPresent(Objective.Latency.self, forKey: .latency) ?? .init()
    }

    enum CodingKeys: String, CodingKey {
        case guardrails, latency
        case badBelow = "bad_below"
    }
}

/// What the loop has to know of a route's latest rehearsal.
package struct RehearsalVerdict: Sendable, Equatable {
    package var at: Int64
    package var passed: Bool
    /// `nil`: it cannot be told any more, and so it holds for nothing.
    package var terms: RehearsalTerms?

    package init(at: Int64, passed: Bool, terms: RehearsalTerms?) {
        self.at = at
        self.passed = passed
        self.terms = terms
    }

    package init(_ report: RehearsalReport) {
        self.init(at: report.at, passed: report.passed, terms: report.terms)
    }
}

extension RouteState {
    /// Why `autonomy: auto` waits for a person all the same; `nil` if the latest rehearsal lets it act.
    package var missingRehearsal: String? {
        let name = route.name
        guard let rehearsal else { return "Not rehearsed yet: run `trimtab rehearse \(name)`." }
        guard rehearsal.terms == RehearsalTerms(route) else {
            return "Its guardrails have changed since the last rehearsal: run `trimtab rehearse \(name)`."
        }
        return rehearsal.passed
            ? nil : "The last rehearsal did not pass: `trimtab rehearse \(name)` shows why."
    }
}

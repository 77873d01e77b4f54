import Core
import Gateway
package import Policy

/// A route as the configuration seeds it: PostgreSQL is the truth once it is made.
package struct RouteSettings: Sendable, Equatable {
    package var route: Route
    package var firstPolicy: RoutingPolicy

    /// - Throws: `TrimtabError` `config.…` naming the key.
    init(_ reader: SettingsReader, name: String, providers: [ProviderSettings]) throws {
        guard let routeName = RouteName(name) else {
            throw TrimtabError(
                "config.malformed", "\(reader.path): '\(name)' is not a route name.",
                remedy: "Use 1 to 128 of A-Z a-z 0-9 . _ : / -, a letter or digit first.")
        }
        var route = Route(name: routeName)
        route.project = try reader.optionalString("project", "Project the route belongs to.")
        route.allowed = try reader.list(
            "allowed", default: [], "Globs over provider/model that the loop may move the route to.")
        route.sticky = try reader.choice("sticky", default: route.sticky, "What stays in one arm.")
        route.autonomy = try reader.choice("autonomy", default: route.autonomy, "How much the loop does by itself.")
        route.holdout = try reader.double(
            "holdout", default: route.holdout, 0...0.5, "Share kept on the pinned baseline.")
        route.badBelow = try reader.double(
            "bad_below", default: route.badBelow, 0...1, "Feedback under this is a bad answer; whole hundredths.")
        let exploration = try reader.section("exploration")
        route.exploration.share = try exploration.double(
            "share", default: 0, 0...0.5, "Share sent uniformly to the other allowed targets.")
        try exploration.finish()
        route.objective = try Self.objective(reader.section("objective"))
        route.guardrails = try Self.guardrails(reader.section("guardrails"))
        let analyzers = try reader.section("analyzers")
        route.analyzers = try [String: AnalyzerChoices](analyzers)
        try analyzers.finish()
        self.route = route
        let targets = try reader.list(
            "targets", default: [], "Targets of the first policy, provider/model; the first one serves.")
        let fallbacks = try reader.list(
            "fallbacks", default: [], "Targets tried before the first byte when the first fails.")
        firstPolicy = RoutingPolicy(
            route: routeName, version: 1, createdAt: 0, createdBy: "configuration",
            reason: "Seeded from the configuration.",
            targets: try (targets + fallbacks.filter { !targets.contains($0) }).map { try Self.target($0, reader) },
            fallbacks: fallbacks, timeouts: try Self.timeouts(reader.section("timeouts")))
        for violation in route.violations() {
            throw Self.problem(reader, violation, remedy: "Correct it.")
        }
        // The reference is written without any.
        guard !reader.isTemplate else { return }
        let models = Dictionary(providers.map { ($0.id, $0.models) }) { $1 }
        for violation in firstPolicy.violations(provider: { models[$0] != nil }, models: { models[$0] ?? [] }) {
            throw Self.problem(reader, violation, remedy: "Correct the route, or what its provider lists.")
        }
    }

    private static func problem(_ reader: SettingsReader, _ violation: Violation, remedy: String) -> TrimtabError {
        let key = violation.pointer.split(separator: "/").first.map(String.init) ?? ""
        return TrimtabError(
            "config.out_of_range",
            "\(reader.path)\(violation.pointer) (\(reader.origin(key))): \(violation.detail)", remedy: remedy)
    }

    private static func target(_ text: String, _ reader: SettingsReader) throws -> Target {
        guard let target = Target(parsing: text) else {
            throw TrimtabError(
                "config.malformed", "\(reader.path).targets: '\(text)' is not a target (\(reader.origin("targets"))).",
                remedy: "Write provider/model.")
        }
        return target
    }

    private static func objective(_ reader: SettingsReader) throws -> Objective {
        var objective = Objective()
        let quality = try reader.section("quality")
        objective.quality.floor = try quality.optionalDouble(
            "floor", 0...1, "Lowest mean quality allowed; instead of tolerance.")
        objective.quality.tolerance = try quality.optionalDouble(
            "tolerance", shownDefault: "\(Objective.Quality.defaultTolerance)", 0...1,
            "Points below the baseline's mean quality that are allowed.")
        try quality.finish()
        let latency = try reader.section("latency")
        objective.latency.p95Ms = try latency.optionalDouble(
            "p95_ms", 1...3_600_000, "Limit on the 95th percentile of latency.")
        objective.latency.ttftP95Ms = try latency.optionalDouble(
            "ttft_p95_ms", 1...3_600_000, "Limit on the 95th percentile of the time to first token.")
        try latency.finish()
        let cost = try reader.section("cost")
        objective.cost.minimize = try cost.bool("minimize", default: true, "Whether a lower cost is sought.")
        objective.cost.budgetDayUSD = try cost.optionalDouble(
            "budget_day_usd", 0...1e9, "Spend a day that findings warn about.")
        try cost.finish()
        try reader.finish()
        return objective
    }

    private static func guardrails(_ reader: SettingsReader) throws -> Route.Guardrails {
        var guardrails = Route.Guardrails()
        guardrails.alpha = try reader.double(
            "alpha", default: guardrails.alpha, 1e-6...0.2, "Probability that a harmless change is rolled back.")
        for guardrail in Guardrail.allCases {
            guardrails[guardrail] = try reader.double(
                guardrail.rawValue, default: guardrails[guardrail], 0...1,
                "Share of alpha for \(guardrail.subject); 0 is off.")
        }
        try reader.finish()
        return guardrails
    }

    private static func timeouts(_ reader: SettingsReader) throws -> RoutingPolicy.Timeouts {
        var timeouts = RoutingPolicy.Timeouts()
        timeouts.connectMs = try reader.int(
            "connect_ms", default: timeouts.connectMs, 1...3_600_000, "To connect to a provider.")
        timeouts.firstByteMs = try reader.int(
            "first_byte_ms", default: timeouts.firstByteMs, 1...3_600_000, "To the first byte of an answer.")
        timeouts.idleMs = try reader.int(
            "idle_ms", default: timeouts.idleMs, 1...3_600_000, "Between two pieces of an answer.")
        timeouts.totalMs = try reader.int("total_ms", default: timeouts.totalMs, 1...3_600_000, "For a whole answer.")
        try reader.finish()
        return timeouts
    }
}

extension RouteSettings {
    package init(route: Route, firstPolicy: RoutingPolicy) {
        self.route = route
        self.firstPolicy = firstPolicy
    }
}

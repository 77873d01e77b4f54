import Statistics
import StreamProcessing
import Telemetry

/// Failures, times, speed and saturation of a route's models against their own past and against each other, the
/// objectives of the route, and what our own work adds.
package struct PerformanceAnalyzer: Analyzer, Equatable {
    package static let kind = AnalyzerKind.performance
    package static let thresholds = Threshold.performance
    /// Models watched one by one; the rest together.
    static let mostModels = 64
    private static let restName = "other models"
    /// What had no request for so long is not said to be in any state; and is forgotten after this, milliseconds.
    private static let silenceMs: Int64 = 600_000
    private static let forgottenMs: Int64 = 8 * 86_400_000
    private static let hourMs: Int64 = 3_600_000

    private var targets: [String: TargetWatch] = [:]
    private var budget = ErrorBudget()
    private var ownLimits = SaturationWatch()
    private var overhead = OverheadWatch()
    private var comparison = TargetComparison()
    private var hour: Int64?

    package init() {}

    package mutating func observe(_ minute: RouteMinute, _ context: RouteContext) -> [Observation] {
        let now = PerformanceContext(minute, context.settings), window = minute.window
        comparison.observe(minute.results, mostModels: Self.mostModels)
        endHour(now.hour)
        guard !minute.isGap else { return [] }
        var requests: Int64 = 0, refused: Int64 = 0
        for model in minute.models {
            requests += model.users.requests
            refused += model.users.errors[.localLimit] ?? 0
            guard model.users.requests > 0, !model.modelKey.isEmpty else { continue }
            targets[name(model.modelKey), default: TargetWatch()].observe(model.users, window, now)
        }
        budget.observe(minute, context.objective)
        ownLimits.observe([.localLimit: refused], of: requests, isRoute: true, window, now)
        overhead.observe(minute.models, window, now)
        var said = budget.statements(window, now) + comparison.statements(window, now)
        said += [ownLimits.statement(.route, window, now), overhead.statement(window, now)].compactMap(\.self)
        for (model, target) in targets where window.end - target.lastSeen <= Self.silenceMs {
            said += target.statements(model, window, now)
        }
        return said.sorted { ($0.code, $0.subject) < ($1.code, $1.subject) }
    }

    private func name(_ model: String) -> String {
        targets[model] != nil || targets.count < Self.mostModels - 1 ? model : Self.restName
    }

    private mutating func endHour(_ now: Int64) {
        guard let last = hour else { return hour = now }
        guard now > last else { return }
        hour = now
        for model in Array(targets.keys) {
            targets[model]?.endHour(last)
            if let seen = targets[model]?.lastSeen, now * Self.hourMs - seen > Self.forgottenMs {
                targets[model] = nil
            }
        }
    }
}

/// All that is watched of one model.
struct TargetWatch: Codable, Sendable, Equatable {
    private var errors = ErrorWatch()
    private var latency = TimeWatch()
    private var ttft = TimeWatch()
    private var tokenTime = SpeedWatch()
    private var saturation = SaturationWatch()
    /// End of the last minute with a request, milliseconds since the epoch.
    private(set) var lastSeen: Int64 = 0

    mutating func observe(_ users: WindowAggregate, _ minute: Window, _ context: PerformanceContext) {
        lastSeen = minute.end
        errors.observe(users, minute, context)
        let tokens = users.outputTokens
        latency.observe(
            TimeSums(times: users.latency, outputTokens: tokens), minute, rise: context[.latencyRise], context)
        ttft.observe(TimeSums(times: users.ttft), minute, rise: context[.ttftRise], context)
        tokenTime.observe(users[.tokenTime].moments, minute, context)
        saturation.observe(users.errors, of: users.requests, isRoute: false, minute, context)
    }

    mutating func endHour(_ number: Int64) {
        errors.endHour()
        latency.endHour(number)
        ttft.endHour(number)
        tokenTime.endHour(number)
    }

    func statements(_ model: String, _ minute: Window, _ context: PerformanceContext) -> [Observation] {
        [
            errors.statement(model, minute, context), latency.statement(.latency, model, minute, context),
            ttft.statement(.ttft, model, minute, context), tokenTime.statement(model, minute, context),
            saturation.statement(.model(model), minute, context),
        ].compactMap(\.self)
    }
}

import Statistics
import StreamProcessing

/// Whether a route uses up what its objectives allow, and how fast: failures, answers slower than the latency's p95
/// objective, first tokens later than theirs.
///
/// The burn rate is the share of bad ones divided by the share that is allowed; it must be high over a long window, so
/// that it matters, and over a short one, so that it is still so: "Alerting on SLOs" in "The Site Reliability Workbook"
/// (Beyer and others, 2018), chapter 5.
struct ErrorBudget: Codable, Sendable, Equatable {
    /// What a p95 allows to be slower.
    private static let slowShare = 0.05
    /// A burn rate that could never be reached is asked for at this share of all.
    private static let mostShare = 0.9
    /// Standard errors that the longer window's share has to be above the limit: it is looked at every minute.
    private static let certainty = 0.9998

    private static let minuteMs: Int64 = 60_000
    private static let halfHourMs: Int64 = 1_800_000

    private var minutes = TimeRing<Sums>(slotMs: minuteMs, capacity: 60)
    private var halfHours = TimeRing<Sums>(slotMs: halfHourMs, capacity: 144)
    /// Of all half hours of six hours and of three days but the newest; and which that is.
    private var earlierSixHours = Sums()
    private var earlierThreeDays = Sums()
    private var halfHour: Int64?
    /// The objectives that the answers were counted by.
    private var latencyMs: Double?
    private var ttftMs: Double?

    private struct Rule {
        let factor: Double
        let long: (words: String, ms: Int64)
        let short: (words: String, ms: Int64)
        let severity: Finding.Severity
    }
    private static let rules = [
        Rule(factor: 14.4, long: ("hour", 3_600_000), short: ("5 minutes", 300_000), severity: .critical),
        Rule(factor: 6, long: ("6 hours", 21_600_000), short: ("30 minutes", 1_800_000), severity: .critical),
        Rule(factor: 1, long: ("3 days", 259_200_000), short: ("6 hours", 21_600_000), severity: .warning),
    ]

    mutating func observe(_ minute: RouteMinute, _ limits: RouteContext.Limits) {
        if limits.latencyP95Ms != latencyMs || limits.ttftP95Ms != ttftMs {
            self = ErrorBudget()
            (latencyMs, ttftMs) = (limits.latencyP95Ms, limits.ttftP95Ms)
        }
        var sums = Sums()
        for model in minute.models {
            sums.merge(
                Sums(
                    failures: Counts(model.users.failures, of: model.users.requests),
                    slow: Counts(model.users.latency, above: latencyMs), late: Counts(model.users.ttft, above: ttftMs)))
        }
        minutes.add(sums, at: minute.window.start)
        halfHours.add(sums, at: minute.window.start)
        let now = minute.window.start / Self.halfHourMs
        guard now != halfHour else { return }
        halfHour = now
        earlierSixHours = halfHours.sum(11, skipping: 1)
        earlierThreeDays = earlierSixHours
        earlierThreeDays.merge(halfHours.sum(132, skipping: 12))
    }

    func statements(_ minute: Window, _ context: PerformanceContext) -> [Observation] {
        let newest = halfHours.sum(1), threeDays = earlierThreeDays + newest
        guard Kind.allCases.contains(where: { threeDays[$0].events > 0 }) else { return [] }
        let sixHours = earlierSixHours + newest, five = minutes.sum(5), thirty = five + minutes.sum(25, skipping: 5)
        // In the order of the rules.
        let sums = [(thirty + minutes.sum(30, skipping: 30), five), (sixHours, thirty), (threeDays, sixHours)]
        var found: [Observation] = []
        for kind in Kind.allCases where threeDays[kind].events > 0 {
            for (rule, seen) in zip(Self.rules, sums) {
                guard let said = statement(kind, rule, seen.0[kind], seen.1[kind], minute, context) else { continue }
                found.append(said)
                break
            }
        }
        return found
    }

    private func statement(
        _ kind: Kind, _ rule: Rule, _ long: Counts, _ short: Counts, _ minute: Window, _ context: PerformanceContext
    ) -> Observation? {
        let budget = kind == .failures ? 1 - context[.availability] : Self.slowShare
        let limit = min(rule.factor * budget, Self.mostShare)
        guard Double(long.events) >= context[.minimumEvents], short.events >= 2,
            let share = long.proportion.rate, let now = short.proportion.rate, now > limit,
            long.proportion.wilson(confidence: Self.certainty).lowerBound > limit
        else { return nil }
        let interval = long.proportion.wilson()
        let error = (share * (1 - share) / Double(long.trials)).squareRoot()
        return Observation(
            .performance, kind.code, .route,
            "\(kind.words(objectiveMs(kind))) use up what is allowed \((share / budget).fixed(1)) times as fast as it "
                + "may be: \(share.percent) of the last \(rule.long.words), \(now.percent) of the last "
                + "\(rule.short.words), where \(budget.percent) is allowed.",
            severity: rule.severity, confidence: error > 0 ? normalCDF((share - limit) / error) : 1,
            magnitude: Interval(
                estimate: share / budget, lower: interval.lowerBound / budget, upper: interval.upperBound / budget),
            window: Window(start: minute.end - rule.long.ms, end: minute.end),
            evidence: [
                "burn_rate": share / budget, "burn_rate_short": now / budget, "burn_rate_limit": rule.factor,
                "long_window_h": Double(rule.long.ms) / 3_600_000, "short_window_h": Double(rule.short.ms) / 3_600_000,
                "requests": Double(long.trials), "bad": Double(long.events), "allowed_share": budget,
            ].merging(objectiveMs(kind).map { ["objective_ms": $0] } ?? [:]) { old, _ in old },
            objective: kind == .failures ? .availability : .latency, action: kind.action)
    }

    private func objectiveMs(_ kind: Kind) -> Double? {
        switch kind {
        case .failures: nil
        case .slow: latencyMs
        case .late: ttftMs
        }
    }

    private enum Kind: CaseIterable {
        case failures, slow, late

        var code: String {
            switch self {
            case .failures: "performance.error_budget_burn"
            case .slow: "performance.latency_slo"
            case .late: "performance.ttft_slo"
            }
        }

        func words(_ objectiveMs: Double?) -> String {
            let objective = objectiveMs?.milliseconds ?? ""
            return switch self {
            case .failures: "Failures"
            case .slow: "Answers slower than \(objective)"
            case .late: "First tokens later than \(objective)"
            }
        }

        var action: String {
            switch self {
            case .failures: "Find the failing model among the findings, and take the route's traffic from it."
            case .slow, .late: "Send the route's traffic to a faster model, or shorten prompts and answers."
            }
        }
    }

    private struct Sums: Summable {
        var failures = Counts()
        var slow = Counts()
        var late = Counts()

        mutating func merge(_ other: Sums) {
            failures.merge(other.failures)
            slow.merge(other.slow)
            late.merge(other.late)
        }

        static func + (a: Self, b: Self) -> Self {
            var sum = a
            sum.merge(b)
            return sum
        }

        subscript(kind: Kind) -> Counts {
            switch kind {
            case .failures: failures
            case .slow: slow
            case .late: late
            }
        }

        init() {}

        init(failures: Counts, slow: Counts, late: Counts) {
            (self.failures, self.slow, self.late) = (failures, slow, late)
        }

        init(from decoder: any Decoder) throws {
            var container = try decoder.unkeyedContainer()
            for part in [\Sums.failures, \.slow, \.late] where !container.isAtEnd {
                self[keyPath: part] = try container.decode(Counts.self)
            }
        }

        /// What was not counted is left out, so that a quiet ring is short.
        func encode(to encoder: any Encoder) throws {
            var container = encoder.unkeyedContainer()
            let parts = [failures, slow, late]
            let used = (parts.lastIndex { $0.trials > 0 } ?? -1) + 1
            for part in parts.prefix(used) { try container.encode(part) }
        }
    }
}

extension Counts {
    /// Times above `bound`; nothing without one.
    fileprivate init(_ times: DDSketch, above bound: Double?) {
        self.init()
        if let bound { self.init(times.count(above: bound), of: times.count) }
    }
}

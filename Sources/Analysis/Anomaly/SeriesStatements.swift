import Foundation
import Statistics
import StreamProcessing

extension SeriesWatch {
    /// What stands of the series, the weightiest first: a jump, a slow drift, more swings, an unusual course.
    mutating func statement(_ one: WatchedSeries, _ subject: Subject, _ telling: Telling) -> Observation? {
        jump(one, subject, telling) ?? drift(one, subject, telling) ?? swings(one, subject, telling)
            ?? course(one, subject, telling)
    }

    private mutating func jump(_ one: WatchedSeries, _ subject: Subject, _ telling: Telling) -> Observation? {
        guard let now = level.incident else { return nil }
        let points = Double(max(1, now.span.values.n))
        let error = level.deviation * (1 / points + 1.0 / 30).squareRoot()
        let change = Change(before: now.span.reference, after: now.level, error: error)
        let severity = level.raise(change.severity(one, telling.settings))
        return telling.statement(
            one, subject, change, severity, since: now.span.since, evidence: now.evidence,
            kind: now.isPoint ? "so far a spike" : "its level has jumped", points: points)
    }

    private func drift(_ one: WatchedSeries, _ subject: Subject, _ telling: Telling) -> Observation? {
        guard let now = slow.drift else { return nil }
        let hours = Double(max(1, now.span.values.n)), error = now.deviation / hours.squareRoot()
        let change = Change(before: level.place - now.shift, after: level.place, error: error)
        // A level that came without a jump came slowly.
        let jumped = level.jumpedAt.map { $0 >= now.span.since - 2 * Incident.habituationMs } ?? false
        return telling.statement(
            one, subject, change, min(.warning, change.severity(one, telling.settings)), since: now.span.since,
            evidence: now.evidence,
            kind: jumped ? "its level is not that of the same hours of the weeks before" : "a slow drift",
            points: hours)
    }

    private func swings(_ one: WatchedSeries, _ subject: Subject, _ telling: Telling) -> Observation? {
        guard let now = level.restlessness, let since = level.restlessSince else { return nil }
        let points = Double(now.points), error = 1.96 / (2 * points).squareRoot()
        return telling.observation(
            one.code, subject,
            "\(one.name)\(subject.of) swings \(now.ratio.fixed(1)) times as much as it did.", .info, since: since,
            evidence: telling.limit.single,
            Interval(estimate: now.ratio, lower: now.ratio * (1 - error), upper: now.ratio * (1 + error)),
            ["swings_ratio": now.ratio, "points": points], one.objective, "See what changed at that time.")
    }

    private func course(_ one: WatchedSeries, _ subject: Subject, _ telling: Telling) -> Observation? {
        guard let unusual, telling.isRare(chance) else { return nil }
        return telling.unusual(one.code, subject, one.name, unusual, chance, one.objective)
    }
}

/// From one logarithm to another.
private struct Change {
    var before: Double
    var after: Double
    /// Standard error of the difference.
    var error: Double

    var ratio: Interval {
        let shift = after - before, half = normalQuantile(0.975) * error
        return Interval(estimate: exp(shift), lower: exp(shift - half), upper: exp(shift + half))
    }

    /// Improvements are no alarms; what is neither is one only where it is great.
    func severity(_ one: WatchedSeries, _ settings: AnalyzerSettings) -> Finding.Severity {
        let isGreat = abs(after - before) >= log(settings[.criticalChange])
        if one.isWorse(after > before) { return isGreat ? .critical : .warning }
        return one == .tokens && isGreat ? .warning : .info
    }
}

extension Telling {
    fileprivate func statement(
        _ one: WatchedSeries, _ subject: Subject, _ change: Change, _ severity: Finding.Severity, since: Int64,
        evidence log: Double, kind: String, points: Double
    ) -> Observation {
        let before = exp(change.before), after = exp(change.after), ratio = change.ratio
        let action =
            one.isWorse(change.after > change.before)
            ? "See whether the provider, the prompts or the routing changed; compare the other targets." : ""
        return observation(
            one.code, subject,
            "\(one.name)\(subject.of) is \(one.text(after)), \(ratio.estimate.fixed(2)) times the "
                + "\(one.text(before)) of before: \(kind).",
            severity, since: since, evidence: log, ratio,
            [
                "before_\(one.unit)": before, "now_\(one.unit)": after, "points": points,
                "minutes": Double(window.end - self.since(since).start) / 60_000,
            ],
            one.objective, action)
    }
}

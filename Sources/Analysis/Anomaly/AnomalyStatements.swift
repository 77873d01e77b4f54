import Foundation
import Statistics
import StreamProcessing
import Telemetry

/// What statements of one minute have in common.
struct Telling {
    var window: Window
    var settings: AnalyzerSettings
    var limit: AlarmLimit

    /// Since what has begun with the window that ends at `ms`, one window before.
    func since(_ ms: Int64) -> Window {
        Window(start: min(window.start, ms - (window.end - window.start)), end: window.end)
    }

    func observation(
        _ code: String, _ subject: Subject, _ statement: String, _ severity: Finding.Severity, since: Int64,
        evidence log: Double, _ magnitude: Interval, _ evidence: [String: Double],
        _ objective: Finding.ObjectiveName, _ action: String
    ) -> Observation {
        Observation(
            .anomaly, code, subject, statement, severity: severity, confidence: limit.confidence(log),
            magnitude: magnitude, window: self.since(since),
            evidence: evidence.merging(["log10_e_value": log / M_LN10]) { own, _ in own }, objective: objective,
            action: action)
    }
}

extension Subject {
    /// `of openai/gpt-4o`, or nothing for the route.
    var of: String { name.isEmpty ? "" : " of \(name)" }
}

extension Window {
    fileprivate var minutes: Double { Double(end - start) / 60_000 }
    fileprivate var lasting: String { minutes < 1.5 ? "in this minute" : "for \(minutes.fixed(0)) minutes" }
}

// MARK: Failures and requests

extension CountWatch {
    /// `nil` while the share of failures is what it was.
    mutating func errorStatement(
        _ subject: Subject, _ errors: [ErrorClass: Int64], _ telling: Telling
    ) -> Observation? {
        guard let now = incident else { return nil }
        let failed = Proportion(events: Int64(now.span.values.sum), trials: Int64(now.span.exposure))
        guard let share = failed.rate else { return nil }
        let critical = now.isRise && max(share, now.recent) >= telling.settings[.criticalErrors]
        let severity = raise(now.isRise ? (critical ? .critical : .warning) : .info)
        let span = telling.since(now.span.since), before = now.span.reference
        var evidence = [
            "share_before": before, "share_now": now.recent, "requests": now.span.exposure,
            "failures": now.span.values.sum, "minutes": span.minutes,
        ]
        for (error, count) in errors { evidence["last_minute_\(error.rawValue)"] = Double(count) }
        let bounds = failed.wilson()
        return telling.observation(
            "anomaly.errors", subject,
            "\(share.percent) of the requests\(subject.of) failed \(span.lasting), \(before.percent) before.",
            severity, since: now.span.since, evidence: now.evidence,
            Interval(estimate: share, lower: bounds.lowerBound, upper: bounds.upperBound), evidence, .availability,
            now.isRise ? "See the error classes; send the traffic to another target while it lasts." : "")
    }

    mutating func errorStatement(_ subject: Subject, _ minute: RouteMinute, _ telling: Telling) -> Observation? {
        guard incident != nil else { return nil }
        var errors: [ErrorClass: Int64] = [:]
        for model in minute.models { errors.merge(model.users.errors, uniquingKeysWith: +) }
        return errorStatement(subject, errors, telling)
    }
}

extension TrafficWatch {
    /// Share of the expected requests below which they are gone.
    private static let gone = 0.05
    /// And below which they are few.
    private static let few = 0.25

    mutating func rateStatement(_ telling: Telling) -> Observation? {
        guard let now = rate.incident else { return unusualStatement(telling) }
        let span = telling.since(now.span.since), before = now.span.reference
        let expected = before * now.span.exposure, counted = now.span.values.sum
        guard expected > 0 else { return nil }
        let isGone = !now.isRise && now.recent < Self.gone * before
        let severity = rate.raise(isGone ? .critical : now.recent < Self.few * before ? .warning : .info)
        // Of a Poisson count, by the square root that steadies its variance.
        let root = (counted + 0.375).squareRoot(), z = normalQuantile(0.975) / 2
        let lower = max(0, root - z), upper = root + z
        let magnitude = Interval(
            estimate: counted / expected, lower: lower * lower / expected, upper: upper * upper / expected)
        let words = "\(counted.fixed(0)) requests came \(span.lasting), \(expected.fixed(0)) were to be expected"
        return telling.observation(
            isGone ? "anomaly.traffic_gone" : "anomaly.rate", .route,
            isGone ? "The traffic is gone: \(words)." : "\(words).",
            severity, since: now.span.since, evidence: now.evidence, magnitude,
            [
                "requests": counted, "requests_expected": expected, "requests_per_minute_before": before,
                "requests_per_minute_now": now.recent, "minutes": span.minutes,
            ],
            .availability,
            now.isRise ? "" : "See whether clients reach the gateway, and whether they were told to go elsewhere.")
    }

    private func unusualStatement(_ telling: Telling) -> Observation? {
        guard let unusual, telling.isRare(chance) else { return nil }
        return telling.unusual("anomaly.rate", .route, "The number of requests", unusual, chance, .availability)
    }
}

extension Telling {
    /// Whether what comes by chance so seldom is worth a note, with so many series (Bonferroni).
    func isRare(_ chance: Double) -> Bool { log(chance) + log(Double(limit.series)) <= log(1 - limit.confidence) }

    func unusual(
        _ code: String, _ subject: Subject, _ name: String, _ judgement: AnomalyDetector.Judgement, _ chance: Double,
        _ objective: Finding.ObjectiveName
    ) -> Observation {
        let unlike =
            switch judgement.aspect {
            case .course, .shift: "takes a course unlike any before"
            case .level: "has been further from its level than ever before"
            case .season: "is further from this hour of the week than ever before"
            }
        let ratio = judgement.score / max(1e-9, 1 - judgement.score)
        return Observation(
            .anomaly, code, subject, "\(name)\(subject.of) \(unlike).", severity: .info, confidence: 1 - chance,
            magnitude: Interval(estimate: ratio, lower: 1, upper: max(1, ratio)), window: window,
            evidence: ["share_of_record": ratio, "score": judgement.score], objective: objective,
            action: "See what changed at that time.")
    }
}

// MARK: Models

extension ModelWatch {
    mutating func statements(_ subject: Subject, _ users: WindowAggregate, _ telling: Telling) -> [Observation] {
        var told: [Observation] = []
        if let failures = failures.errorStatement(subject, users.errors, telling) { told.append(failures) }
        // What fixed prompts say is surer, and is not said again.
        if !probes.isOther, let changed = otherModel(subject, telling) { told.append(changed) }
        for one in WatchedSeries.allCases {
            // The median speaks for both.
            if one == .slowLatency, told.contains(where: { $0.code == one.code }) { continue }
            if let seen = series[one.rawValue].statement(one, subject, telling) { told.append(seen) }
        }
        return told
    }

    /// Length and speed of answers that change at the same time.
    private func otherModel(_ subject: Subject, _ telling: Telling) -> Observation? {
        let together: Int64 = 1_800_000
        guard let length = series[WatchedSeries.tokens.rawValue].level.incident,
            let pace = [WatchedSeries.speed, .ttft].compactMap({ series[$0.rawValue].level.incident }).first,
            abs(length.span.since - pace.span.since) <= together
        else { return nil }
        let ratio = exp(length.level - length.span.reference)
        return telling.observation(
            "anomaly.silent_model_change", subject,
            "The length and the pace of the answers\(subject.of) changed together: it may be another model.", .info,
            since: min(length.span.since, pace.span.since), evidence: min(length.evidence, pace.evidence),
            Interval(estimate: ratio, lower: ratio, upper: ratio),
            ["tokens_ratio": ratio, "pace_ratio": exp(pace.level - pace.span.reference)], .quality,
            "Send fixed prompts to it, and compare its answers with those of before.")
    }
}

extension ProbeWatch {
    func statement(_ subject: Subject, _ telling: Telling) -> Observation? {
        guard isOther, let now = incident else { return nil }
        let unlike = Proportion(events: Int64(now.span.values.sum), trials: Int64(now.span.exposure))
        guard let share = unlike.rate else { return nil }
        let bounds = unlike.wilson()
        return telling.observation(
            "anomaly.silent_model_change", subject,
            "\(share.percent) of the answers\(subject.of) to fixed prompts are unlike its first ones, "
                + "\(now.span.reference.percent) before: the model behind the name has changed.",
            .warning, since: now.span.since, evidence: now.evidence,
            Interval(estimate: share, lower: bounds.lowerBound, upper: bounds.upperBound),
            [
                "unlike_before": now.span.reference, "unlike_now": now.recent, "answers": now.span.exposure,
                "output_tokens_ratio": tokenRatio,
            ],
            .quality, "Compare its quality with that of before, and begin a new baseline or pin the model's version.")
    }
}

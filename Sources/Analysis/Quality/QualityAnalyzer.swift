import Statistics
import StreamProcessing

/// What answers are worth: by the feedback on them, and by what they show themselves.
package struct QualityAnalyzer: Analyzer, Equatable {
    package static let kind = AnalyzerKind.quality
    package static let thresholds = Threshold.quality
    /// Models with a state of their own; the others are one.
    private static let mostModels = 64
    private static let other = "(other)"

    private var models: [String: ModelQuality] = [:]
    private var coverage = FeedbackCoverage()

    package init() {}

    package mutating func observe(_ minute: RouteMinute, _ context: RouteContext) -> [Observation] {
        let now = minute.window.end
        if !minute.isGap {
            coverage.add(minute)
            for model in minute.models where model.users.requests > 0 && !model.modelKey.isEmpty {
                models[place(of: model.modelKey), default: ModelQuality()].add(model.users, at: now, context.settings)
            }
            for feedback in minute.feedback { take(feedback, now, context) }
        }
        var seen: [Observation] = []
        for (modelKey, model) in models {
            seen += model.statements(of: modelKey, now: now)
        }
        if let told = coverage.statement(context.settings, now: now) { seen.append(told) }
        return seen.sorted { ($0.code, $0.subject) < ($1.code, $1.subject) }
    }

    private func place(of modelKey: String) -> String {
        models[modelKey] != nil || models.count < Self.mostModels ? modelKey : Self.other
    }

    private mutating func take(_ feedback: ModelFeedback, _ now: Int64, _ context: RouteContext) {
        let modelKey = place(of: feedback.modelKey)
        for name in QualityName.allCases {
            guard let values = feedback.values[name.rawValue], values.n > 0 else { continue }
            var track = models[modelKey]?.tracks[name] ?? QualityTrack()
            if track.baseline == nil {
                track.compareWithFormer(models.values.compactMap { $0.tracks[name] }, at: now)
            }
            track.add(
                values, policy: feedback.policy, of: modelKey, at: now,
                floor: name == .quality ? context.objective.qualityFloor : nil, context.settings)
            models[modelKey, default: ModelQuality()].tracks[name] = track
        }
    }
}

/// What is known of one model on one route.
private struct ModelQuality: Codable, Sendable, Equatable {
    var tracks: [QualityName: QualityTrack] = [:]
    private var signs: [QualitySign: ShareRise] = [:]

    mutating func add(_ users: WindowAggregate, at ms: Int64, _ settings: AnalyzerSettings) {
        let factor = settings[.shareRiseFactor], margin = settings[.shareRise]
        for sign in QualitySign.allCases {
            guard let (bad, of) = sign.count(in: users) else { continue }
            signs[sign, default: ShareRise()].add(bad: bad, of: of, at: ms, factor: factor, margin: margin)
        }
    }

    func statements(of modelKey: String, now: Int64) -> [Observation] {
        var seen: [Observation] = []
        for (name, track) in tracks { seen += track.statements(name, of: modelKey, now: now) }
        for (sign, watch) in signs { if let told = sign.statement(watch, of: modelKey, now: now) { seen.append(told) } }
        return seen
    }
}

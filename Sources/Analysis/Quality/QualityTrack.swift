import Core
import Statistics

/// What feedback of one name says of one model: its baseline, and whether the mean has fallen below that or below the
/// floor.
///
/// The baseline is frozen. A newer version of the policy makes its own, and is compared with the former one until it has
/// it; so is a model that took over from another. A version that is worse does not become the baseline before that
/// has stood for a week.
struct QualityTrack: Codable, Sendable, Equatable {
    private static let dayMs: Int64 = 86_400_000
    private static let acceptedAfterMs = 7 * dayMs
    private static let slowBaselineMs = 7 * dayMs
    /// Share of the answers that is enough once that time is over.
    private static let slowShare = 0.1
    /// A model that has had no feedback for so long has left.
    private static let leftAfterMs: Int64 = 3_600_000

    private(set) var baseline: Baseline?
    private var building: Baseline?
    private var fall: MeanFall?
    private var underFloor: MeanFall?
    private var fellAt: Int64?
    /// Event time of the latest feedback.
    private(set) var latest: Int64 = 0
    /// Over all time, so that the greatest is who served most.
    private(set) var answers: Int64 = 0

    struct Baseline: Codable, Sendable, Equatable {
        var modelKey: String
        var policy: Int
        var since: Int64
        var values = Moments()

        var mean: Double { values.mean ?? 0 }

        /// The mean below which values have fallen by more than `drop`, and by more than the baseline may be wrong.
        func border(_ drop: Double) -> Double { mean - max(drop, normalQuantile(0.995) * (values.standardError ?? 1)) }
    }

    /// Takes in the feedback of one minute and version.
    mutating func add(
        _ values: Moments, policy: Int, of modelKey: String, at ms: Int64, floor: Double?, _ settings: AnalyzerSettings
    ) {
        latest = ms
        answers += values.n
        build(values, policy, modelKey, ms, Int64(settings[.baselineAnswers]))
        if let baseline {
            let border = baseline.border(settings[.qualityDrop])
            if fall?.null != border { fall = MeanFall(below: border, centre: baseline.mean) }
            fall?.add(values, at: ms)
            fellAt = fall?.found == nil ? nil : fellAt ?? ms
        }
        guard let floor else { return underFloor = nil }
        if underFloor?.null != floor { underFloor = MeanFall(below: floor, centre: floor) }
        underFloor?.add(values, at: ms)
    }

    private mutating func build(_ values: Moments, _ policy: Int, _ modelKey: String, _ ms: Int64, _ enough: Int64) {
        if let baseline, baseline.modelKey == modelKey, policy <= baseline.policy { return }
        if policy > building?.policy ?? -1 { building = Baseline(modelKey: modelKey, policy: policy, since: ms) }
        guard building?.policy == policy else { return }
        building?.values.merge(values)
        guard let built = building else { return }
        let isSlow = ms - built.since >= Self.slowBaselineMs
        guard built.values.n >= (isSlow ? Int64(Double(enough) * Self.slowShare) : enough) else { return }
        // Worse than before: that it is usual by now does not make it good.
        if let fellAt, ms - fellAt < Self.acceptedAfterMs { return }
        (baseline, building, fall, fellAt) = (built, nil, nil, nil)
    }

    /// Compares a model without a baseline of its own with that of the one that served most, and has left.
    mutating func compareWithFormer(_ others: some Sequence<QualityTrack>, at ms: Int64) {
        guard baseline == nil else { return }
        baseline =
            others.filter { $0.baseline != nil && ms - $0.latest > Self.leftAfterMs }
            .max { $0.answers < $1.answers }?.baseline
    }

    var fallen: (from: Baseline, run: MeanFall.Run)? {
        guard let baseline, let run = fall?.found else { return nil }
        return (baseline, run)
    }

    var belowFloor: (floor: Double, run: MeanFall.Run)? {
        guard let underFloor, let run = underFloor.found else { return nil }
        return (underFloor.null, run)
    }
}

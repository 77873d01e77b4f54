/// Judges one series of points as they come: is the newest unlike what the series was so far, and is that an alarm?
///
/// Three detectors look at it: the course of the last points, the level and the hour of the week. Each is its own
/// measure, as a share of the highest it has ever said, so that neither unit nor distribution of the series need be
/// known; the strongest counts, as `score`. In noise without end each record is approached again and again, so what
/// wakes a person up is asked for more: a score far above the record, or a shift of many standard deviations.
/// A point takes constant time and the state is bounded: 2 kB, or 3 kB as JSON.
package struct AnomalyDetector: Codable, Sendable, Equatable {
    package enum Aspect: String, Codable, Sendable, CaseIterable { case course, level, season, shift }

    package struct Judgement: Codable, Sendable, Equatable {
        /// 0...1; one half is as unusual as the most unusual course of the past.
        package var score: Double
        /// What stands out most.
        package var aspect: Aspect
        /// No point of the refractory period before this one scored as high: a new event, not more of one.
        package var isNew: Bool
        /// Standard deviations of the last points from where the series just was, signed; 0 during the warm-up.
        package var shift: Double
        /// Worth waking somebody up; again within the refractory period only where it is much worse.
        package var isAlarm: Bool
    }

    /// The score from which on a new event is worth a look, as the files of the Numenta Anomaly Benchmark have it. In
    /// noise without end there are some of those every day.
    package static let notable = 0.34
    /// Points after one that stands out, in which only a higher score is a new event, and only a much stronger one an alarm.
    package static let refractory: Int64 = 200
    /// What is an alarm: a score, or standard deviations that are also more than the record by a factor.
    private static let alarm = (score: 0.6, shift: 6.0, overRecord: 1.15)
    /// What one alarm has to exceed another by, so that a small one hides no outage.
    private static let stronger = 2.5
    /// What each aspect's share of its record weighs.
    private static let weights = (level: 0.5, season: 0.4)
    /// A silence of more than so many intervals is a gap: what comes after it is compared with nothing right before it.
    private static let gap: Int64 = 8
    /// Greater values are taken for this one, so that nothing overflows.
    private static let most = 1e100

    private var count: Int64 = 0
    private var lastAt: Int64 = 0
    /// Between points, as usual; 0 before the second.
    private var intervalMs: Int64 = 0
    private var course = PatternNovelty()
    private var level = RobustLevel()
    private var season = HourOfWeekProfile()
    private var shift = SuddenShift()
    private var shiftRecord = DecayedRecord()
    private var strongest = 0.0
    private var strongestAt: Int64 = 0
    private var alarmAt: Int64?
    private var alarmStrength = 0.0

    package init() {}

    /// Between which values the series usually lies at this time of the week, or of the day before the first week is full.
    func usual(at ms: Int64) -> ClosedRange<Double>? { season.usual(at: ms) }

    /// The mean of this hour of the week in the weeks before.
    func weekMean(at ms: Int64) -> Double? { season.mean(at: ms) }

    /// Points that a record compares with.
    var compared: Double { min(Double(count), DecayedRecord.halfLife) }

    /// `nil` for a value that is not finite: it is as if it had not come.
    ///
    /// - Parameter learnsSeason: whether the hour of the week is to get used to it.
    package mutating func add(_ value: Double, at ms: Int64, learnsSeason: Bool = true) -> Judgement? {
        guard value.isFinite else { return nil }
        let value = max(-Self.most, min(Self.most, value))
        let missing = missing(at: ms)
        count += 1
        var joint = (course.add(value, missing: missing), Aspect.course)
        func consider(_ ratio: Double, _ aspect: Aspect) { if ratio > joint.0 { joint = (ratio, aspect) } }
        consider(Self.weights.level * level.add(value), .level)
        consider(
            Self.weights.season * season.add(value, smoothed: course.shortMean, at: ms, learns: learnsSeason), .season)
        let shift = shift.add(value, missing: missing)
        let shiftRatio = shift.map { shiftRecord.ratio(abs($0)) } ?? 0
        // The first point after a gap has nothing to be compared with.
        if missing > 0 { joint.0 = 0 }
        let score = joint.0 / (1 + joint.0)
        let deviations = abs(shift ?? 0), isShift = deviations > Self.alarm.shift && shiftRatio > Self.alarm.overRecord
        let strength = max(
            isShift ? deviations / Self.alarm.shift : 0, score > Self.alarm.score ? score / Self.alarm.score : 0)
        return Judgement(
            score: score, aspect: isShift ? .shift : joint.1, isNew: isNew(score), shift: shift ?? 0,
            isAlarm: isAlarm(strength))
    }

    /// Points that should have come between the last one and this one; 0 but after a gap.
    private mutating func missing(at ms: Int64) -> Int {
        let (difference, overflows) = ms.subtractingReportingOverflow(lastAt)
        lastAt = ms
        guard count > 0, difference > 0, !overflows else { return 0 }
        let passed = min(difference, 1 << 50)
        guard intervalMs > 0 else {
            intervalMs = passed
            return 0
        }
        guard passed > Self.gap * intervalMs else {
            intervalMs = max(1, intervalMs + (passed - intervalMs) / 16)
            return 0
        }
        let missing = Int(min(passed / intervalMs - 1, 1_000_000))
        // Where every silence is a gap, the measure is wrong.
        intervalMs *= 2
        return missing
    }

    private mutating func isNew(_ score: Double) -> Bool {
        if count - strongestAt > Self.refractory { strongest = 0 }
        guard score > strongest else { return false }
        (strongest, strongestAt) = (score, count)
        return true
    }

    /// - Parameter strength: of what makes an alarm; 0 for nothing out of the ordinary.
    private mutating func isAlarm(_ strength: Double) -> Bool {
        if let alarmAt, count - alarmAt > Self.refractory { alarmStrength = 0 }
        guard strength > Self.stronger * alarmStrength else { return false }
        (alarmAt, alarmStrength) = (count, strength)
        return true
    }
}

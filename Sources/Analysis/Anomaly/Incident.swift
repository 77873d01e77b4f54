import Statistics

/// A series that is not what it was, from when that was certain until it is back, or has been so for a day.
struct Incident: Codable, Sendable, Equatable {
    /// How long something is out of the ordinary until it is the ordinary, milliseconds.
    static let habituationMs: Int64 = 86_400_000
    /// Points from which on it was no burst of noise.
    static let certain: Int64 = 5
    /// Of the last points: the newest counts a third.
    private static let weight = 1.0 / 3

    /// Since it began: earlier than it was certain.
    var span: ChangeEvidence.Span
    let isRise: Bool
    /// Natural logarithm of the e-detector's value when it was certain.
    let evidence: Double
    /// What the last points are, in the unit of the reference.
    private(set) var recent: Double
    /// What stands for it at the worst, so that it does not come and go.
    var severity = Finding.Severity.info

    init(_ span: ChangeEvidence.Span, isRise: Bool, evidence: Double) {
        self.span = span
        self.isRise = isRise
        self.evidence = evidence
        recent = span.exposure > 0 ? span.values.sum / span.exposure : span.reference
    }

    /// The mean since the beginning.
    var level: Double { span.exposure > 0 ? span.values.sum / span.exposure : span.reference }

    /// A point or a spike is over before it is a level.
    var isPoint: Bool { span.values.n <= 3 }

    mutating func add(_ value: Double, exposure: Double = 1) {
        span.values.add(value)
        span.exposure += exposure
        if exposure > 0 { recent += Self.weight * (value / exposure - recent) }
    }

    /// The last points are nearer to what was than to what it became.
    var isBack: Bool {
        let middle = (span.reference + level) / 2
        return isRise ? recent < middle : recent > middle
    }

    func isOld(at ms: Int64) -> Bool { ms - span.since > Self.habituationMs }
}

import Statistics

/// Evidence that a series is no longer what it was, since some moment that is not known.
///
/// For each of four alternatives, the greatest product of likelihood ratios over all moments at which it could have
/// begun; a quarter of the greatest, which is below their mean, is an e-detector (Shin, Ramdas and Rinaldo, "E-detectors", 2023): without a change it needs on
/// average as many points to reach a value as that value is high, however often one looks.
struct ChangeEvidence: Codable, Sendable, Equatable {
    /// A share of the evidence.
    private static let little = 0.25

    /// Natural logarithms.
    private var sums = SIMD4<Double>(repeating: 0)
    /// What came since the evidence rose; `nil` while there is none.
    private(set) var span: Span?

    /// Points, and what they were compared with.
    struct Span: Codable, Sendable, Equatable {
        var since: Int64
        var reference: Double
        /// Points for values, a number of trials for counts.
        var exposure = 0.0
        var values = Moments()
    }

    /// Natural logarithm of the e-detector, at least 0.
    var log: Double { max(0, sums.max() - 1.386_294) }

    /// - Parameters:
    ///   - ratios: natural logarithms of the point's likelihood ratios.
    ///   - limit: from which on the evidence is enough. One point adds at most seven tenths of it, so that two are needed,
    ///     and all together twice.
    mutating func add(
        _ ratios: SIMD4<Double>, value: Double, exposure: Double = 1, reference: Double, at ms: Int64, limit: Double
    ) {
        let most = SIMD4(repeating: 0.7 * limit), none = SIMD4<Double>(repeating: 0)
        let before = sums.max()
        sums = pointwiseMin(pointwiseMax(sums + pointwiseMin(ratios, most), none), 3 * most)
        let after = sums.max()
        guard after > 1 else { return span = nil }
        // What came before most of the evidence was hardly part of the change.
        let known = before < Self.little * after ? nil : span
        var now = known ?? Span(since: ms, reference: reference)
        now.values.add(value)
        now.exposure += exposure
        span = now
    }

    mutating func clear() { self = ChangeEvidence() }
}

/// How much evidence is enough for one series: more where noise alone came close to it before.
struct EvidenceLimit: Codable, Sendable, Equatable {
    /// The limit is raised to at most so much of itself: three points of an outage are always enough.
    private static let most = 1.7
    private static let overRecord = 1.15
    /// A rise is over when so much of its peak is left.
    private static let left = 0.5
    private static let fading = 1 - 0.693 / DecayedRecord.halfLife

    /// The highest rise that was no event, as a share of the limit.
    private var record = 0.0
    private var peak = 0.0

    func needed(_ limit: Double) -> Double { limit * min(Self.most, max(1, Self.overRecord * record)) }

    /// - Parameter evidence: now, in a series that is taken for healthy.
    mutating func watch(_ evidence: Double, limit: Double) {
        record *= Self.fading
        let share = evidence / limit
        if share > peak { peak = share }
        if share < Self.left * peak { over() }
    }

    /// A rise has ended that was noise, as far as one knows.
    mutating func over() {
        record = max(record, peak)
        peak = 0
    }

    /// What rose was an event, and says nothing about noise.
    mutating func forget() { peak = 0 }
}

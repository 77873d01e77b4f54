package import Statistics

/// A comparison of the arms' means whose centre and cap are frozen before the first value that counts: from what was
/// known of the control before the start, or else from the control's first values, which then count for nothing else.
package struct MeanEvidence: Codable, Sendable, Equatable {
    /// Control values from which the centre is taken where it was not known.
    package static let warmup: Int64 = 50

    private let isCapped: Bool
    private var first = Moments()
    /// `nil` until the centre is known.
    package private(set) var difference: MeanDifference?

    /// - Parameters:
    ///   - history: the control before the start.
    ///   - isCapped: whether values count as at most the control's 99.9th percentile, as for the heavy tail of costs.
    package init(history: Moments?, isCapped: Bool = false) {
        self.isCapped = isCapped
        if let history, history.n >= Self.warmup { freeze(history) }
    }

    mutating func add(_ value: Double, isCandidate: Bool, share: Double, unit: UInt32?) {
        if difference != nil {
            difference?.add(value, isCandidate: isCandidate, share: share, unit: unit)
        } else if !isCandidate {
            first.add(value)
            if first.n >= Self.warmup { freeze(first) }
        }
    }

    private mutating func freeze(_ known: Moments) {
        difference = MeanDifference(
            centre: known.mean ?? 0, cap: isCapped ? known.logNormalQuantile(z: 3.0902) ?? .infinity : .infinity)
    }
}

import Foundation

/// One number for each point of `SequentialTest.grid`, in registers: the eighth lane is unused.
private typealias GridValues = SIMD8<Double>

extension GridValues {
    fileprivate init(_ values: [Double]) {
        self.init(repeating: 0)
        for (lane, value) in values.prefix(Self.scalarCount).enumerated() { self[lane] = value }
    }

    /// ln of the mean over the grid of exp.
    fileprivate var logMeanExp: Double {
        var top = self[0]
        for lane in 1..<SequentialTest.grid.count { top = Swift.max(top, self[lane]) }
        var sum = 0.0
        for lane in 0..<SequentialTest.grid.count { sum += exp(self[lane] - top) }
        return top + log(sum / Double(SequentialTest.grid.count))
    }
}

/// The events-split test of `SequentialTest` and the interval dual to it, from counts: the counts decide, not the order
/// in which the events came.
///
/// Events are counted apart for each share that was in force. The evidence against "the risk ratio is at most l"
/// falls with l, so the ratios not ruled out are an interval, which holds at every look.
package struct EventSplit: Sendable, Equatable {
    /// Events while the candidate had `share` of the trials.
    package struct Stratum: Codable, Sendable, Equatable {
        /// Strictly between 0 and 1.
        package var share: Double
        package var candidateEvents: Int64
        package var controlEvents: Int64

        package init(share: Double, candidateEvents: Int64, controlEvents: Int64) {
            self.share = share
            self.candidateEvents = candidateEvents
            self.controlEvents = controlEvents
        }

        enum CodingKeys: String, CodingKey {
            case share
            case candidateEvents = "candidate_events"
            case controlEvents = "control_events"
        }
    }

    /// The risk ratio, candidate over control.
    package struct RiskRatio: Codable, Sendable, Equatable {
        /// The most likely one: 0 or infinite where one arm alone had events, `nil` without any.
        package let estimate: Double?
        package let lowerBound: Double
        /// Infinite where nothing bounds it.
        package let upperBound: Double
    }

    /// The risk ratio that is tolerated, above 0.
    package let tolerance: Double
    /// Ascending by share, each share once.
    package private(set) var strata: [Stratum] = []
    /// For each stratum what an event adds, whichever arm had it; the candidate's add `ratios` on top.
    private var masses: [GridValues] = []
    private static let ratios = GridValues(SequentialTest.grid.map { log($0) })

    package init(tolerance: Double = 1, strata: [Stratum] = []) {
        self.tolerance = tolerance
        for stratum in strata { add(stratum) }
    }

    /// Adds events to their share's stratum; ignored where the share leaves no choice or a count is negative.
    package mutating func add(_ added: Stratum) {
        guard added.share > 0, added.share < 1, added.candidateEvents >= 0, added.controlEvents >= 0 else { return }
        let at = strata.firstIndex { $0.share >= added.share } ?? strata.count
        if at < strata.count, strata[at].share == added.share {
            strata[at].candidateEvents += added.candidateEvents
            strata[at].controlEvents += added.controlEvents
        } else {
            strata.insert(added, at: at)
            masses.insert(Self.mass(share: added.share, tolerance: tolerance), at: at)
        }
    }

    /// ln of the evidence that the risk ratio is above `tolerance`; at ln(1 / alpha) it is shown.
    package var logE: Double {
        var sums = GridValues(repeating: 0), candidate: Int64 = 0
        for at in strata.indices {
            candidate += strata[at].candidateEvents
            sums += masses[at] * Double(strata[at].candidateEvents + strata[at].controlEvents)
        }
        return (sums + Self.ratios * Double(candidate)).logMeanExp
    }

    /// ln of the evidence that the risk ratio is above any other `tolerance`, above 0.
    package func logE(tolerance: Double) -> Double {
        if tolerance == self.tolerance { return logE }
        var sums = GridValues(repeating: 0), candidate: Int64 = 0
        for stratum in strata {
            candidate += stratum.candidateEvents
            let mass = Self.mass(share: stratum.share, tolerance: tolerance)
            sums += mass * Double(stratum.candidateEvents + stratum.controlEvents)
        }
        return (sums + Self.ratios * Double(candidate)).logMeanExp
    }

    /// `SequentialTest.eventMass` at every ratio of the grid.
    private static func mass(share: Double, tolerance: Double) -> GridValues {
        GridValues(SequentialTest.grid.map { SequentialTest.eventMass(share: share, tolerance: tolerance, ratio: $0) })
    }

    // MARK: Risk ratio

    /// Ratios beyond these bounds count as 0 and infinite.
    private static let logRatioLimit = log(1e9)

    /// The risk ratio and what the test does not rule out, on each side except with its alpha over all looks: the lower
    /// bound is above a tolerance exactly where the test at `alpha` has shown the ratio to be above it.
    ///
    /// - Parameter upperAlpha: for the upper bound, from the mirrored test; as `alpha` if `nil`.
    package func riskRatio(alpha: Double, upperAlpha: Double? = nil) -> RiskRatio {
        RiskRatio(
            estimate: mostLikely, lowerBound: lowerBound(alpha: alpha),
            upperBound: 1 / swapped.lowerBound(alpha: upperAlpha ?? alpha))
    }

    /// The highest ratio with evidence of 1 / `alpha` against all up to it; 0 if there is none.
    private func lowerBound(alpha: Double) -> Double {
        let limit = -log(alpha)
        return Self.crossing { logE(tolerance: $0) >= limit }
    }

    /// Candidate and control the other way round.
    private var swapped: EventSplit {
        EventSplit(
            tolerance: 1 / tolerance,
            strata: strata.map {
                Stratum(share: 1 - $0.share, candidateEvents: $0.controlEvents, controlEvents: $0.candidateEvents)
            })
    }

    /// Where the candidate's events are as many as expected of all of them.
    private var mostLikely: Double? {
        let candidate = strata.reduce(0) { $0 + $1.candidateEvents },
            control = strata.reduce(0) { $0 + $1.controlEvents }
        guard candidate + control > 0 else { return nil }
        guard candidate > 0 else { return 0 }
        guard control > 0 else { return .infinity }
        return Self.crossing { ratio in
            strata.reduce(0) { sum, stratum in
                let odds = stratum.share * ratio / (1 - stratum.share)
                return sum + Double(stratum.candidateEvents + stratum.controlEvents) * odds / (1 + odds)
            } <= Double(candidate)
        }
    }

    /// The highest ratio for which `holds`, which falls from true to false; 0 if it never does.
    private static func crossing(_ holds: (Double) -> Bool) -> Double {
        var low = -logRatioLimit, high = logRatioLimit
        guard holds(exp(low)) else { return 0 }
        guard !holds(exp(high)) else { return exp(high) }
        for _ in 0..<60 {
            let middle = (low + high) / 2
            if holds(exp(middle)) { low = middle } else { high = middle }
        }
        return exp(low)
    }
}

/// `SequentialTest.armGivenOutcome` in blocks: sees every trial, for frequent events.
///
/// A block's own shares of the arms stand in for the probability of assignment, so it does not matter that one arm's
/// answers come later or that some of its records are missing: only how events fall among the trials that are there.
/// Whether a block ends must not depend on its outcomes. Turner, Ly and Grünwald, "Generic E-variables for exact
/// sequential k-sample tests that allow for optional stopping", 2021.
package struct OutcomeTest: Codable, Sendable, Equatable {
    /// The control's event rate as known before, 0...1: a wrong one costs power, never validity.
    package let controlRate: Double
    private var sums = [Double](repeating: 0, count: SequentialTest.grid.count)
    /// Of the block that is open.
    private var open = TwoArmCounts(candidateEvents: 0, controlEvents: 0)

    package init(controlRate: Double) { self.controlRate = controlRate }

    package mutating func add(isEvent: Bool, isCandidate: Bool) {
        switch (isCandidate, isEvent) {
        case (true, true): open.candidateEvents += 1
        case (true, false): open.candidateNonEvents += 1
        case (false, true): open.controlEvents += 1
        case (false, false): open.controlNonEvents += 1
        }
    }

    /// Ends the block, if it has trials of both arms; else it goes on.
    ///
    /// - Returns: whether it ended.
    @discardableResult
    package mutating func endBlock() -> Bool {
        let candidate = open.candidateEvents + open.candidateNonEvents
        let control = open.controlEvents + open.controlNonEvents
        guard candidate > 0, control > 0 else { return false }
        let test = SequentialTest.armGivenOutcome(controlRate: controlRate)
        let share = Double(candidate) / Double(candidate + control)
        for (index, increment) in test.increments(open, candidateShare: share).enumerated() {
            sums[index] += increment
        }
        open = TwoArmCounts(candidateEvents: 0, controlEvents: 0)
        return true
    }

    /// ln of the evidence that the candidate's event rate is above the control's; at ln(1 / alpha) it is shown.
    package var logE: Double { logMeanExp(sums) }

    enum CodingKeys: String, CodingKey {
        case sums, open
        case controlRate = "control_rate"
    }
}

import Foundation

/// The running estimates that sequence and test below bet by: those of Waudby-Smith and Ramdas, with half an observation at
/// 1/2 and a variance of 1/4 to start from. Values are on 0...1.
private struct PlugIn: Codable, Sendable, Equatable {
    var n: Int64 = 0
    var sum = 0.5
    var squares = 0.25

    var mean: Double { sum / Double(n + 1) }

    /// The bet for the coming value, from what came before it: √(2 `evidence` / (s² t ln(1 + t))).
    func bet(_ evidence: Double) -> Double {
        let t = Double(n + 1)
        return (2 * evidence / (squares / t * t * log1p(t))).squareRoot()
    }

    mutating func add(_ x: Double) {
        n += 1
        sum += x
        squares += (x - mean) * (x - mean)
    }
}

/// A value brought into its range, and that onto 0...1; `nil` for one that is no number.
private func onUnit(_ value: Double, _ lowest: Double, _ highest: Double) -> Double? {
    let unit = (min(max(value, lowest), highest) - lowest) / (highest - lowest)
    return unit.isNaN ? nil : unit
}

/// A confidence sequence for the mean of values in a known range: valid at every look and every number of values,
/// whatever their distribution.
///
/// The predictable plug-in empirical-Bernstein sequence: Waudby-Smith and Ramdas, "Estimating means of bounded random
/// variables by betting", JRSS B 2023, theorem 2. The order of the values counts, as each is weighted by what was
/// known before it; where it must not count, see `PairedDifferences`.
package struct BoundedMeanSequence: Codable, Sendable, Equatable {
    /// No value weighs more; keeps the correction below finite.
    private static let greatestBet = 0.5

    package let lowest: Double
    package let highest: Double
    private let evidence: Double
    private var plugIn = PlugIn()
    private var bets = 0.0
    private var weighted = 0.0
    private var penalty = 0.0

    /// - Parameters:
    ///   - range: what values can be; wider than a point.
    ///   - alpha: the probability of missing at which the interval is tightest; it holds at any other as well.
    package init(range: ClosedRange<Double> = 0...1, tunedFor alpha: Double = 0.05) {
        lowest = range.lowerBound
        highest = range.upperBound
        evidence = log(2 / alpha)
    }

    package var count: Int64 { plugIn.n }

    /// Adds a value, brought into the range; one that is no number is ignored.
    package mutating func add(_ value: Double) {
        guard let x = onUnit(value, lowest, highest) else { return }
        let bet = min(plugIn.bet(evidence), Self.greatestBet)
        let off = x - plugIn.mean
        // v ψ(λ) with v = 4 (x − mean)² and ψ(λ) = (−ln(1 − λ) − λ) / 4.
        penalty += off * off * (-log1p(-bet) - bet)
        bets += bet
        weighted += bet * x
        plugIn.add(x)
    }

    /// The weighted mean that the interval is around; `nil` without a value.
    package var estimate: Double? { bets > 0 ? lowest + (highest - lowest) * weighted / bets : nil }

    /// Holds the mean at every look together, except with probability `alpha`; the whole range without a value.
    package func interval(alpha: Double) -> ClosedRange<Double> {
        guard bets > 0 else { return lowest...highest }
        let middle = weighted / bets, half = (log(2 / alpha) + penalty) / bets
        let low = min(max(middle - half, 0), 1), high = max(min(middle + half, 1), low)
        return (lowest + (highest - lowest) * low)...(lowest + (highest - lowest) * high)
    }
}

/// A test by betting that the mean of values in a known range is above (or below) a fixed one, valid at every look.
///
/// The wealth of a gambler who bets each value's share on it; if the mean is at most `null`, it reaches 1 / alpha with
/// probability at most alpha. Waudby-Smith and Ramdas (2023), section 4. One logarithm a value.
package struct BettingTest: Codable, Sendable, Equatable {
    /// No bet risks more than this share of the wealth.
    private static let truncation = 0.5

    package let lowest: Double
    package let highest: Double
    /// The mean under test, on 0...1.
    private let null: Double
    private let isBelow: Bool
    private let evidence: Double
    private var plugIn = PlugIn()
    /// ln of the wealth, 0 at the start: an e-value.
    package private(set) var logE = 0.0

    /// - Parameters:
    ///   - below: bets that the mean is below `null`, and not above it.
    ///   - alpha: the probability of a false alarm at which it is quickest.
    package init(
        null: Double, below: Bool = false, range: ClosedRange<Double> = 0...1, tunedFor alpha: Double = 0.01
    ) {
        lowest = range.lowerBound
        highest = range.upperBound
        let unit = (null - range.lowerBound) / (range.upperBound - range.lowerBound)
        self.null = min(max(below ? 1 - unit : unit, 1e-9), 1)
        isBelow = below
        evidence = log(1 / alpha)
    }

    package var count: Int64 { plugIn.n }

    /// Adds a value, brought into the range; one that is no number is ignored.
    package mutating func add(_ value: Double) {
        guard let unit = onUnit(value, lowest, highest) else { return }
        let x = isBelow ? 1 - unit : unit
        logE += log1p(min(plugIn.bet(evidence), Self.truncation / null) * (x - null))
        plugIn.add(x)
    }
}

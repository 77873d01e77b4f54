import Foundation

/// Whether the mean difference of two scores of the same thing, candidate minus control, is above or below a bound:
/// tests and intervals that hold at every look, and do not depend on the order of the pairs.
///
/// Gamblers who each risk a fixed share of their wealth on every pair, with the wealth split evenly among them at the
/// start: if the mean is not on the side they bet on, their wealth together reaches 1 / alpha with probability at most
/// alpha, however often one looks (Ville). "Diversified Kelly betting" of Waudby-Smith and Ramdas, "Estimating means of
/// bounded random variables by betting", JRSS B 2023. A wealth is a product over the pairs, so pairs commute, and it is
/// enough to keep how often each difference occurred.
package struct PairedDifferences: Codable, Sendable, Equatable {
    /// Scores count in so many parts: that bounds the memory to twice as many numbers, and one.
    package static let scale = 1_000
    /// The shares that are risked, from a great difference in few pairs to a small one in thousands.
    private static let bets: [Double] = (0..<8).map { 0.9 * pow(0.5, Double($0)) }

    /// How often each difference, in parts of the scale, occurred.
    private var counts: [Int: Int64] = [:]
    package private(set) var count: Int64 = 0
    private var sum: Int64 = 0

    package init() {}

    /// Adds a pair of scores in parts of the scale, brought into 0...`scale`.
    package mutating func add(candidate: Int, control: Int) {
        func inside(_ score: Int) -> Int { min(max(score, 0), Self.scale) }
        let difference = inside(candidate) - inside(control)
        counts[difference, default: 0] += 1
        count += 1
        sum += Int64(difference)
    }

    /// The mean difference; `nil` without a pair.
    package var mean: Double? { count > 0 ? Double(sum) / Double(count) / Double(Self.scale) : nil }

    /// Natural logarithm of the e-value against a mean of at most `null`, above -1.
    package func logE(above null: Double) -> Double { Self.logE(seen(from: 1), 1 + null) }

    /// Natural logarithm of the e-value against a mean of at least `null`, below 1.
    package func logE(below null: Double) -> Double { Self.logE(seen(from: -1), 1 - null) }

    /// The largest mean such that all smaller ones are ruled out at `alpha`: above `null` exactly when
    /// `logE(above: null)` is past ln(1 / alpha), but for 1e-6.
    package func lowerBound(alpha: Double) -> Double { Self.bound(seen(from: 1), alpha) - 1 }

    /// As `lowerBound`, from above.
    package func upperBound(alpha: Double) -> Double { 1 - Self.bound(seen(from: -1), alpha) }

    /// The differences as distances from the lowest one, or from the highest, 0...2; in order, so that sums are the same
    /// to the last bit.
    private func seen(from side: Double) -> [(distance: Double, times: Double)] {
        counts.sorted { $0.key < $1.key }
            .map { (1 + side * Double($0.key) / Double(Self.scale), Double($0.value)) }
    }

    /// That the mean distance is more than `null`; each wealth is monotone in it.
    private static func logE(_ seen: [(distance: Double, times: Double)], _ null: Double) -> Double {
        let null = max(null, 1e-9)
        return logMeanExp(
            bets.map { bet in
                seen.reduce(0) { $0 + $1.times * log1p(bet * ($1.distance / null - 1)) }
            })
    }

    private static func bound(_ seen: [(distance: Double, times: Double)], _ alpha: Double) -> Double {
        var (low, high) = (0.0, 2.0)
        while high - low > 1e-6 {
            let middle = (low + high) / 2
            if logE(seen, middle) >= -log(alpha) { low = middle } else { high = middle }
        }
        return low
    }
}

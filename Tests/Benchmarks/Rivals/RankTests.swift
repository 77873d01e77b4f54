import Foundation
import Statistics

/// The rank test of two samples (Mann and Whitney, 1947), with average ranks and the correction of ties.
package struct MannWhitney: Sendable, Equatable {
    /// Pairs in which the candidate's value is larger, ties as a half.
    package let candidateU: Double
    package let controlU: Double
    /// Standard deviation of U without a difference.
    package let sigma: Double
    private let candidateCount: Int
    private let controlCount: Int

    /// - Parameters: at least one value each, none of them NaN.
    package init(candidate: [Double], control: [Double]) {
        let all = (candidate.map { ($0, true) } + control.map { ($0, false) }).sorted { $0.0 < $1.0 }
        (candidateCount, controlCount) = (candidate.count, control.count)
        let m = Double(control.count), n = Double(candidate.count)
        var rankSum = 0.0, ties = 0.0, start = 0
        while start < all.count {
            var end = start
            while end < all.count, all[end].0 == all[start].0 { end += 1 }
            let size = Double(end - start), rank = Double(start + end + 1) / 2
            rankSum += rank * Double(all[start..<end].count { $0.1 })
            ties += size * size * size - size
            start = end
        }
        candidateU = rankSum - n * (n + 1) / 2
        controlU = m * n - candidateU
        sigma = (m * n / 12 * (m + n + 1 - ties / ((m + n) * (m + n - 1)))).squareRoot()
    }

    /// Standardised U of the candidate without correction of continuity; 0 where all values are the same.
    package var z: Double { z(continuity: 0) }

    private var centred: Double { candidateU - (candidateU + controlU) / 2 }

    private func z(continuity: Double) -> Double { sigma > 0 ? (centred - continuity) / sigma : 0 }

    /// Two-sided p by the normal approximation with correction of continuity, 0.5 towards the middle.
    package var pTwoSided: Double { sigma > 0 ? min(1, 2 * normalCDF(-(abs(centred) - 0.5) / sigma)) : 1 }

    package var pTwoSidedWithoutContinuity: Double { 2 * normalCDF(-abs(z)) }

    /// p that the candidate's values are larger, with correction of continuity.
    package var pGreater: Double { sigma > 0 ? normalCDF(-z(continuity: 0.5)) : 1 }

    /// Two-sided p from the number of arrangements, without ties; `nil` above 50 values, where it is not needed.
    package var pTwoSidedExact: Double? {
        let n = candidateCount, all = candidateCount + controlCount
        guard all <= 50 else { return nil }
        // ways[k][u]: arrangements in which k of the values so far are the candidate's and U is u.
        let limit = candidateCount * controlCount
        var ways = [[Double]](repeating: [Double](repeating: 0, count: limit + 1), count: n + 1)
        ways[0][0] = 1
        for seen in 0..<all {
            for k in stride(from: min(n, seen + 1), to: 0, by: -1) {
                // As the k-th of its own, the value beats the control's among those before it.
                let beaten = seen - (k - 1)
                guard beaten <= limit else { continue }
                for u in stride(from: limit, through: beaten, by: -1) { ways[k][u] += ways[k - 1][u - beaten] }
            }
        }
        let extreme = Int(max(candidateU, controlU).rounded(.up))
        return min(1, 2 * ways[n][extreme...].reduce(0, +) / ways[n].reduce(0, +))
    }

    /// P(candidate > control) + P(equal) / 2.
    package var superiority: Double { candidateU / (candidateU + controlU) }

    package var cliffsDelta: Double { 2 * superiority - 1 }
}

/// The shift between two samples: the median of all differences candidate minus control (Hodges and Lehmann, 1963), with
/// the interval of order statistics that inverts the rank test's normal approximation.
package struct HodgesLehmann: Sendable, Equatable {
    package let estimate: Double
    package let lower: Double
    package let upper: Double
    /// The interval's ends are the differences of this rank from below and from above.
    package let rank: Int

    /// - Parameters:
    ///   - candidate: at least one value, none of them NaN; so for `control`.
    ///   - confidence: of the two-sided interval, 0..<1.
    package init(candidate: [Double], control: [Double], confidence: Double) {
        let differences = candidate.flatMap { value in control.map { value - $0 } }.sorted()
        let m = Double(control.count), n = Double(candidate.count)
        let reach = normalQuantile((1 + confidence) / 2) * (m * n * (m + n + 1) / 12).squareRoot()
        rank = max(1, Int((m * n / 2 - reach).rounded(.down)))
        estimate = quantile(0.5, ofSorted: differences) ?? .nan
        lower = differences[rank - 1]
        upper = differences[differences.count - rank]
    }
}

import Core
import Statistics

/// Whether the mean of values on 0...1 has fallen below a fixed one, whenever that began and however often one looks.
///
/// For each of a few bets, evidence is multiplied up from e-values and begins anew whenever it is spent, so that a good past
/// does not hide a bad present: Shin, Ramdas, Rinaldo, "E-detectors", 2023. The e-values are those of the empirical
/// Bernstein bound by betting (Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B
/// 2023, theorem 2). Their bet and centre are the same for all values of a block, so the block's moments are enough.
struct MeanFall: Codable, Sendable, Equatable {
    private static let bets = [0.15, 0.3, 0.6]
    /// −ln(1 − bet) − bet, by bet.
    private static let penalties = bets.map { -logarithm(1 - $0) - $0 }
    /// ln of the evidence that is enough: a mean just at the border is taken for lower once in a thousand values on
    /// average at most, and one that is not near it never.
    static let limit = logarithm(1_000 * Double(bets.count))
    /// Evidence beyond this is not kept, so that a mean that has recovered is seen to.
    private static let most = limit + 4
    /// Values of a run that lasts are forgotten by halves from here on.
    private static let mostValues: Int64 = 20_000

    /// The mean that must have been passed, 0...1.
    let null: Double
    /// Where most values are thought to lie; a wrong one costs time, never validity.
    let centre: Double
    private var runs: [Run]

    struct Run: Codable, Sendable, Equatable {
        /// Event time, milliseconds.
        var since: Int64
        var logE = 0.0
        var values = Moments()
    }

    init(below null: Double, centre: Double) {
        self.null = null
        self.centre = centre
        runs = Self.bets.map { _ in Run(since: 0) }
    }

    mutating func add(_ values: Moments, at ms: Int64) {
        guard values.n > 0 else { return }
        let n = Double(values.n)
        let sum = min(max(values.sum, 0), n), squares = min(max(values.sumOfSquares, 0), sum)
        let gain = n * null - sum
        let spread = max(0, squares - 2 * centre * sum + n * centre * centre)
        for place in runs.indices {
            if runs[place].logE <= 0 { runs[place] = Run(since: ms) }
            if runs[place].values.n > Self.mostValues { runs[place].values.halve() }
            runs[place].values.merge(values)
            let added = Self.bets[place] * gain - Self.penalties[place] * spread
            runs[place].logE = min(runs[place].logE + added, Self.most)
        }
    }

    /// What is believed to have happened since the fall; `nil` while there is none. Of several bets the one that began
    /// last, since the others may still remember what was before.
    var found: Run? { runs.lazy.filter { $0.logE >= Self.limit }.max { $0.since < $1.since } }
}

extension Moments {
    fileprivate mutating func halve() {
        let half = n / 2
        let share = Double(half) / Double(n)
        self = Moments(n: half, sum: sum * share, sumOfSquares: sumOfSquares * share)
    }
}

extension MeanFall.Run {
    /// Probability that the mean lies below the border, by the evidence since the run began, 0...1.
    var confidence: Double { 1 - exponential(-logE) }
}

import Core
import Statistics

/// Whether a share has risen above its own past, by time of day, whenever that began and however often one looks.
///
/// The charts are sums of log-likelihood ratios that begin anew at zero (Page, "Continuous inspection schemes", 1954), each
/// of another rise, against the greatest share that is tolerated: an e-detector as in `MeanFall`. The past grows with
/// each hour in which nothing stands, and fades over some days; what has stood for a week becomes the past.
struct ShareRise: Codable, Sendable, Equatable {
    private static let hourMs: Int64 = 3_600_000
    private static let dayMs = 24 * hourMs
    private static let acceptedAfterMs = 7 * dayMs
    /// Parts of the day that have a past of their own.
    private static let parts = 8
    /// What of a part's past an hour leaves.
    private static let fading = 0.95
    /// Trials without which there is no past, over all and of one part.
    private static let fewest = 500.0, fewestOfPart = 200.0
    /// Odds of the risen share against the tolerated one.
    private static let rises = [1.5, 3.0, 10]
    /// A share at the border is taken for higher once in 100,000 answers on average at most.
    private static let limit = logarithm(100_000 * Double(rises.count))
    private static let most = limit + 5
    private static let highest = 0.999

    /// `bad` and `of` by part of the day, one after the other.
    private var past = [Double](repeating: 0, count: 2 * parts)
    private var hour: Int64?
    private var first: Int64 = 0
    private var open = Run(since: 0)
    /// The past's share and the tolerated one; `nil` while there is no past.
    private var border: Border?
    private var runs: [Run] = rises.map { _ in Run(since: 0) }
    private var foundAt: Int64?

    private struct Border: Codable, Sendable, Equatable {
        var past: Double
        var tolerated: Double
        /// What a bad one and a good one add, by rise.
        var bad: [Double]
        var good: [Double]
    }

    private struct Run: Codable, Sendable, Equatable {
        var since: Int64
        var logE = 0.0
        var bad: Int64 = 0
        var of: Int64 = 0
    }

    mutating func add(bad: Int64, of: Int64, at ms: Int64, factor: Double, margin: Double) {
        if hour != ms / Self.hourMs { turn(to: ms, factor, margin) }
        open.bad += bad
        open.of += of
        guard let border else { return }
        for place in runs.indices {
            if runs[place].logE <= 0 {
                if bad == 0 { continue }
                runs[place] = Run(since: ms)
            }
            runs[place].bad += bad
            runs[place].of += of
            let added = Double(bad) * border.bad[place] + Double(of - bad) * border.good[place]
            runs[place].logE = min(runs[place].logE + added, Self.most)
        }
        foundAt = isFound ? foundAt ?? ms : nil
    }

    private var isFound: Bool { runs.contains { $0.logE >= Self.limit } }

    /// Adds the hour that is over to the past, and sets what is tolerated in the one that begins.
    private mutating func turn(to ms: Int64, _ factor: Double, _ margin: Double) {
        if let hour {
            let lasted = foundAt.map { ms - $0 >= Self.acceptedAfterMs }
            if lasted ?? true {
                let place = Self.part(hour)
                past[place] = past[place] * Self.fading + Double(open.bad)
                past[place + 1] = past[place + 1] * Self.fading + Double(open.of)
            }
        } else {
            first = ms
        }
        hour = ms / Self.hourMs
        open = Run(since: ms)
        border = ms - first < Self.dayMs ? nil : makeBorder(ms / Self.hourMs, factor, margin)
    }

    private static func part(_ hour: Int64) -> Int {
        let ofDay = Int((hour % 24 + 24) % 24)
        return 2 * (ofDay * parts / 24)
    }

    private func makeBorder(_ hour: Int64, _ factor: Double, _ margin: Double) -> Border? {
        var bad = 0.0, of = 0.0
        for place in stride(from: 0, to: past.count, by: 2) {
            bad += past[place]
            of += past[place + 1]
        }
        guard of >= Self.fewest else { return nil }
        let place = Self.part(hour)
        let usual = past[place + 1] >= Self.fewestOfPart ? past[place] / past[place + 1] : 0
        let share = max(bad / of, usual)
        let upper = Proportion(events: Int64(share * of), trials: Int64(of)).wilson(confidence: 0.99).upperBound
        let tolerated = min(max(upper * factor, upper + margin), Self.highest)
        let risen = Self.rises.map { tolerated * $0 / (1 - tolerated + tolerated * $0) }
        return Border(
            past: share, tolerated: tolerated, bad: risen.map { logarithm($0 / tolerated) },
            good: risen.map { logarithm((1 - $0) / (1 - tolerated)) })
    }

    struct Found: Sendable, Equatable {
        var since: Int64
        var seen: Proportion
        var past: Double
        var border: Double
        var confidence: Double
    }

    /// What is believed to have happened since the rise; `nil` while there is none.
    var found: Found? {
        guard isFound, let border,
            let best = runs.filter({ $0.logE >= Self.limit }).max(by: { $0.since < $1.since })
        else { return nil }
        return Found(
            since: best.since, seen: Proportion(events: best.bad, trials: best.of), past: border.past,
            border: border.tolerated, confidence: 1 - exponential(-best.logE))
    }
}

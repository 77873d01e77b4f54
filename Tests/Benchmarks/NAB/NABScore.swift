import Foundation

/// The scoring rules of the Numenta Anomaly Benchmark (Lavin and Ahmad, "Evaluating real-time anomaly detection
/// algorithms", 2015), written from their description.
///
/// A window found earns up to 1, the more the earlier in it; one not found costs `missed`; an alarm outside of every
/// window costs up to `falseAlarm`, less right behind a window. The first 15 % of a file, at most 750 points, are not
/// scored. 0 is what saying nothing scores, 100 what finding every window at its start does, without a false alarm.
struct NABProfile {
    var falseAlarm: Double
    var missed: Double
    static let standard = NABProfile(falseAlarm: 0.11, missed: 1)
    static let lowFalsePositives = NABProfile(falseAlarm: 0.22, missed: 1)
    static let lowFalseNegatives = NABProfile(falseAlarm: 0.11, missed: 2)
}

/// What one file adds to the total, threshold by threshold, over saying nothing.
struct NABFile {
    /// Adding `gain` from the threshold `score` on downwards.
    struct Change {
        var score: Double
        var gain: Double
    }
    var changes: [Change]
    var windows: Int

    /// - Parameters:
    ///   - scores: of each point, 0...1; 0 is never an alarm.
    ///   - windows: of indices, ascending, not overlapping.
    init(scores: [Double], windows: [ClosedRange<Int>], profile: NABProfile) {
        let unscored = min(Int(0.15 * Double(scores.count)), 750)
        let most = Self.sigmoid(-1)
        var changes: [Change] = [], found = windows.map { _ in [Change]() }, next = 0
        for index in scores.indices {
            while next < windows.count, index > windows[next].upperBound { next += 1 }
            guard index >= unscored, scores[index] > 0 else { continue }
            if next < windows.count, windows[next].contains(index) {
                let left = Double(windows[next].upperBound - index + 1) / Double(windows[next].count)
                found[next].append(Change(score: scores[index], gain: Self.sigmoid(-left) / most))
            } else {
                let past = next > 0 ? Self.past(windows[next - 1], index) : .infinity
                changes.append(Change(score: scores[index], gain: profile.falseAlarm * Self.sigmoid(past)))
            }
        }
        for window in found {
            var best = -profile.missed
            for one in window.sorted(by: { ($0.score, $0.gain) > ($1.score, $1.gain) }) where one.gain > best {
                changes.append(Change(score: one.score, gain: one.gain - best))
                best = one.gain
            }
        }
        self.changes = changes
        self.windows = windows.count
    }

    /// In widths of the window before.
    private static func past(_ window: ClosedRange<Int>, _ index: Int) -> Double {
        Double(index - window.upperBound) / Double(max(1, window.count - 1))
    }

    /// From 1 far before through 0 at the end of a window to -1 far behind it.
    private static func sigmoid(_ position: Double) -> Double { position > 3 ? -1 : 2 / (1 + exp(5 * position)) - 1 }
}

extension [NABFile] {
    /// The threshold with the highest total, midway to the next score below.
    var bestThreshold: Double {
        let changes = flatMap(\.changes).sorted { $0.score > $1.score }
        var total = 0.0, best = 0.0, threshold = Double.infinity
        for (index, change) in changes.enumerated() {
            total += change.gain
            let below = index + 1 < changes.count ? changes[index + 1].score : 0
            if below < change.score, total > best { (best, threshold) = (total, (change.score + below) / 2) }
        }
        return threshold
    }

    /// 0...100, or below 0 where saying nothing is better; 0 without a window.
    func score(threshold: Double, profile: NABProfile) -> Double {
        let windows = reduce(0) { $0 + $1.windows }
        guard windows > 0 else { return 0 }
        let gain = reduce(0) { $0 + $1.changes.reduce(0) { $1.score >= threshold ? $0 + $1.gain : $0 } }
        return 100 * gain / (Double(windows) * (1 + profile.missed))
    }

    /// The threshold from one half of the files, drawn at random, and the score of the other half with it.
    func splitScore(profile: NABProfile, using generator: inout some RandomNumberGenerator) -> Double {
        let files = shuffled(using: &generator)
        let threshold = Array(files.prefix(count / 2)).bestThreshold
        return Array(files.dropFirst(count / 2)).score(threshold: threshold, profile: profile)
    }
}

import Foundation
import Statistics

/// The share that events usually have, from the hours in which nothing was wrong: newer ones count for more.
struct PastShare: Codable, Sendable, Equatable {
    /// What an hour leaves of what was before it: half of it is gone after a day.
    private static let fading = exp2(-1.0 / 24)
    /// Trials below which nothing is known.
    private static let fewest = 500.0

    private var trials = 0.0
    private var events = 0.0

    /// The highest that it may well have been (one-sided 90 %); `nil` while too little is known.
    private(set) var upper: Double?

    mutating func add(_ hour: Counts) {
        trials = trials * Self.fading + Double(hour.trials)
        events = events * Self.fading + Double(hour.events)
        let all = Proportion(events: Int64(events), trials: Int64(trials))
        upper = trials >= Self.fewest ? all.wilson(confidence: 0.8).upperBound : nil
    }

    var known: (trials: Double, rate: Double)? { upper.map { _ in (trials, events / trials) } }
}

/// The usual levels of some positive numbers, as logarithms: those of late and those of each hour of the day (UTC).
struct PastLevels: Codable, Sendable, Equatable {
    private static let hours = 24
    private static let fading = exp2(-1.0 / 12)
    /// How far an hour of the day moves towards what it was today.
    private static let learning: Float = 0.3
    /// Values below which nothing is known.
    private static let fewest = 200.0
    /// What is asked for in addition before a whole day is known, since its course is not.
    private static let caution = log(2.0)

    private let width: Int
    private var weight = 0.0
    private var sums: [Double]
    private var seen = 0
    /// By hour of the day, `width` each; empty until the first hour.
    private var byHour: [Float] = []
    private var isHourKnown: UInt32 = 0

    init(width: Int) {
        self.width = width
        sums = [Double](repeating: 0, count: width)
    }

    /// Adds what an hour showed in `count` values.
    mutating func add(_ logs: [Double], count: Int64, hour: Int64) {
        guard logs.count == width, count > 0, logs.allSatisfy(\.isFinite) else { return }
        weight = weight * Self.fading + Double(count)
        for place in sums.indices { sums[place] = sums[place] * Self.fading + logs[place] * Double(count) }
        seen = min(seen + 1, Self.hours)
        if byHour.isEmpty { byHour = [Float](repeating: 0, count: Self.hours * width) }
        let hour = Int(hour % Int64(Self.hours)), isNew = isHourKnown & (1 << UInt32(hour)) == 0
        isHourKnown |= 1 << UInt32(hour)
        for place in 0..<width {
            let old = byHour[hour * width + place], now = Float(logs[place])
            byHour[hour * width + place] = isNew ? now : old + Self.learning * (now - old)
        }
    }

    /// In how many values, faded.
    var count: Double? { weight >= Self.fewest ? weight : nil }

    /// The level number `place` that is usual at `hour`: the higher of what it was of late and at this hour of the day.
    func highest(_ place: Int, hour: Int64) -> Double { max(sums[place] / weight, atHour(place, hour) ?? -.infinity) }

    private func atHour(_ place: Int, _ hour: Int64) -> Double? {
        let hour = Int(hour % Int64(Self.hours))
        return isHourKnown & (1 << UInt32(hour)) == 0 ? nil : Double(byHour[hour * width + place])
    }

    /// What a change has to exceed in addition, as a logarithm.
    var caution: Double { seen < Self.hours ? Self.caution : 0 }
}

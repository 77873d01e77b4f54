import Core
import Foundation
import Statistics
import StreamProcessing
import Telemetry

/// What is known of the cost of one model on one route; about 15 kB at most.
struct ModelCost: Codable, Sendable, Equatable {
    static let hourMs: Int64 = 3_600_000
    /// What prompts of one size cost counts half after so many hours.
    private static let halfLifeHours = 72.0
    /// Sizes of prompts that are told apart.
    private static let mostSizes = 8

    /// A week, the last hour, and a week by quarters of days, all at the prices of now.
    private var hours = TimeRing<UsageSums>(slotMs: hourMs, capacity: 168)
    private var recent = TimeRing<UsageSums>(slotMs: 300_000, capacity: 12)
    private(set) var quarters = TimeRing<OutcomeSums>(slotMs: 6 * hourMs, capacity: 28)
    private(set) var price = PriceTrack()
    private(set) var rise = RiseDetector()
    private(set) var reference: CostReference?
    private(set) var sizes: [String: OutcomeSums] = [:]
    private var sizesAt: Int64 = 0
    private(set) var firstAt: Int64?
    private var hour: Int64 = -1

    init() {}

    mutating func observe(
        _ aggregate: WindowAggregate, _ listed: TokenPrice?, _ settings: AnalyzerSettings, at ms: Int64
    ) {
        if firstAt == nil { firstAt = ms }
        enterHour(ms)
        let least = settings[.priceChange]
        if let change = price.list(listed, usage: hours.sum(hours.capacity), least: log1p(least), at: ms) {
            reprice(change)
        }
        let usage = UsageSums(aggregate)
        if let change = price.pay(aggregate, least: least, at: ms) { reprice(change) }
        hours.add(usage, at: ms)
        recent.add(usage, at: ms)
        quarters.add(OutcomeSums(aggregate), at: ms)
        if let reference, !price.isUndecided {
            rise.add(usage, reference, margin: settings[.costRise], at: ms)
        }
    }

    /// Compares with the past hours that are like the one which begins.
    mutating func enterHour(_ ms: Int64) {
        guard ms / Self.hourMs != hour else { return }
        hour = ms / Self.hourMs
        hours.advance(to: ms)
        recent.advance(to: ms)
        quarters.advance(to: ms)
        let past = CostReference.slots(of: hours.newest(hours.capacity))
        reference = CostReference(past.slots, isSeasonal: past.isSeasonal)
    }

    /// The past hours that the reference is made from.
    var past: (slots: [UsageSums], isSeasonal: Bool) { CostReference.slots(of: hours.newest(hours.capacity)) }

    /// What was is from now on told in the new price, so that a price is no rise.
    private mutating func reprice(_ change: PriceTrack.Change) {
        func factor(_ input: Double, _ cached: Double, _ output: Double) -> Double {
            guard let before = change.before?.cost(input: input, cached: cached, output: output), before > 0,
                let after = change.after?.cost(input: input, cached: cached, output: output)
            else { return change.ratio }
            return after / before
        }
        hours.transform { $0.reprice(factor($0.input, $0.cached, $0.output)) }
        recent.transform { $0.reprice(factor($0.input, $0.cached, $0.output)) }
        quarters.transform { $0.reprice(factor($0.input, 0, $0.output)) }
        for size in sizes.keys { sizes[size]?.reprice(change.ratio) }
        reference?.reprice(change.ratio)
        rise.reset()
    }

    mutating func take(quality: Moments, at ms: Int64) { quarters.add(OutcomeSums(quality: quality), at: ms) }

    /// Results of an hour for prompts of one size.
    ///
    /// - Parameter longFactor: how many times the median length is over-long.
    mutating func take(size: String, _ aggregate: WindowAggregate, longFactor: Double, at ms: Int64) {
        if sizesAt > 0, ms > sizesAt {
            let weight = pow(0.5, Double(ms - sizesAt) / (Double(Self.hourMs) * Self.halfLifeHours))
            for name in sizes.keys { sizes[name]?.sums *= Float(weight) }
        }
        sizesAt = max(sizesAt, ms)
        guard sizes[size] != nil || sizes.count < Self.mostSizes else { return }
        sizes[size, default: OutcomeSums()].merge(OutcomeSums(aggregate))
        if let long = aggregate[.outputTokens].sketch.excess(overMedianTimes: longFactor) {
            quarters.add(OutcomeSums(excess: long.total, overlong: long.count), at: ms)
        }
    }

    /// Of the last minutes, since `ms`, at most an hour and at least five minutes.
    func usage(since ms: Int64, now: Int64) -> UsageSums {
        recent.sum(Int(max(1, (now / recent.slotMs) - (ms / recent.slotMs) + 1)))
    }

    /// The last 18 to 24 hours, and how many days that is; `nil` below six hours.
    func lastDay(now: Int64) -> (sums: OutcomeSums, days: Double)? {
        guard let firstAt else { return nil }
        let start = max(firstAt, (now / quarters.slotMs - 3) * quarters.slotMs)
        let span = now - start
        guard span >= 6 * Self.hourMs else { return nil }
        return (quarters.sum(4), Double(span) / 86_400_000)
    }
}

extension DDSketch {
    private static let fewest: Int64 = 50
    /// Steps by which the tail is added up, as a ratio.
    private static let step = 1.1

    /// What values have beyond so many times the median, all together, and how many have it; `nil` for too few values.
    func excess(overMedianTimes factor: Double) -> (total: Double, count: Double)? {
        guard count >= Self.fewest, let median = quantile(0.5), let highest = quantile(1), median > 0 else {
            return nil
        }
        var total = 0.0, from = median * factor
        let over = count(above: from)
        while from < highest {
            let to = from * Self.step
            total += Double(count(above: from) + count(above: to)) / 2 * (min(to, highest) - from)
            from = to
        }
        return (total, Double(over))
    }
}

import Core
import Foundation
import Statistics
import StreamProcessing

/// The price of one model as it is paid: what requests cost against what their tokens cost by the list. A change shows
/// without chance, because a cost is tokens times prices.
struct PriceTrack: Codable, Sendable, Equatable {
    struct Change: Codable, Sendable, Equatable {
        /// Milliseconds since the epoch.
        var at: Int64
        /// Of what the same requests cost, after to before.
        var ratio: Double
        /// The list, where that changed; `nil` where only the costs say so.
        var before: TokenRates?
        var after: TokenRates?
    }

    /// What is cheaper every day at the same time.
    struct Schedule: Sendable, Equatable {
        /// Minutes of the day, UTC.
        var from: Int
        var to: Int
        /// Of the price then to the price else, below 1.
        var ratio: Double
        /// On which it was seen to begin.
        var days: Int
        var lastAt: Int64
    }

    static let mostChanges = 16
    private static let warmUp = 30
    /// Minutes that have to agree.
    private static let witnesses = 3
    private static let fewest: Int64 = 5
    /// Times of the day and ratios that are the same, minutes and share.
    private static let sameTime = 20
    private static let sameRatio = 0.1

    private(set) var listed: TokenRates?
    private(set) var changes: [Change] = []
    /// Of ln(paid / by the list), and its usual deviation.
    private var level = 0.0
    private var spread = 0.0
    private var seen = 0
    private var pending: [Double] = []
    private var pendingAt: Int64 = 0

    init() {}

    /// Minutes are being looked at whose cost may turn out to be another price.
    var isUndecided: Bool { !pending.isEmpty }

    var rates: TokenRates { listed ?? .unlisted }

    /// The list as it is now; a change is returned once.
    ///
    /// - Parameter usage: of the days before: what the tokens are that the new price is for.
    mutating func list(_ price: TokenPrice?, usage: UsageSums, least: Double, at ms: Int64) -> Change? {
        let new = price.map { TokenRates($0) }
        guard new != listed else { return nil }
        defer { listed = new }
        guard let new, let old = listed else {
            (level, spread, seen, pending) = (0, 0, 0, [])
            return nil
        }
        let known = usage.input + usage.output > 0
        let before = known ? old.cost(usage) : old.cost(input: 3, cached: 0, output: 1)
        let after = known ? new.cost(usage) : new.cost(input: 3, cached: 0, output: 1)
        pending = []
        guard before > 0, after > 0, abs(log(after / before)) >= least else { return nil }
        return record(Change(at: ms, ratio: after / before, before: old, after: new))
    }

    /// What was paid in a minute; a change is returned once it is sure.
    ///
    /// - Parameter least: change that counts, as a share.
    mutating func pay(_ aggregate: WindowAggregate, least: Double, at ms: Int64) -> Change? {
        let cost = aggregate.cost, counted = aggregate.inputTokens.n
        // Costs and tokens must be of the same requests.
        guard cost.n >= Self.fewest, abs(counted - cost.n) * 50 <= cost.n, cost.sum > 0 else { return nil }
        let listedCost = rates.cost(
            input: aggregate.inputTokens.sum, cached: aggregate[.cachedTokens].moments.sum,
            output: aggregate.outputTokens.sum)
        guard listedCost > 0 else { return nil }
        let ratio = log(cost.sum / 1e3 / listedCost), deviation = ratio - level
        guard seen >= Self.warmUp else {
            seen += 1
            level += deviation / Double(seen)
            spread += ((seen > 1 ? abs(deviation) : 0) - spread) / Double(seen)
            return nil
        }
        guard abs(deviation) > max(log1p(least), 6 * spread) else {
            pending = []
            level += 0.05 * deviation
            spread += 0.05 * (abs(deviation) - spread)
            return nil
        }
        if pending.isEmpty { pendingAt = ms }
        pending.append(ratio)
        guard pending.count >= Self.witnesses else { return nil }
        let last = pending.suffix(Self.witnesses), low = last.min() ?? 0, high = last.max() ?? 0
        guard high - low <= max(log1p(least), 4 * spread) else {
            // Neither the old price nor a new one: it is not known what is paid.
            if pending.count > 10 { (seen, pending) = (0, []) }
            return nil
        }
        let new = last.reduce(0, +) / Double(last.count), change = exp(new - level)
        level = new
        pending = []
        return record(Change(at: pendingAt, ratio: change, before: nil, after: nil))
    }

    private mutating func record(_ change: Change) -> Change {
        changes.append(change)
        if changes.count > Self.mostChanges { changes.removeFirst() }
        return change
    }

    /// What recurs by the hour of the day, on two days at least, and not only formerly.
    func schedule(now: Int64) -> Schedule? {
        let cheaper = changes.filter { $0.ratio < 1 }, dearer = changes.filter { $0.ratio > 1 }
        guard let begin = cheaper.last(where: { one in Self.days(cheaper.filter { Self.alike($0, one) }) >= 2 }),
            let end = dearer.last(where: { abs(log($0.ratio * begin.ratio)) <= Self.sameRatio })
        else { return nil }
        let lastAt = max(begin.at, end.at)
        guard now - lastAt < 26 * 3_600_000 else { return nil }
        return Schedule(
            from: Self.minuteOfDay(begin.at), to: Self.minuteOfDay(end.at), ratio: begin.ratio,
            days: Self.days(cheaper.filter { Self.alike($0, begin) }), lastAt: lastAt)
    }

    /// Whether the change is what the schedule says.
    static func belongs(_ change: Change, to schedule: Schedule) -> Bool {
        let place = change.ratio < 1 ? schedule.from : schedule.to
        let ratio = change.ratio < 1 ? schedule.ratio : 1 / schedule.ratio
        return near(minuteOfDay(change.at), place) && abs(log(change.ratio / ratio)) <= sameRatio
    }

    private static func alike(_ a: Change, _ b: Change) -> Bool {
        near(minuteOfDay(a.at), minuteOfDay(b.at)) && abs(log(a.ratio / b.ratio)) <= sameRatio
    }

    private static func near(_ a: Int, _ b: Int) -> Bool {
        let apart = abs(a - b)
        return min(apart, 1_440 - apart) <= sameTime
    }

    private static func days(_ changes: [Change]) -> Int { Set(changes.map { $0.at / 86_400_000 }).count }

    static func minuteOfDay(_ ms: Int64) -> Int { Int(ms / 60_000 % 1_440) }
}

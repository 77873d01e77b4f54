import Foundation
import Statistics

/// What a request cost before, at today's prices. Money is in micro-dollars.
struct CostReference: Codable, Sendable, Equatable {
    /// Fewer requests are no past.
    private static let fewest = 200.0
    /// Requests from which on an hour counts as one.
    private static let fewestAnHour = 20.0
    /// What hours differ by for all that few of them tell, as a share; its weight falls with their number.
    private static let priorBetween = 0.15

    /// Of a request.
    var mean: Double
    var variance: Double
    var requests: Double
    /// Standard deviation between hours of the logarithm of their mean, beyond what chance makes of the same traffic.
    var between: Double
    /// Tokens a request.
    var input: Double
    var output: Double
    /// Its hours of the day were compared, not all hours.
    var isSeasonal: Bool

    /// `nil` where there is too little to compare with.
    init?(_ slots: [UsageSums], isSeasonal: Bool) {
        var total = UsageSums(), used: [UsageSums] = []
        for slot in slots where slot.priced >= Self.fewestAnHour {
            total.merge(slot)
            used.append(slot)
        }
        guard used.count >= 2, total.priced >= Self.fewest, let mean = total.mean, mean > 0,
            let variance = total.moments.variance
        else { return nil }
        var squares = 0.0
        for slot in used {
            guard let own = slot.mean, own > 0 else { continue }
            let deviation = log(own / mean)
            squares += deviation * deviation - variance / (mean * mean * slot.priced)
        }
        let count = Double(used.count), prior = Self.priorBetween * Self.priorBetween
        self.mean = mean
        self.variance = variance
        requests = total.priced
        between = ((max(0, squares) + prior) / count).squareRoot()
        input = total.input / max(1, total.requests)
        output = total.output / max(1, total.requests)
        self.isSeasonal = isSeasonal
    }

    mutating func reprice(_ factor: Double) {
        mean *= factor
        variance *= factor * factor
    }

    /// Standard deviation of a request as a share of its mean.
    var variation: Double { variance.squareRoot() / mean }

    /// Which hours of the past are like the coming one.
    ///
    /// The same hour of other days, and the ones beside it, once two days have them; until then all.
    /// - Parameter back: the newest hours, oldest first; the last one is running.
    static func slots(of back: [UsageSums]) -> (slots: [UsageSums], isSeasonal: Bool) {
        let last = back.count - 1
        var same: [UsageSums] = [], days = 0
        for day in 1...7 {
            let near = (-1...1).compactMap { hour in
                let place = last - 24 * day + hour
                return back.indices.contains(place) ? back[place] : nil
            }
            if near.contains(where: { $0.priced >= fewestAnHour }) { days += 1 }
            same += near
        }
        return days >= 2 ? (same, true) : (Array(back.dropLast()), false)
    }
}

/// Finds that requests cost more than before: the cumulative sum of what each minute's mean exceeds the reference by.
///
/// Page's scheme (1954) on logarithms of means, against the upper edge of what hours differ by. No minute counts for
/// more than `cap` deviations, so that no single request is a rise; three minutes are the least.
struct RiseDetector: Codable, Sendable, Equatable {
    private static let allowance = 0.5
    private static let limit = 10.0
    private static let cap = 4.0
    /// Fewer requests are added to the next minute's.
    private static let fewest = 20.0
    /// Standard deviations between hours that are no rise.
    private static let hourly = 2.0

    private var sum = 0.0
    /// It stands from the limit until the sum is used up.
    private(set) var stands = false
    /// When the sum began to grow, milliseconds since the epoch.
    private(set) var onset: Int64 = 0
    private var priced = 0.0
    private var cost = 0.0
    /// Of the logarithm of the means, and how much more they scatter than independent requests would: squared, at least 1.
    private var level: Double?
    private var dispersion = 1.0

    init() {}

    /// - Parameter margin: what the cost may be higher by, as a share.
    mutating func add(_ usage: UsageSums, _ reference: CostReference, margin: Double, at ms: Int64) {
        priced += usage.priced
        cost += usage.cost
        guard priced >= Self.fewest, cost > 0, reference.mean > 0 else { return }
        let mean = log(cost / priced), error = max(1e-3, reference.variation / priced.squareRoot())
        (priced, cost) = (0, 0)
        if let level {
            let z = (mean - level) / error
            dispersion += 0.01 * (min(z * z, 25) - dispersion)
        }
        level = (level ?? mean) + 0.1 * (mean - (level ?? mean))
        let allowed = log(reference.mean * (1 + margin)) + Self.hourly * reference.between
        let z = (mean - allowed) / (error * max(1, dispersion).squareRoot())
        if sum == 0 { onset = ms }
        sum = min(2 * Self.limit, max(0, sum + max(-Self.cap, min(Self.cap, z)) - Self.allowance))
        if sum >= Self.limit { stands = true }
        if sum == 0 { stands = false }
    }

    /// What was paid changed for another reason: what it seemed to say is forgotten.
    mutating func reset() {
        let dispersion = dispersion
        self = RiseDetector()
        self.dispersion = dispersion
    }
}

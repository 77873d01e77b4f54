package import Core
package import Statistics

/// What a judge may still spend in a day of UTC. What it will cost is set aside before it is asked.
package struct JudgeBudget {
    package let limit: NanoUSD
    /// Since the start.
    package private(set) var spent = NanoUSD.zero
    private var day: Int64 = .min
    private var today = NanoUSD.zero

    package init(limit: NanoUSD) { self.limit = limit }

    /// - Parameter now: milliseconds since the epoch.
    /// - Returns: `false` if it is more than is left.
    package mutating func reserve(_ amount: NanoUSD, now: Int64) -> Bool {
        let current = now / 86_400_000
        if current != day { (day, today) = (current, .zero) }
        // No overflow: neither is negative.
        guard amount <= limit, today.value <= limit.value - amount.value else { return false }
        today = today + amount
        return true
    }

    /// Replaces what was set aside by what it was. Over midnight the new day bears none of it.
    package mutating func settle(reserved: NanoUSD, cost: NanoUSD, now: Int64) {
        spent = spent + cost
        guard now / 86_400_000 == day else { return }
        today = NanoUSD(max(0, today.value - reserved.value + cost.value))
    }
}

/// How a judge has fared in its latest checks, and whether it is listened to.
package struct JudgeRecord {
    /// Checks after which it is known what the judge is worth.
    package static let enough = 20
    /// Older ones are forgotten, so that a judge can make good.
    package static let most = 200

    package init() {}

    private var results: [Bool] = []
    private var next = 0

    package mutating func add(_ passed: Bool) {
        if results.count < Self.most { results.append(passed) } else { results[next] = passed }
        next = (next + 1) % Self.most
    }

    package var accuracy: Proportion {
        Proportion(events: Int64(results.count { $0 }), trials: Int64(results.count))
    }

    package var isKnown: Bool { results.count >= Self.enough }

    /// Whether the accuracy can be lower than asked, at a lower bound of 95 % (Wilson).
    package func fails(_ minimum: Double) -> Bool { isKnown && accuracy.wilson(confidence: 0.9).lowerBound < minimum }
}

/// What is made of the next sampled pair.
package enum JudgeTurn: Equatable {
    case judge
    case check(JudgeCheck)

    /// A judge that is checked at all is checked first: nothing it says counts before it is known.
    ///
    /// - Parameter draw: uniform on `0..<1`.
    package static func next(_ settings: JudgeSettings, isKnown: Bool, draw: Double) -> JudgeTurn {
        let gold = settings.gold.isEmpty ? 0 : settings.goldShare
        let checks = gold + settings.controlShare
        guard checks > 0 else { return .judge }
        let place = isKnown ? draw : draw * checks
        return place < gold ? .check(.gold) : place < checks ? .check(.control) : .judge
    }
}

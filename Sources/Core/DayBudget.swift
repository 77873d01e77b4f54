/// What may still be spent in a day of UTC. What something will cost is set aside before it is bought.
package struct DayBudget: Sendable {
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

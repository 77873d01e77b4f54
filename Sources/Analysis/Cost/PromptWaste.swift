import Statistics
import StreamProcessing

/// What the windows of prompts say about requests that a cache could have answered, or made cheaper.
struct PromptWaste: Codable, Sendable, Equatable {
    struct Sums: PackedSums {
        var sums = SIMD8<Float>()
        /// Prompts with a hash.
        var prompts: Double { value(0) }
        /// Of these, repeats within their window: estimated, and at least.
        var repeats: Double { value(1) }
        var sureRepeats: Double { value(2) }
        /// At most.
        var mostRepeats: Double { value(3) }
        /// Prompts that began as an earlier one of their window, at least.
        var sharing: Double { value(4) }
        var input: Double { value(5) }
        var cached: Double { value(6) }
        var requests: Double { value(7) }

        init() {}

        init(_ aggregate: WindowAggregate) {
            if let different = aggregate.distinct(.prompt)?.estimate, let top = aggregate.summary(.prompt),
                top.total > 0
            {
                let total = Double(top.total)
                put(0, total)
                put(1, max(0, total - different))
                put(2, Self.again(top))
                put(3, max(0, total - different * (1 - 3 * WindowAggregate.distinctError)))
            }
            if let prefixes = aggregate.summary(.prefix) { put(4, Self.again(prefixes)) }
            put(5, aggregate.inputTokens.sum)
            put(6, aggregate[.cachedTokens].moments.sum)
            put(7, Double(aggregate.requests))
        }

        /// Of the items listed, those that were not the first of their kind, at least.
        private static func again(_ top: SpaceSaving) -> Double {
            top.top(top.capacity).reduce(0) { $0 + Double(max(0, $1.count - $1.error - 1)) }
        }
    }

    /// Tokens of the shortest beginning that providers cache.
    static let prefixTokens = 1_024.0

    private var quarters = TimeRing<Sums>(slotMs: 6 * 3_600_000, capacity: 4)
    private var firstAt: Int64?

    init() {}

    mutating func take(_ aggregate: WindowAggregate, at ms: Int64) {
        if firstAt == nil { firstAt = ms }
        quarters.add(Sums(aggregate), at: ms)
    }

    /// Of the last 18 to 24 hours, and how many days that is; `nil` below six hours.
    func lastDay(now: Int64) -> (sums: Sums, days: Double)? {
        guard let firstAt else { return nil }
        let span = now - max(firstAt, (now / quarters.slotMs - 3) * quarters.slotMs)
        var current = quarters
        current.advance(to: now - 1)
        return span >= 6 * 3_600_000 ? (current.sum(4), Double(span) / 86_400_000) : nil
    }
}

extension CostMoment {
    func promptWaste(_ prompts: PromptWaste, _ models: [String: ModelCost]) -> [Observation] {
        guard let (sums, days) = prompts.lastDay(now: now) else { return [] }
        var route = OutcomeSums(), cheaper = 0.0, weight = 0.0
        for model in models.values {
            guard let day = model.lastDay(now: now)?.sums else { continue }
            route.merge(day)
            // What a token from the provider's cache saves; unknown where no such price is listed.
            guard let rates = model.price.listed else { continue }
            cheaper += (rates.input - rates.cached) * day.input
            weight += day.input
        }
        guard let mean = route.mean else { return [] }
        let spend = route.cost / days / 1e6
        return [
            repeats(sums, days, mean: mean, spend: spend),
            prefix(sums, days, saved: weight > 0 ? cheaper / weight : 0, spend: spend),
        ].compactMap { $0 }
    }

    private func repeats(_ sums: PromptWaste.Sums, _ days: Double, mean: Double, spend: Double) -> Observation? {
        guard sums.prompts >= 200 else { return nil }
        let dollars = mean / days / 1e6
        let lower = max(sums.sureRepeats, sums.repeats - (sums.mostRepeats - sums.repeats)) * dollars
        let estimate = max(sums.sureRepeats, sums.repeats) * dollars
        return waste(
            "cost.waste_repeats", .route,
            Interval(estimate: estimate, lower: lower, upper: max(estimate, sums.mostRepeats * dollars)),
            of: spend,
            "\((max(sums.sureRepeats, sums.repeats) / sums.prompts).percent) of the prompts repeated one of the ten "
                + "minutes before word for word: a cache would have saved \(estimate.dollars) a day.",
            ["prompts": sums.prompts, "repeats": sums.repeats, "sure_repeats": sums.sureRepeats],
            action: "Cache answers for ten minutes where equal prompts may get equal answers.")
    }

    private func prefix(_ sums: PromptWaste.Sums, _ days: Double, saved: Double, spend: Double) -> Observation? {
        guard saved > 0, sums.sharing >= 200, sums.requests > 0 else { return nil }
        let dollars = saved / days / 1e6, perPrompt = sums.input / sums.requests
        let lost = max(0, sums.sharing * PromptWaste.prefixTokens - sums.cached)
        let most = max(lost, sums.sharing * perPrompt - sums.cached)
        return waste(
            "cost.waste_prefix", .route,
            Interval(estimate: lost * dollars, lower: lost * dollars, upper: most * dollars), of: spend,
            "\((sums.sharing / sums.requests).percent) of the prompts began as one before them, but only "
                + "\((sums.cached / max(1, sums.input)).percent) of the input came from the provider's cache: at least "
                + "\((lost * dollars).dollars) a day.",
            ["sharing": sums.sharing, "requests": sums.requests, "cached_tokens": sums.cached, "lost_tokens": lost],
            action: "Put what prompts share first, mark it for caching, and keep a session on one target.")
    }
}

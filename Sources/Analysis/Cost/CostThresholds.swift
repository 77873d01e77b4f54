extension Threshold {
    static let costRise = Threshold(
        .cost, "cost_rise", 0.1, 0.01...10,
        "Share by which a request must cost more than before, beyond what its hours differ by anyway.")
    static let acceptedCostRise = Threshold(
        .cost, "accepted_cost_rise", 0.25, 0.01...10,
        "Share by which an accepted answer must cost more than before.")
    static let spenderRise = Threshold(
        .cost, "spender_rise", 1, 0.1...100,
        "Share by which a key or project must spend more in a day than on its dearest day of the week before.")
    static let unknownCost = Threshold(
        .cost, "unknown_cost", 0.05, 0...1, "Share of answers whose cost may be unknown.")
    static let priceChange = Threshold(
        .cost, "price_change", 0.04, 0.005...10, "Least change of the price a token that is told, as a share.")
    static let budgetMonth = Threshold(
        .cost, "budget_month_usd", 0, 0...1e12,
        "Budget of a calendar month (UTC) in USD; 0 takes the objective's daily budget times the month's days.")
    static let budgetRisk = Threshold(
        .cost, "budget_risk", 0.9, 0.5...0.999, "Probability of exceeding a budget from which on it is told.")
    static let wasteDay = Threshold(
        .cost, "waste_usd_per_day", 1, 0...1e9, "Least sure saving a day in USD for which waste is told.")
    static let wasteShare = Threshold(
        .cost, "waste_share", 0.02, 0...1, "Least sure saving as a share of the spend for which waste is told.")
    static let longOutput = Threshold(
        .cost, "long_output_factor", 8, 2...1_000,
        "An answer is over-long from so many times the median length for prompts of its size.")
    static let batchDiscount = Threshold(
        .cost, "batch_discount", 0.5, 0...0.95,
        "What a provider's batch interface takes off the price, as a share of it; 0 says nothing of batches.")
    static let qualityMargin = Threshold(
        .cost, "quality_margin", 0.02, 0...0.5,
        "Quality by which a cheaper model may be worse and still count as no worse, on 0...1.")
}

import Core
package import Policy

/// The built-in simulated models: ours, typed in, with round numbers that resemble the spread of public price lists and
/// benchmarks. No number is a measurement of a real model.
package enum ModelCatalog {
    /// At most ten, so that the demo can be understood at a glance.
    package static let builtIn: [SimulatedModel] = [
        // The strong incumbent of the demo.
        model("sim", "strong-large", usd: (5, 15), quality: 0.86, ms: 280, tokens: 180),
        // Nearly as good and far cheaper: what the loop should find.
        model("sim", "strong-small", usd: (0.3, 1.2), quality: 0.855, ms: 140, tokens: 170),
        // Cheapest, and clearly worse.
        model("sim", "cheap-mini", usd: (0.05, 0.2), quality: 0.66, ms: 60, tokens: 150),
        // An upgrade gone wrong: looks like the incumbent, answers badly.
        model("sim", "broken-upgrade", usd: (4, 12), quality: 0.3, ms: 250, tokens: 180),
        // Dearer and worse than the incumbent.
        model("sim", "dear-worse", usd: (15, 60), quality: 0.78, ms: 380, tokens: 220),
        // Good and cheap, and too slow for a tight latency limit.
        model("sim", "slow-batch", usd: (0.2, 0.8), quality: 0.86, ms: 400, tokens: 180, sigma: 0.8),
        // The incumbent's double at a second provider, for outages.
        model("sim-b", "strong-large", usd: (5.5, 16), quality: 0.86, ms: 300, tokens: 180),
        // Fails often.
        model("sim-b", "flaky-fast", usd: (0.1, 0.4), quality: 0.84, ms: 50, tokens: 150, errors: 0.08),
    ]

    /// The prices of `models`, those that are known.
    package static func prices(of models: [SimulatedModel], id: String = "simulated#1") -> PriceBook {
        PriceBook(
            id: id,
            prices: models.reduce(into: [:]) { book, model in
                if let price = model.price { book[model.key] = price }
            })
    }

    private static func model(
        _ provider: String, _ name: String, usd: (Double, Double), quality: Double, ms: Double, tokens: Double,
        sigma: Double = 0.35, errors: Double = 0.001
    ) -> SimulatedModel {
        SimulatedModel(
            provider: provider, name: name, price: ListPrice(input: usd.0, output: usd.1).tokenPrice,
            quality: .init(mean: quality), latency: .init(medianMs: ms, sigma: sigma), outputTokens: tokens,
            errorRate: errors)
    }
}

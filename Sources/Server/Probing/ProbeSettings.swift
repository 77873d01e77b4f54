package import Core

/// What is asked to see whether a model is still the same, how often, and for how much.
package struct ProbeSettings: Sendable, Equatable {
    /// It costs money.
    package var enabled = false
    /// Between two prompts to one model, milliseconds.
    package var everyMs: Int64 = 300_000
    /// Asked one after the other.
    package var prompts = ProbePrompt.builtIn
    /// For each day of UTC, by this process.
    package var budgetPerDay = NanoUSD(1_000_000_000)

    package init() {}
}

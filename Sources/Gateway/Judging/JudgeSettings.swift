package import Core
package import Policy

/// Who judges the answers of a shadow's pairs, how many of them, and for how much.
package struct JudgeSettings: Sendable, Equatable {
    package var target: Target
    /// Of the pairs, 0...1.
    package var share = 0.1
    /// For each day of UTC, by this process.
    package var budgetPerDay = NanoUSD(1_000_000_000)
    /// A judge whose accuracy in checks may be below this is not listened to.
    package var minAccuracy = 0.8
    /// Share of the sampled pairs in which one answer is replaced by one that says nothing.
    package var controlShare = 0.02
    /// Share of the sampled pairs in whose place a question of `gold` is asked.
    package var goldShare = 0.01
    package var gold: [GoldQuestion] = []
    package var maxInFlight = 4
    /// For one question, from asking for a connection to the last byte.
    package var timeoutMs = 30_000

    package init(target: Target) { self.target = target }

    /// A question whose better answer people know.
    package struct GoldQuestion: Sendable, Equatable, Codable {
        package var prompt: String
        package var better: String
        package var worse: String

        package init(prompt: String, better: String, worse: String) {
            self.prompt = prompt
            self.better = better
            self.worse = worse
        }

        /// More are refused.
        package static let most = 1_000
        /// Bytes of the three texts.
        package static let mostBytes = 64 << 10
    }
}

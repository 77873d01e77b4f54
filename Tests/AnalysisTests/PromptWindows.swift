import Analysis
import Core
import Statistics
import StreamProcessing
import Telemetry

/// Makes windows of the definition `prompts` from what a route's prompts are like.
struct PromptWindows {
    var requests = 300
    /// Share of prompts that are one of five.
    var repeated = 0.05
    /// Share of prompts made from one of eight templates.
    var templated = 0.2
    /// Share of prompts with the same beginning.
    var prefixed = 0.1
    /// Share of the requests that one user, and one key, sends.
    var heavyUser = 0.02
    var heavyKey = 0.1
    /// Weights of the kinds.
    var kinds = [8.0, 4, 2, 2, 1, 1, 1, 1]
    var messages = 3.0
    var requestsPerSession = 4.0

    static let lengthMs: Int64 = 600_000

    private static let definition = WindowDefinition.analyzers(latenessMs: 0).first {
        $0.name == WindowDefinition.prompts
    }

    /// The window that ended with the minute before `index`.
    func result(_ index: Int, _ random: inout SplitMix64) -> MergedWindow? {
        guard let definition = Self.definition else { return nil }
        var aggregate = WindowAggregate(definition.aggregates)
        let sum = kinds.reduce(0, +), sessions = max(1, Double(requests) / requestsPerSession)
        for _ in 0..<requests {
            aggregate.requests += 1
            var left = random.unit() * sum, kind = 0
            while kind < kinds.count - 1, left >= kinds[kind] {
                left -= kinds[kind]
                kind += 1
            }
            let fresh = random.next()
            func one(_ share: Double, of several: UInt64) -> String {
                random.unit() < share ? "same \(random.next() % several)" : "own \(fresh)"
            }
            let values: [CountedItem: String] = [
                .prompt: one(repeated, of: 5), .template: one(templated, of: 8), .prefix: one(prefixed, of: 1),
                .user: random.unit() < heavyUser ? "heavy" : "user \(random.next() % 200)",
                .key: random.unit() < heavyKey ? "heavy" : "key \(random.next() % 20)", .kind: "kind \(kind)",
                .session: "session \(Int(random.unit() * sessions))",
            ]
            for (place, item) in definition.aggregates.distinct.enumerated() {
                guard let value = values[item] else { continue }
                aggregate.distinct[place].insert(hash: Hash64.hash(value, salt: 1))
            }
            for (place, top) in definition.aggregates.top.enumerated() {
                if let value = values[top.item] { aggregate.top[place].insert(value) }
            }
            aggregate[.messages].add(1 + Double(random.poisson(messages - 1)), sketched: true)
            aggregate.inputTokens.add(1_000)
            aggregate[.cachedTokens].add(200, sketched: false)
        }
        let end = Minutes.window(index).start
        return MergedWindow(
            window: Window(start: end - Self.lengthMs, end: end),
            key: WindowKey(window: definition.name, route: "chat", modelKey: "", arm: .stable, policy: 0),
            aggregate: aggregate, feedback: [:])
    }
}

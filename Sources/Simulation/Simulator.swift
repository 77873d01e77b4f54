import Core
import Synchronization

/// What a provider sees of one request.
package struct SimulatedRequest: Sendable {
    package var prompt: String
    package var inputTokens: Int
    /// Wanted completion length; `nil` leaves it to the model.
    package var outputTokens: Int?
    /// At temperature 0: the same prompt gets the same words, nearly always.
    package var isFixed = false

    package init(prompt: String, inputTokens: Int, outputTokens: Int? = nil) {
        self.prompt = prompt
        self.inputTokens = inputTokens
        self.outputTokens = outputTokens
    }
}

/// How one request turns out at one model.
package struct SimulatedAnswer: Sendable, Equatable {
    package var outcome: Outcome
    /// To the last byte, or to the error; milliseconds.
    package var latencyMs: Double
    package var ttftMs: Double
    package var inputTokens: Int
    package var outputTokens: Int
    /// 0...1, what a user would say of the answer.
    package var quality: Double
    /// Which words it is in; 0 for those of all answers above temperature 0.
    package var wording: UInt64 = 0

    package enum Outcome: Sendable, Equatable {
        case complete
        case serverError
        case unavailable
        /// Whole seconds for `Retry-After`, at least 1.
        case rateLimited(retryAfterS: Int)
        case reset, hang, cut
    }
}

/// Draws answers. The quality depends on seed, prompt and model alone; latency, errors and length also on how many
/// requests the model has had, so that a retry can turn out differently.
package struct Simulator: Sendable {
    private var models: [String: Entry] = [:]
    /// Keys by name, sorted.
    private let byName: [String: [String]]
    private let outcomes: OutcomeSet?
    private let seed: UInt64

    private struct Entry: Sendable {
        var model: SimulatedModel
        var salt: UInt64
        var column: Int?
        var latencyFactor = 1.0
        var revision = 0
        /// Set once the quality was changed at run time: then recorded scores no longer hold.
        var overridden = false
        var requests: UInt64 = 0
        var tokens: Double
        var refilledAtMs: Double?
    }

    package init(models: [SimulatedModel], outcomes: OutcomeSet? = nil, seed: UInt64) {
        self.outcomes = outcomes
        self.seed = seed
        byName = Dictionary(grouping: models, by: \.name).mapValues { $0.map(\.key).sorted() }
        for model in models {
            self.models[model.key] = Entry(
                model: model, salt: Hash64.hash(model.key, salt: seed), column: outcomes?.column(of: model.name),
                tokens: model.rateLimitPerS ?? 0)
        }
    }

    /// As they behave now, sorted by key.
    package var current: [SimulatedModel] { models.values.map(\.model).sorted { $0.key < $1.key } }

    package func model(_ key: String) -> SimulatedModel? { models[key]?.model }

    /// The model of this name; where several providers have one, the one `target` is.
    package func model(named name: String, target: String) -> SimulatedModel? {
        let keys = byName[name] ?? []
        return models[keys.first { target == $0 } ?? keys.first ?? ""]?.model
    }

    /// - Throws: `simulation.unknown_model`.
    package mutating func set(_ key: String, _ change: ModelChange) throws {
        guard var entry = models[key] else {
            throw TrimtabError(
                "simulation.unknown_model", "No simulated model is called '\(key)'.",
                remedy: "Use one of: \(models.keys.sorted().joined(separator: ", ")).")
        }
        entry.model.outage = change.outage ?? entry.model.outage
        entry.model.price = change.price?.tokenPrice ?? entry.model.price
        entry.model.errorRate = change.errorRate ?? entry.model.errorRate
        entry.latencyFactor = change.latencyFactor ?? entry.latencyFactor
        entry.revision = change.revision ?? entry.revision
        if let limit = change.rateLimitPerS { (entry.model.rateLimitPerS, entry.tokens) = (limit, limit) }
        if let quality = change.quality { (entry.model.quality, entry.overridden) = (quality, true) }
        models[key] = entry
    }

    /// What a user would say of this model's answer to this prompt, 0...1; `nil` for an unknown model.
    package func quality(prompt: String, model key: String) -> Double? {
        models[key].map { quality($0, prompt: prompt) }
    }

    private func quality(_ entry: Entry, prompt: String) -> Double {
        if !entry.overridden, let score = recorded(entry, prompt)?.quality { return score }
        var generator = SplitMix64(seed: Hash64.hash(prompt, salt: entry.salt))
        return min(1, max(0, entry.model.quality.mean + entry.model.quality.spread * generator.normal()))
    }

    private func recorded(_ entry: Entry, _ prompt: String) -> OutcomeSet.Cell? {
        entry.column.flatMap { outcomes?.cell(prompt: prompt, column: $0) }
    }

    /// - Parameter nowMs: any steady clock; only the rate limit reads it.
    /// - Returns: `nil` for an unknown model.
    package mutating func answer(_ request: SimulatedRequest, model key: String, nowMs: Double) -> SimulatedAnswer? {
        guard var entry = models[key] else { return nil }
        entry.requests &+= 1
        let cell = recorded(entry, request.prompt)
        let promptHash = Hash64.hash(request.prompt, salt: entry.salt)
        var generator = SplitMix64(seed: promptHash ^ (entry.requests &* 0x9E37_79B9_7F4A_7C15))
        let model = entry.model
        let drawn =
            Double(request.outputTokens ?? 0) > 0
            ? Double(request.outputTokens ?? 0) : model.outputTokens * lognormal(&generator, 0.4)
        let output = cell?.outputTokens ?? max(1, Int(min(drawn, 1e6)))
        let recordedMs = cell?.latencyS.map { $0 * 1000 }
        let total =
            (recordedMs ?? model.latency.medianMs * lognormal(&generator, model.latency.sigma)) * entry.latencyFactor
        var answer = SimulatedAnswer(
            outcome: .complete, latencyMs: total, ttftMs: total * min(1, max(0, model.latency.ttftShare)),
            inputTokens: cell?.promptTokens ?? request.inputTokens, outputTokens: output,
            quality: quality(entry, prompt: request.prompt))
        answer.outcome = fate(&entry, &generator, nowMs)
        if request.isFixed {
            answer.wording = Hash64.hash("\(entry.revision)", salt: promptHash) | 1
            if generator.unit() < model.variation { answer.wording ^= generator.next() << 1 }
            var words = SplitMix64(seed: answer.wording)
            answer.outputTokens = max(1, Int(min(model.outputTokens * lognormal(&words, 0.4), 1e6)))
        }
        switch answer.outcome {
        case .unavailable, .rateLimited, .reset: answer.latencyMs = 1
        case .serverError: answer.latencyMs = answer.ttftMs
        case .complete, .hang, .cut: break
        }
        models[key] = entry
        return answer
    }

    private func fate(
        _ entry: inout Entry, _ generator: inout SplitMix64, _ nowMs: Double
    ) -> SimulatedAnswer.Outcome {
        switch entry.model.outage {
        case .error: return .unavailable
        case .reset: return .reset
        case .hang: return .hang
        case .cut: return .cut
        case .none: break
        }
        if let limit = entry.model.rateLimitPerS {
            // A token bucket that holds one second's worth.
            let elapsed = max(0, nowMs - (entry.refilledAtMs ?? nowMs))
            entry.tokens = min(max(limit, 1), entry.tokens + elapsed / 1000 * limit)
            entry.refilledAtMs = nowMs
            guard entry.tokens >= 1 else {
                let wait = limit > 0 ? (1 - entry.tokens) / limit : 60
                return .rateLimited(retryAfterS: max(1, Int(min(wait, 3600).rounded(.up))))
            }
            entry.tokens -= 1
        }
        return generator.unit() < entry.model.errorRate ? .serverError : .complete
    }

    /// A factor with median 1.
    private func lognormal(_ generator: inout SplitMix64, _ sigma: Double) -> Double {
        exponential(sigma * generator.normal())
    }
}

/// A simulator that the fleet, the replay and a script share; every call takes a lock for some microseconds.
package final class SharedSimulator: Sendable {
    private let state: Mutex<Simulator>

    package init(_ simulator: Simulator) { state = Mutex(simulator) }

    package func set(_ key: String, _ change: ModelChange) throws { try state.withLock { try $0.set(key, change) } }
    package var models: [SimulatedModel] { state.withLock { $0.current } }
    package func model(_ key: String) -> SimulatedModel? { state.withLock { $0.model(key) } }
    package func model(named name: String, target: String) -> SimulatedModel? {
        state.withLock { $0.model(named: name, target: target) }
    }
    package func quality(prompt: String, model: String) -> Double? {
        state.withLock { $0.quality(prompt: prompt, model: model) }
    }
    package func answer(_ request: SimulatedRequest, model: String, nowMs: Double) -> SimulatedAnswer? {
        state.withLock { $0.answer(request, model: model, nowMs: nowMs) }
    }
}

import Analysis
package import ControlLoop
import Core
package import CurlClient
package import Gateway
package import Logging
package import Observability
import Policy

/// Sends fixed prompts to the models that routes serve from, one at a time, and keeps what tells their answers apart, for
/// the analyzers. What is stored, logged or counted is never the text of an answer.
package struct Prober: Sendable {
    /// Further ones, by name, are not probed.
    package static let mostModels = 64
    /// Between two looks at routes and prices, milliseconds.
    private static let refreshMs: Int64 = 60_000
    /// For one answer, milliseconds.
    private static let timeoutMs = 30_000

    /// Sends a request and gives the answer, of any status; throws what `CurlClient` does.
    package typealias Send = @Sendable (OutboundRequest) async throws -> OutboundResponse

    private let settings: ProbeSettings
    private let providers: [String: ProviderSettings]
    private let store: any ControlStore & AnalysisStore
    private let send: Send
    private let now: @Sendable () -> Int64
    private let metrics: MetricRegistry
    private let logger: Logger

    private var schedule: ProbeSchedule
    private var budget: DayBudget
    private var targets: [Target] = []
    private var prices = PriceBook()
    private var refreshedAt: Int64?
    /// Models past the most there can be.
    private var leftOut = 0
    /// What keeps a model from being probed, by model key, once said.
    private var obstacles: [String: String] = [:]
    /// The day (UTC) whose spent budget has been told.
    private var spentDay: Int64?

    /// - Parameter now: the wall clock, milliseconds since the epoch.
    package init(
        _ settings: ProbeSettings, providers: [ProviderSettings], store: any ControlStore & AnalysisStore,
        metrics: MetricRegistry, logger: Logger, now: @escaping @Sendable () -> Int64, send: @escaping Send
    ) {
        self.settings = settings
        self.providers = Dictionary(providers.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        self.store = store
        self.metrics = metrics
        self.logger = logger
        self.now = now
        self.send = send
        schedule = ProbeSchedule(everyMs: settings.everyMs)
        budget = DayBudget(limit: settings.budgetPerDay)
    }

    /// Another process leads: it takes the turns from now on.
    package mutating func rest() { schedule.rest() }

    /// Asks the model whose turn it is, if it is any's; to be called again and again, and much more often than there are turns.
    ///
    /// - Throws: the store's errors, and `CancellationError`. What a model fails to do is counted and is no error.
    package mutating func tick() async throws {
        try await refresh()
        guard !settings.prompts.isEmpty, let turn = schedule.turn(now: now(), models: targets.count) else { return }
        let target = targets[turn.model]
        guard let provider = providers[target.provider] else { return }
        let prompt = settings.prompts[Int(turn.round % Int64(settings.prompts.count))]
        let answer = try await answer(to: prompt, target, provider)
        metrics.add(.probePrompts, 1, [.provider: target.provider, .outcome: answer.outcome.rawValue])
        metrics.add(.probeSpend, answer.cost.dollars)
        if let result = answer.result {
            try await store.keep(StoredProbe(modelKey: target.modelKey, at: now(), result: result))
        }
    }

    private mutating func answer(
        to prompt: ProbePrompt, _ target: Target, _ provider: ProviderSettings
    ) async throws -> ProbeAnswer {
        guard let price = prices[target.modelKey] else {
            say("its price is not known", of: target.modelKey)
            return ProbeAnswer(.price)
        }
        let most = prompt.mostCost(price), body = try prompt.body(model: target.model)
        guard budget.reserve(most, now: now()) else {
            sayBudget()
            return ProbeAnswer(.budget)
        }
        let answer: ProbeAnswer
        do {
            let response = try await send(request(body, to: provider))
            answer = ProbeAnswer(response, probe: prompt.probe, price: price, most: most)
        } catch let error as CurlError {
            answer = ProbeAnswer(error, most: most)
        }
        budget.settle(reserved: most, cost: answer.cost, now: now())
        say(answer.outcome == .answered ? nil : answer.detail, of: target.modelKey)
        return answer
    }

    private func request(_ body: [UInt8], to provider: ProviderSettings) -> OutboundRequest {
        var headers = [(name: "content-type", value: "application/json")]
        if let key = provider.apiKey { headers.append((name: "authorization", value: "Bearer \(key)")) }
        var request = OutboundRequest(
            url: provider.chatURL, headers: headers, body: body, timeoutMs: Self.timeoutMs)
        request.trustRootsFile = provider.trustRootsFile
        return request
    }

    /// Reads which models serve and what they cost.
    private mutating func refresh() async throws {
        let now = now()
        if let refreshedAt, abs(now - refreshedAt) < Self.refreshMs { return }
        var serving: [String: Target] = [:]
        for route in try await store.routes() {
            for target in try await store.state(of: route)?.servingTargets ?? [] { serving[target.modelKey] = target }
        }
        prices = try await store.prices()
        let found = serving.sorted { $0.key < $1.key }.map(\.value)
        obstacles = obstacles.filter { serving[$0.key] != nil }
        for target in found where providers[target.provider] == nil {
            say("its provider is not configured", of: target.modelKey)
        }
        let known = found.filter { providers[$0.provider] != nil }
        targets = Array(known.prefix(Self.mostModels))
        if known.count - targets.count > leftOut {
            logger.warning("Only \(targets.count) of \(known.count) models are probed, the first by name")
        }
        leftOut = known.count - targets.count
        refreshedAt = now
    }

    /// Says once what keeps a model from being probed, and once that it is gone.
    private mutating func say(_ obstacle: String?, of modelKey: String) {
        guard obstacles[modelKey] != obstacle else { return }
        obstacles[modelKey] = obstacle
        if let obstacle {
            logger.warning("\(modelKey) cannot be probed: \(obstacle)")
        } else {
            logger.notice("\(modelKey) can be probed again")
        }
    }

    private mutating func sayBudget() {
        let day = now() / 86_400_000
        guard spentDay != day else { return }
        spentDay = day
        logger.warning("The probes' budget of the day is spent: not all are sent until tomorrow (UTC)")
    }
}

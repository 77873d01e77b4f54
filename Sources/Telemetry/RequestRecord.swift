package import Core

/// What the gateway says of one finished request; contracts name every field. Prompt and answer text never travel here.
package struct RequestRecord: Sendable, Equatable {
    package static let defaultEndpoint = "chat.completions"

    package var id: UUIDv7
    /// The producer run that wrote it, `<gateway id>/<run>`, and the record's number within (producer, partition).
    package var producer = ""
    package var seq: Int64 = 0
    /// Event time: when the request ended, milliseconds since the epoch.
    package var at: Int64
    package var startedAt: Int64
    package var clientRequestID: String?

    package var route: String
    package var project: String?
    package var key: String?
    /// Hashes, never the client's own text.
    package var session: String?
    package var user: String?
    package var tags: [String: String] = [:]
    package var endpoint = defaultEndpoint
    package var stream = false

    package var policy: Int?
    package var rollout: UUIDv7?
    package var step: Int?
    package var arm: Arm = .stable
    /// The candidate's weight in force when the request was assigned, 0...1.
    package var candidateWeight: Double?
    /// Hash of the session, key or user that assignment in a rollout stuck to, another one in each rollout; `nil` where
    /// the request was assigned by itself.
    package var unit: UInt32?
    /// The probability with which this target and variant was chosen, given everything; 0...1.
    package var propensity: Double?
    package var variant: String?

    package var target: String?
    package var provider: String?
    package var model: String?
    package var credential: String?
    /// Attempts before the one that answered, in order; at most the policy's fallbacks.
    package var attempts: [Attempt] = []

    package var outcome: Outcome
    package var status: Int
    package var error: ErrorClass?
    package var finish: String?
    package var queueMs: Double = 0
    /// Time to first token: from accepting the request to the first content byte of the answer.
    package var ttftMs: Double?
    package var totalMs: Double
    /// The part of `totalMs` that is the gateway's own.
    package var overheadMs: Double?

    package var tokens: TokenUsage?
    /// `nil`: unknown, which is not zero.
    package var cost: NanoUSD?
    package var price: String?
    package var prompt: Prompt?
    package var checks: Checks?
    package var shadowOf: UUIDv7?
    /// The request whose prompt this one repeats in the same session, at most a minute later.
    package var regenerates: UUIDv7?

    package init(id: UUIDv7, at: Int64, startedAt: Int64, route: String, outcome: Outcome, status: Int, totalMs: Double)
    {
        self.id = id
        self.at = at
        self.startedAt = startedAt
        self.route = route
        self.outcome = outcome
        self.status = status
        self.totalMs = totalMs
    }

    package struct Attempt: Sendable, Equatable {
        package var target: String
        package var outcome: ErrorClass
        package var status: Int?
        package var ms: Double
        package init(target: String, outcome: ErrorClass, status: Int?, ms: Double) {
            self.target = target
            self.outcome = outcome
            self.status = status
            self.ms = ms
        }
    }

    package struct Prompt: Sendable, Equatable {
        package var chars = 0
        package var messages = 0
        package var tools = false
        package var images = 0
        package var domain: String?
        package var features: PromptFeatures?
        package init() {}
    }

    /// Programmatic checks of the answer; `nil` where one was not made.
    package struct Checks: Sendable, Equatable {
        package var schema: Bool?
        package var refusal: Bool?
        package var empty: Bool?
        /// Whether the tool calls name functions that were offered, with a JSON object that has what is required.
        package var tools: Bool?
        /// Whether the answer ends in a loop.
        package var repetition: Bool?
        package init() {}
    }
}

package struct TokenUsage: Sendable, Equatable {
    package var input: Int
    package var cachedRead = 0
    package var cacheWrite = 0
    package var output: Int
    package var reasoning = 0
    package var source: Source = .reported

    package enum Source: String, Sendable, Codable, CaseIterable { case reported, estimated }

    package init(input: Int, output: Int) {
        self.input = input
        self.output = output
    }
}

/// Which part of the traffic a request was assigned to. Order of assignment: forced, holdout, explore, candidate, stable.
package enum Arm: String, Sendable, Codable, CaseIterable { case stable, candidate, holdout, explore, forced, shadow }

package enum Outcome: String, Sendable, Codable, CaseIterable {
    case complete, truncated, timeout, rejected
    case clientGone = "client_gone"
    case upstreamCut = "upstream_cut"
    case upstreamError = "upstream_error"

    /// Whether the route's target failed its user: what error guardrails count. A client that hangs up, and a request
    /// that we refused before it reached a target, say nothing about the target.
    package var isFailure: Bool {
        switch self {
        case .truncated, .timeout, .upstreamCut, .upstreamError: true
        case .complete, .rejected, .clientGone: false
        }
    }
}

/// The closed list of error classes.
package enum ErrorClass: String, Sendable, Codable, CaseIterable {
    case auth, quota, overloaded, tls, dns, refused, reset, `protocol`, server
    case rateLimited = "rate_limited"
    case timeoutConnect = "timeout_connect"
    case timeoutFirstByte = "timeout_first_byte"
    case timeoutIdle = "timeout_idle"
    case timeoutTotal = "timeout_total"
    case badRequest = "bad_request"
    case contentFilter = "content_filter"
    case localLimit = "local_limit"
    case localBudget = "local_budget"
}

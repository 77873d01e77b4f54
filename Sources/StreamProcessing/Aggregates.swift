package import Core
package import Statistics
package import Telemetry

/// What window results are grouped by.
package struct WindowKey: Hashable, Codable, Sendable, Comparable {
    package var route: String
    /// `provider/model` of the target that answered or was tried last; empty when none was reached.
    package var modelKey: String
    package var arm: Arm
    /// The policy version that served it; 0 when none did.
    package var policy: Int

    package init(route: String, modelKey: String, arm: Arm, policy: Int) {
        self.route = route
        self.modelKey = modelKey
        self.arm = arm
        self.policy = policy
    }

    package static func < (a: Self, b: Self) -> Bool {
        (a.route, a.modelKey, a.arm.rawValue, a.policy) < (b.route, b.modelKey, b.arm.rawValue, b.policy)
    }

    enum CodingKeys: String, CodingKey {
        case route, arm, policy
        case modelKey = "model_key"
    }
}

/// A half-open span of event time, `[start, end)`, milliseconds since the epoch.
package struct Window: Hashable, Codable, Sendable, Comparable {
    package var start: Int64
    package var end: Int64
    package init(start: Int64, end: Int64) {
        self.start = start
        self.end = end
    }
    /// The firing order: by end, then start.
    package static func < (a: Self, b: Self) -> Bool { (a.end, a.start) < (b.end, b.start) }
}

/// What one window knows of one key. Mergeable in any order.
package struct WindowAggregate: Sendable, Equatable {
    package var requests: Int64 = 0
    /// Requests whose outcome `isFailure`.
    package var failures: Int64 = 0
    package var errors: [ErrorClass: Int64] = [:]
    /// Nano-dollars, over requests with a known cost.
    package var cost = Moments()
    package var unknownCost: Int64 = 0
    package var inputTokens = Moments()
    package var outputTokens = Moments()
    /// Milliseconds, over complete answers.
    package var latency = DDSketch()
    package var ttft = DDSketch()

    package init() {}
}

/// One emitted result: the partial aggregate of one partition. Partials of all partitions merge to the window's whole.
package struct WindowResult: Sendable, Equatable {
    package var window: Window
    package var key: WindowKey
    package var partition: Int
    /// 0 for the on-time pane, rising with each later one; a later pane replaces the earlier (accumulating).
    package var pane: Int
    package var aggregate: WindowAggregate

    package init(window: Window, key: WindowKey, partition: Int, pane: Int, aggregate: WindowAggregate) {
        self.window = window
        self.key = key
        self.partition = partition
        self.pane = pane
        self.aggregate = aggregate
    }
}

/// Feedback attributed to the window, key and name of its own request: added up, never a reopened window.
package struct FeedbackDelta: Sendable, Equatable {
    package var window: Window
    package var key: WindowKey
    package var name: String
    package var values: Moments

    package init(window: Window, key: WindowKey, name: String, values: Moments) {
        self.window = window
        self.key = key
        self.name = name
        self.values = values
    }
}

/// What the table `requests` keeps of one request: enough to attribute feedback to it, however late.
package struct RequestRow: Sendable, Equatable {
    package var id: UUIDv7
    package var at: Int64
    package var key: WindowKey
    /// Name of the client's virtual key: whose request it was.
    package var virtualKey: String?
    package var rollout: UUIDv7?
    package var step: Int?
    package var candidateWeight: Double?
    package var propensity: Double?
    package var outcome: Outcome
    package var cost: NanoUSD?
    package var totalMs: Double

    package init(_ record: RequestRecord) { self.init(record, key: WindowKey(record)) }

    package init(
        id: UUIDv7, at: Int64, key: WindowKey, virtualKey: String?, rollout: UUIDv7?, step: Int?,
        candidateWeight: Double?, propensity: Double?, outcome: Outcome, cost: NanoUSD?, totalMs: Double
    ) {
        self.id = id
        self.at = at
        self.key = key
        self.virtualKey = virtualKey
        self.rollout = rollout
        self.step = step
        self.candidateWeight = candidateWeight
        self.propensity = propensity
        self.outcome = outcome
        self.cost = cost
        self.totalMs = totalMs
    }

    init(_ record: RequestRecord, key: WindowKey) {
        id = record.id
        at = record.at
        self.key = key
        virtualKey = record.key
        rollout = record.rollout
        step = record.step
        candidateWeight = record.candidateWeight
        propensity = record.propensity
        outcome = record.outcome
        cost = record.cost
        totalMs = record.totalMs
    }
}

extension WindowKey {
    package init(_ record: RequestRecord) {
        let reached = record.provider.flatMap { provider in record.model.map { "\(provider)/\($0)" } }
        self.init(route: record.route, modelKey: reached ?? "", arm: record.arm, policy: record.policy ?? 0)
    }
}

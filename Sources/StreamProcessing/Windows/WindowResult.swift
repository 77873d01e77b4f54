package import Core
package import Statistics
package import Telemetry

/// One emitted result: the partial aggregate of one partition. Partials of all partitions merge to the window's whole.
package struct WindowResult: Sendable, Equatable {
    package var window: Window
    package var key: WindowKey
    package var partition: Int
    /// 0 for the first pane, rising with each later one.
    package var pane: Int
    package var kind: PaneKind
    /// The watermark that all partitions must have passed for the window to be final.
    package var closesAt: Int64
    /// Whether the panes of a window add up; otherwise a later one replaces the earlier.
    package var discarding: Bool
    package var aggregate: WindowAggregate

    package init(
        window: Window, key: WindowKey, partition: Int, pane: Int, kind: PaneKind = .ontime, closesAt: Int64 = .max,
        discarding: Bool = false, aggregate: WindowAggregate
    ) {
        self.window = window
        self.key = key
        self.partition = partition
        self.pane = pane
        self.kind = kind
        self.closesAt = closesAt
        self.discarding = discarding
        self.aggregate = aggregate
    }

    package var id: WindowID { WindowID(window: window, key: key) }
}

/// When a pane left: before its window was complete, when the watermark passed its end, or for a late event.
package enum PaneKind: String, Sendable, CaseIterable { case early, ontime, late }

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
    package var unit: UInt32?
    package var propensity: Double?
    /// The prompt's variant.
    package var variant: String?
    /// The request that this one, a shadow, repeats.
    package var shadowOf: UUIDv7?
    package var outcome: Outcome
    package var cost: NanoUSD?
    package var totalMs: Double

    package init(_ record: RequestRecord) { self.init(record, key: WindowKey(record)) }

    package init(
        id: UUIDv7, at: Int64, key: WindowKey, virtualKey: String?, rollout: UUIDv7?, step: Int?,
        candidateWeight: Double?, unit: UInt32? = nil, propensity: Double?, variant: String? = nil,
        shadowOf: UUIDv7? = nil,
        outcome: Outcome, cost: NanoUSD?, totalMs: Double
    ) {
        self.id = id
        self.at = at
        self.key = key
        self.virtualKey = virtualKey
        self.rollout = rollout
        self.step = step
        self.candidateWeight = candidateWeight
        self.unit = unit
        self.propensity = propensity
        self.variant = variant
        self.shadowOf = shadowOf
        self.outcome = outcome
        self.cost = cost
        self.totalMs = totalMs
    }

    init(_ record: borrowing RequestRecord, key: WindowKey) {
        id = record.id
        at = record.at
        self.key = key
        virtualKey = record.key
        rollout = record.rollout
        step = record.step
        candidateWeight = record.candidateWeight
        unit = record.unit
        propensity = record.propensity
        variant = record.variant
        shadowOf = record.shadowOf
        outcome = record.outcome
        cost = record.cost
        totalMs = record.totalMs
    }
}

extension WindowKey {
    /// The key of the window `requests`.
    package init(_ record: borrowing RequestRecord) {
        self.init(route: record.route, modelKey: record.modelKey, arm: record.arm, policy: record.policy ?? 0)
    }
}

extension RequestRecord {
    /// `provider/model` of the target that answered or was tried last; empty when none was reached.
    var modelKey: String {
        guard let provider, let model else { return "" }
        return "\(provider)/\(model)"
    }
}

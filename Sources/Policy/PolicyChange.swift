import Core

/// One typed edit of a policy. Strategies propose lists of these, so that conflicts are seen by the keys they touch.
package enum PolicyEdit: Codable, Sendable, Equatable {
    /// Every use of `from` becomes `to`.
    case replaceTarget(from: String, to: Target)
    /// Appends a target, unless its id is there already: for use as a fallback.
    case addTarget(Target)
    case setSelector(RoutingPolicy.Selector)
    case setFallbacks([String])
    case setTimeouts(RoutingPolicy.Timeouts)

    enum CodingKeys: String, CodingKey {
        case replaceTarget = "replace_target"
        case addTarget = "add_target"
        case setSelector = "set_selector"
        case setFallbacks = "set_fallbacks"
        case setTimeouts = "set_timeouts"
    }

    /// The policy key this edit writes.
    package var key: String {
        switch self {
        case .replaceTarget, .addTarget: "targets"
        case .setSelector: "selector"
        case .setFallbacks: "fallbacks"
        case .setTimeouts: "timeouts"
        }
    }
}

extension RoutingPolicy {
    /// A new, not yet numbered policy: `self` with `edits` applied in order.
    package func applying(_ edits: [PolicyEdit], createdAt: Int64, createdBy: String, reason: String) -> RoutingPolicy {
        var next = self
        next.parent = version
        next.version = 0
        next.createdAt = createdAt
        next.createdBy = createdBy
        next.reason = reason
        for edit in edits {
            switch edit {
            case .replaceTarget(let old, let new): next.replace(old, with: new)
            case .addTarget(let target):
                if !next.targets.contains(where: { $0.id == target.id }) { next.targets.append(target) }
            case .setSelector(let selector): next.selector = selector
            case .setFallbacks(let ids): next.fallbacks = ids
            case .setTimeouts(let timeouts): next.timeouts = timeouts
            }
        }
        return next
    }

    private mutating func replace(_ old: String, with new: Target) {
        targets = targets.filter { $0.id == old || $0.id != new.id }.map { $0.id == old ? new : $0 }
        fallbacks = fallbacks.map { $0 == old ? new.id : $0 }.filter { $0 != targets.first?.id }
        if case .weighted(var weights) = selector, let weight = weights.removeValue(forKey: old) {
            weights[new.id, default: 0] += weight
            selector = .weighted(weights)
        }
    }

    /// What differs between two policies, one line a key, for people.
    package func diff(against other: RoutingPolicy) -> [PolicyDifference] {
        var rows: [PolicyDifference] = []
        func add(_ key: String, _ old: String, _ new: String) {
            if old != new { rows.append(.init(key: key, old: old, new: new)) }
        }
        add("targets", other.targets.map(\.id).joined(separator: ", "), targets.map(\.id).joined(separator: ", "))
        add("selector", other.selector.summary, selector.summary)
        add("fallbacks", other.fallbacks.joined(separator: ", "), fallbacks.joined(separator: ", "))
        add("timeouts", other.timeouts.summary, timeouts.summary)
        return rows
    }
}

package struct PolicyDifference: Codable, Sendable, Equatable {
    package let key: String
    package let old: String
    package let new: String
}

extension RoutingPolicy.Selector {
    package var summary: String {
        switch self {
        case .priority: "priority"
        case .weighted(let weights):
            "weighted " + weights.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
        }
    }
}

extension RoutingPolicy.Timeouts {
    package var summary: String {
        "connect \(connectMs) ms, first byte \(firstByteMs) ms, idle \(idleMs) ms, total \(totalMs) ms"
    }
}

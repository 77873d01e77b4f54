package import Policy

/// A person's word that one guardrail of one rollout stands back for a while: it neither rolls back nor holds. Its
/// evidence goes on gathering, and acts when the waiver has run out.
package struct Waiver: Codable, Sendable, Equatable {
    package var guardrail: Guardrail
    package var from: Int64
    /// Milliseconds since the epoch, exclusive.
    package var until: Int64
    package var by: String
    package var reason: String

    /// The longest that one can last, milliseconds: a day.
    package static let longestMs: Int64 = 24 * 3_600_000

    /// One phrase for people.
    package var detail: String {
        let span = until > from ? " for \((until - from) / 1000) s" : ""
        return "\(guardrail.rawValue)\(span), by \(by): \(reason)"
    }

    package init(guardrail: Guardrail, from: Int64, until: Int64, by: String, reason: String) {
        self.guardrail = guardrail
        self.from = from
        self.until = until
        self.by = by
        self.reason = reason
    }
}

extension Rollout {
    /// The guardrails that stand back at a time. A clock that is set back does not bring a waiver to life again.
    package func waived(at now: Int64) -> Set<Guardrail> {
        guard let waivers, !waivers.isEmpty else { return [] }
        return Set(waivers.filter { $0.from <= now && now < $0.until }.map(\.guardrail))
    }

    /// Waives a guardrail, in place of an earlier waiver of it; one that has no length ends that. `false` once the rollout
    /// is over, and when there is nothing to end.
    @discardableResult
    package mutating func waive(_ waiver: Waiver, now: Int64) -> Bool {
        guard isActive else { return false }
        let isNew = waiver.until > now
        guard isNew || waived(at: now).contains(waiver.guardrail) else { return false }
        waivers = (waivers ?? []).filter { $0.guardrail != waiver.guardrail } + (isNew ? [waiver] : [])
        note(isNew ? "waived" : "waiver_ended", waiver.detail, now: now)
        return true
    }
}

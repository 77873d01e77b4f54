package import Policy

/// How the gateways took up the end of a rollout: each reports the epoch of the routing table that it serves.
package struct Acknowledgement: Codable, Sendable, Equatable {
    /// From the verdict to the last gateway that serves what it changed, milliseconds; `nil` if none said so.
    package var ms: Int64?
    package var gateways: Int
    /// Those that had not said so when their lease on the candidate ran out: they serve stable since then.
    package var missing: [String]

    package init(ms: Int64?, gateways: Int, missing: [String] = []) {
        self.ms = ms
        self.gateways = gateways
        self.missing = missing
    }
}

extension Acknowledgement {
    /// One phrase for people.
    package var detail: String {
        let time = ms.map { "\(gateways - missing.count) of \(gateways) gateways within \($0) ms" } ?? "no gateway"
        return missing.isEmpty ? time : "\(time); the lease of \(missing.joined(separator: ", ")) has run out"
    }
}

extension Rollout {
    /// Whether an ended rollout is acknowledged by all gateways that may still serve its candidate; `nil`: not yet.
    ///
    /// One that was not heard of for a lease before the end serves stable, and is not waited for.
    ///
    /// - Parameters:
    ///   - epoch: the epoch that the end raised the routing table to, or a later one.
    ///   - leaseMs: how long a gateway serves a candidate without hearing from the control plane.
    package func acknowledged(by reports: [GatewayStatus], epoch: Int64, leaseMs: Int64, now: Int64) -> Acknowledgement?
    {
        guard let endedAt else { return nil }
        // A clock that was set back since must not make all that is heard look old.
        let live = reports.filter { $0.seenAt >= min(endedAt, now) - leaseMs }
        let late = live.filter { $0.epoch < epoch }
        guard late.isEmpty || now - endedAt > leaseMs else { return nil }
        let last = live.lazy.filter { $0.epoch >= epoch }.map(\.epochAt).max()
        return Acknowledgement(
            ms: last.map { max(0, $0 - endedAt) }, gateways: live.count, missing: late.map(\.id))
    }
}

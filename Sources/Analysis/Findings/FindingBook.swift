import Core

/// The findings of one route that are open: one for each statement and subject, whatever the number of minutes that
/// make it. A finding is closed when nothing has said so for a while, so that one at the edge does not come and go.
package struct FindingBook: Codable, Sendable, Equatable {
    /// Open at most; beyond that only what weighs more than the least of them opens.
    package static let mostOpen = 100
    /// A change of the estimate that is worth writing down, as a share of it.
    private static let newsworthy = 0.1
    /// And at least so often, milliseconds.
    private static let refreshMs: Int64 = 300_000

    private struct Entry: Codable, Sendable, Equatable {
        var finding: Finding
        /// When a change of it was last told.
        var toldAt: Int64
    }
    private var entries: [Entry]
    /// What could not open for want of room, since the beginning.
    package private(set) var suppressed: Int64 = 0

    package init(open: [Finding] = []) { entries = open.map { Entry(finding: $0, toldAt: $0.updatedAt) } }

    /// One for each code and subject.
    package var open: [Finding] { entries.map(\.finding) }

    /// What a minute changed.
    package enum Change: Sendable, Equatable {
        case opened(Finding)
        case updated(Finding)
        /// Updated, and more severe than it has ever been.
        case raised(Finding)
        case closed(Finding)

        package var finding: Finding {
            switch self {
            case .opened(let finding), .updated(let finding), .raised(let finding), .closed(let finding): finding
            }
        }
    }

    /// Takes in what the analyzers said of the minute that ended at `now`.
    ///
    /// - Parameter closeAfterMs: How long nothing must have said so before a finding is closed.
    package mutating func take(
        _ seen: [Observation], of route: String, now: Int64, closeAfterMs: Int64,
        using generator: inout some RandomNumberGenerator
    ) -> [Change] {
        var changes: [Change] = []
        for observation in seen {
            if let place = place(of: observation) {
                let isNews = entries[place].finding.differs(from: observation, by: Self.newsworthy)
                let isRaised = observation.severity > entries[place].finding.peakSeverity
                entries[place].finding.update(observation, at: now)
                if isNews || now - entries[place].toldAt >= Self.refreshMs {
                    entries[place].toldAt = now
                    let finding = entries[place].finding
                    changes.append(isRaised ? .raised(finding) : .updated(finding))
                }
            } else if let room = makeRoom(for: observation, now: now) {
                if let gone = room.gone { changes.append(.closed(gone)) }
                let finding = Finding(
                    observation, id: UUIDv7(milliseconds: now, using: &generator), route: route, at: now)
                entries.append(Entry(finding: finding, toldAt: now))
                changes.append(.opened(finding))
            } else {
                suppressed += 1
            }
        }
        for place in entries.indices.reversed()
        where now - entries[place].finding.updatedAt >= closeAfterMs {
            changes.append(.closed(close(place, now: now)))
        }
        return changes
    }

    private func place(of seen: Observation) -> Int? {
        entries.firstIndex { $0.finding.code == seen.code && $0.finding.subject == seen.subject }
    }

    private mutating func close(_ place: Int, now: Int64) -> Finding {
        var finding = entries.remove(at: place).finding
        (finding.status, finding.closedAt) = (.closed, now)
        return finding
    }

    /// `nil` where there is none, else what had to give way for it.
    private mutating func makeRoom(for seen: Observation, now: Int64) -> (gone: Finding?, Void)? {
        guard entries.count >= Self.mostOpen else { return (nil, ()) }
        guard let least = entries.indices.min(by: { entries[$0].finding.severity < entries[$1].finding.severity }),
            entries[least].finding.severity < seen.severity
        else { return nil }
        return (close(least, now: now), ())
    }
}

extension Finding {
    fileprivate func differs(from seen: Observation, by share: Double) -> Bool {
        severity != seen.severity
            || abs(seen.magnitude.estimate - magnitude.estimate) > share * abs(magnitude.estimate)
    }
}

import Core
package import Statistics
package import StreamProcessing

/// What people look at the stream with. PostgreSQL implements it, and memory does for tests, under the same contract.
package protocol StreamRecords: Sendable {
    /// Every partition that any job has claimed, sorted by job, then number.
    func partitions() async throws -> [StreamPartition]

    /// Dead letters, newest first.
    func deadLetters(_ query: DeadLetterQuery) async throws -> [StoredDeadLetter]
    func deadLetter(_ id: DeadLetterID) async throws -> StoredDeadLetter?
    /// Notes that a person sends a letter's record through the log again, with an audit entry.
    ///
    /// - Parameter again: Whether one that was sent before may be sent once more.
    /// - Throws: `TrimtabError` `store.not_found`, or `deadletter.conflict` when it was sent before.
    func markReplayed(_ id: DeadLetterID, by actor: String, now: Int64, again: Bool, detail: String) async throws

    /// Results of one definition, merged over partitions, ordered by window, then key.
    func declaredWindows(_ query: DeclaredWindowQuery) async throws -> [DeclaredWindow]

    /// Backfills, sorted by job.
    func backfills() async throws -> [Backfill]
    /// What a backfill counts beside what live traffic gave.
    ///
    /// - Parameter limit: Differences given one by one, the earliest.
    /// - Throws: `TrimtabError` `store.not_found`.
    func compareBackfill(_ job: String, limit: Int) async throws -> BackfillComparison
    /// Forgets a backfill with all its results, with an audit entry. One that runs ends with an error.
    ///
    /// - Throws: `TrimtabError` `store.not_found`.
    func deleteBackfill(_ job: String, by actor: String, now: Int64) async throws
}

/// How far one partition of one job is, as stored with its last checkpoint.
package struct StreamPartition: Sendable, Equatable {
    package var job: String
    package var partition: Int
    package var topic: String
    package var owner: String
    package var nextOffset: Int64
    /// `nil` before the first event.
    package var watermark: Int64?
    /// `nil` until the first checkpoint of a version that notes it.
    package var checkpointedAt: Int64?

    package init(
        job: String, partition: Int, topic: String, owner: String, nextOffset: Int64, watermark: Int64?,
        checkpointedAt: Int64?
    ) {
        self.job = job
        self.partition = partition
        self.topic = topic
        self.owner = owner
        self.nextOffset = nextOffset
        self.watermark = watermark
        self.checkpointedAt = checkpointedAt
    }
}

/// Where a refused record lies in the log. Written `topic:partition:offset`.
package struct DeadLetterID: Sendable, Hashable, LosslessStringConvertible {
    package var topic: String
    package var partition: Int
    package var offset: Int64

    package init(topic: String, partition: Int, offset: Int64) {
        self.topic = topic
        self.partition = partition
        self.offset = offset
    }

    package init?(_ description: String) {
        let parts = description.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 3, !parts[0].isEmpty, let partition = Int32(parts[1]), let offset = Int64(parts[2]) else {
            return nil
        }
        self.init(topic: String(parts[0]), partition: Int(partition), offset: offset)
    }

    package var description: String { "\(topic):\(partition):\(offset)" }
}

package struct StoredDeadLetter: Sendable, Equatable {
    package var id: DeadLetterID
    /// When it was refused, milliseconds since the epoch.
    package var at: Int64
    /// As stored: perhaps one that only another version knows.
    package var reason: String
    package var detail: String
    package var raw: [UInt8]
    package var replayedAt: Int64?
    package var replayedBy: String?

    package init(
        id: DeadLetterID, at: Int64, reason: String, detail: String, raw: [UInt8], replayedAt: Int64? = nil,
        replayedBy: String? = nil
    ) {
        self.id = id
        self.at = at
        self.reason = reason
        self.detail = detail
        self.raw = raw
        self.replayedAt = replayedAt
        self.replayedBy = replayedBy
    }

    package init(topic: String, letter: DeadLetter) {
        self.init(
            id: DeadLetterID(topic: topic, partition: letter.partition, offset: letter.offset), at: letter.at,
            reason: letter.reason.rawValue, detail: letter.detail, raw: letter.raw)
    }

    /// Newest first.
    package static func leads(_ a: Self, _ b: Self) -> Bool {
        DeadLetterQuery.Position(a) > DeadLetterQuery.Position(b)
    }
}

/// One page of dead letters, newest first.
package struct DeadLetterQuery: Sendable {
    package var reason: DeadLetter.Reason?
    /// When they were refused, milliseconds since the epoch.
    package var range: Range<Int64>
    /// Only those that have not been sent again.
    package var openOnly: Bool
    /// Only those after this one.
    package var after: Position?
    package var limit: Int

    package init(
        reason: DeadLetter.Reason? = nil, range: Range<Int64> = 0..<Int64.max, openOnly: Bool = false,
        after: Position? = nil, limit: Int = 50
    ) {
        self.reason = reason
        self.range = range
        self.openOnly = openOnly
        self.after = after
        self.limit = limit
    }

    /// A letter's place in the list.
    package struct Position: Sendable, Comparable {
        package var at: Int64
        package var id: DeadLetterID

        package init(at: Int64, id: DeadLetterID) {
            self.at = at
            self.id = id
        }

        package init(_ letter: StoredDeadLetter) { self.init(at: letter.at, id: letter.id) }

        package static func < (a: Self, b: Self) -> Bool {
            (a.at, a.id.topic, a.id.partition, a.id.offset) < (b.at, b.id.topic, b.id.partition, b.id.offset)
        }
    }
}

/// How finely results are read. A level whose rows are gone is read one coarser.
package enum WindowLevel: String, Sendable, CaseIterable {
    /// As declared.
    case window
    case hour, day

    /// Milliseconds; `nil` as declared.
    package var stepMs: Int64? {
        switch self {
        case .window: nil
        case .hour: 3_600_000
        case .day: 86_400_000
        }
    }
}

package struct DeclaredWindowQuery: Sendable {
    package var definition: WindowDefinition
    /// `nil`: live traffic, whatever job counted it.
    package var job: String?
    /// Window starts, milliseconds since the epoch.
    package var range: Range<Int64>
    /// Values that the key must have, by dimension.
    package var values: [WindowDimension: String]
    package var level: WindowLevel
    /// At most so many windows of one key, the newest.
    package var limit: Int

    package init(
        _ definition: WindowDefinition, job: String? = nil, range: Range<Int64>,
        values: [WindowDimension: String] = [:], level: WindowLevel = .window, limit: Int = 1_000
    ) {
        self.definition = definition
        self.job = job
        self.range = range
        self.values = values
        self.level = level
        self.limit = limit
    }

    package func matches(_ key: WindowKey) -> Bool {
        guard !values.isEmpty else { return true }
        let held = Dictionary(key.values(definition)) { first, _ in first }
        return values.allSatisfy { held[$0.key] == $0.value }
    }
}

/// One window of one key over all partitions, as far as it is known.
package struct DeclaredWindow: Sendable, Equatable {
    package var window: Window
    package var key: WindowKey
    /// `early` if any partition's part is, else `late` if any is.
    package var kind: PaneKind
    package var aggregate: WindowAggregate
    /// By feedback name.
    package var feedback: [String: Moments]
    /// Whether nothing can change any more but its feedback.
    package var isFinal: Bool

    package init(
        window: Window, key: WindowKey, kind: PaneKind, aggregate: WindowAggregate, feedback: [String: Moments] = [:],
        isFinal: Bool
    ) {
        self.window = window
        self.key = key
        self.kind = kind
        self.aggregate = aggregate
        self.feedback = feedback
        self.isFinal = isFinal
    }

    package var id: WindowID { WindowID(window: window, key: key) }

    /// Adds another part of the same window, or a window of the same step.
    package mutating func merge(_ other: DeclaredWindow) {
        aggregate.merge(other.aggregate)
        feedback.merge(other.feedback) { one, two in
            var sum = one
            sum.merge(two)
            return sum
        }
        kind = kind.merged(other.kind)
        isFinal = isFinal && other.isFinal
    }
}

extension PaneKind {
    package func merged(_ other: PaneKind) -> PaneKind {
        if self == .early || other == .early { return .early }
        return self == .late || other == .late ? .late : .ontime
    }
}

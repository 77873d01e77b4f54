package import Core
package import StreamProcessing
import Statistics

/// The stream's records in memory: for tests, under the same contract as PostgreSQL's.
package actor InMemoryStreamRecords: StreamRecords {
    struct Part: Hashable {
        var job: String
        var id: WindowID
        var partition: Int
        /// Rises with each pane where panes add up.
        var delta: Int
    }

    var held: [String: [Int: StreamPartition]] = [:]
    var jobs: [String: Backfill] = [:]
    private var letters: [DeadLetterID: StoredDeadLetter] = [:]
    var parts: [Part: WindowResult] = [:]
    private var feedback: [WindowID: [String: Moments]] = [:]
    package var auditEntries: [AuditEntry] = []

    package init() {}

    /// Keeps what one checkpoint of a job's worker says.
    package func add(_ checkpoint: Checkpoint, job: String, topic: String, owner: String, now: Int64) {
        let state = checkpoint.state
        held[job, default: [:]][state.partition] = StreamPartition(
            job: job, partition: state.partition, topic: topic, owner: owner, nextOffset: state.nextOffset,
            watermark: state.watermark, checkpointedAt: now)
        for letter in checkpoint.deadLetters {
            let stored = StoredDeadLetter(topic: topic, letter: letter)
            if letters[stored.id] == nil { letters[stored.id] = stored }
        }
        for gone in checkpoint.retracted {
            parts = parts.filter { $0.key.job != job || $0.key.id != gone || $0.key.partition != state.partition }
        }
        for result in checkpoint.results {
            let id = WindowID(window: result.window, key: result.key)
            parts[
                Part(job: job, id: id, partition: result.partition, delta: result.discarding ? result.pane : 0)
            ] = result
        }
        for delta in checkpoint.feedbackDeltas() {
            feedback[WindowID(window: delta.window, key: delta.key), default: [:]][delta.name, default: Moments()]
                .merge(delta.values)
        }
    }

    package func partitions() -> [StreamPartition] {
        held.values.flatMap(\.values).sorted { ($0.job, $0.partition) < ($1.job, $1.partition) }
    }

    package func deadLetters(_ query: DeadLetterQuery) -> [StoredDeadLetter] {
        let found = letters.values.filter { stored in
            (query.reason == nil || stored.reason == query.reason?.rawValue) && query.range.contains(stored.at)
                && !(query.openOnly && stored.replayedAt != nil)
                && (query.after.map { DeadLetterQuery.Position(stored) < $0 } ?? true)
        }
        return Array(found.sorted(by: StoredDeadLetter.leads).prefix(query.limit))
    }

    package func deadLetter(_ id: DeadLetterID) -> StoredDeadLetter? { letters[id] }

    package func markReplayed(
        _ id: DeadLetterID, by actor: String, now: Int64, again: Bool, detail: String
    ) throws {
        guard let letter = letters[id] else { throw DeadLetterFault.missing(id) }
        if let before = letter.replayedAt, !again { throw DeadLetterFault.replayed(id, at: before) }
        letters[id]?.replayedAt = now
        letters[id]?.replayedBy = actor
        audit(actor, "deadletter.replay", subject: id.description, detail: detail, now: now)
    }

    func audit(_ actor: String, _ action: String, subject: String, detail: String, now: Int64) {
        var generator = SplitMix64(seed: UInt64(bitPattern: now) ^ UInt64(auditEntries.count))
        auditEntries.append(
            AuditEntry(
                id: UUIDv7(milliseconds: now, using: &generator), at: now, actor: actor, action: action, route: nil,
                subject: subject, detail: detail))
    }

    package func declaredWindows(_ query: DeclaredWindowQuery) -> [DeclaredWindow] {
        var merged: [WindowID: DeclaredWindow] = [:]
        let chosen = parts.filter { part, _ in
            part.id.key.window == query.definition.name && query.range.contains(part.id.window.start)
                && (query.job.map { $0 == part.job } ?? !part.job.hasPrefix(StreamJob.backfillPrefix))
                && query.matches(part.id.key)
        }
        for (part, result) in chosen.sorted(by: { ($0.key.partition, $0.key.delta) < ($1.key.partition, $1.key.delta) })
        {
            let watermark = (held[part.job] ?? [:]).values.map { $0.watermark ?? .min }.min() ?? .min
            var piece = DeclaredWindow(
                window: part.id.window, key: part.id.key, kind: result.kind, aggregate: result.aggregate,
                isFinal: result.closesAt <= watermark)
            if let before = merged[part.id] {
                piece = before
                piece.merge(
                    DeclaredWindow(
                        window: part.id.window, key: part.id.key, kind: result.kind, aggregate: result.aggregate,
                        isFinal: result.closesAt <= watermark))
            }
            merged[part.id] = piece
        }
        if query.job == nil {
            for id in merged.keys { merged[id]?.feedback = feedback[id] ?? [:] }
        }
        let newest = merged.values.sorted { $0.id < $1.id }.suffix(query.limit)
        return query.level.stepMs.map { DeclaredWindow.inSteps(Array(newest), of: $0) } ?? Array(newest)
    }
}

extension DeclaredWindow {
    /// Windows merged by the step in which they start, in order.
    package static func inSteps(_ windows: [DeclaredWindow], of step: Int64) -> [DeclaredWindow] {
        var steps: [WindowID: DeclaredWindow] = [:]
        for window in windows {
            let rest = window.window.start % step
            let start = window.window.start - (rest < 0 ? rest + step : rest)
            var moved = window
            moved.window = Window(start: start, end: start + step)
            if var sum = steps[moved.id] {
                sum.merge(moved)
                steps[moved.id] = sum
            } else {
                steps[moved.id] = moved
            }
        }
        return steps.values.sorted { $0.id < $1.id }
    }
}

/// Errors that both stores share.
package enum DeadLetterFault {
    package static func missing(_ id: DeadLetterID) -> TrimtabError {
        TrimtabError(
            "store.not_found", "There is no dead letter '\(id)'.",
            remedy: "`trimtab stream deadletters list` shows them.")
    }

    package static func replayed(_ id: DeadLetterID, at: Int64) -> TrimtabError {
        TrimtabError(
            "deadletter.conflict", "The dead letter '\(id)' was replayed before, at \(at) ms.",
            remedy: "Add --again (\"again\": true) if its record is to be counted once more.")
    }
}

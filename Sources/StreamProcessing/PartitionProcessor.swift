package import Core
package import Telemetry

/// Turns one partition's events into window results, feedback, request rows and rollout evidence.
///
/// Deterministic: the same events, offsets and clock readings give the same checkpoints. Not `Sendable`: whoever owns
/// the partition owns its processor. An event counts exactly once: offsets below the next expected one are skipped,
/// numbers that a producer has used before are dropped, and a checkpoint holds both with what they led to.
package final class PartitionProcessor {
    package let partition: Int
    package let settings: StreamSettings
    package private(set) var counts = StreamCounts()

    private var nextOffset: Int64
    /// The watermark that the windows have been told.
    private var windowsWatermark: Int64?
    private var clock: PartitionClock
    private let definitions: [WindowDefinition]
    private let feedbackDefinitions: [WindowDefinition]
    /// One for each definition; that of `requests` first.
    private let operators: [any WindowOperator]
    /// Windows whose definition is gone or has changed: handed out once, as they stand.
    private var leftovers: WindowChanges
    private var producers: ProducerPositions
    private var feedback: FeedbackJoin
    private var requests: [RequestRow] = []
    private var evidence: [EvidenceKey: EvidencePane] = [:]
    private var paneNumber: Int64
    private var deadLetters: [DeadLetter] = []

    package init(partition: Int, settings: StreamSettings, restoring state: PartitionState? = nil) {
        let state = state ?? PartitionState(partition: partition)
        self.partition = partition
        self.settings = settings
        nextOffset = state.nextOffset
        producers = ProducerPositions(state.producers, bound: settings.producers)
        paneNumber = state.paneNumber
        clock = PartitionClock(settings, largest: state.largestTimestamp, watermark: state.watermark)
        definitions = settings.definitions
        feedbackDefinitions = definitions.filter(\.aggregates.feedback)
        let open = Dictionary(grouping: state.openWindows, by: \.key.window)
        operators = definitions.map { definition in
            definition.makeOperator(
                partition: partition, watermark: state.watermark ?? .min,
                open: (open[definition.name] ?? []).filter { definition.holds($0.window) }, mostKeys: settings.mostKeys)
        }
        leftovers = Self.leftovers(state, definitions)
        for definition in definitions { counts.late[definition.name] = 0 }
        feedback = FeedbackJoin(settings, pending: state.pendingFeedback)
    }

    private static func leftovers(_ state: PartitionState, _ definitions: [WindowDefinition]) -> WindowChanges {
        var leftovers = WindowChanges()
        for held in state.openWindows {
            let definition = definitions.first { $0.name == held.key.window }
            guard definition?.holds(held.window) != true else { continue }
            leftovers.purged.append(held.id)
            guard held.aggregate.requests > 0 else { continue }
            leftovers.results.append(
                WindowResult(
                    window: held.window, key: held.key, partition: state.partition, pane: held.pane,
                    closesAt: held.window.end, discarding: held.isDiscarding, aggregate: held.aggregate))
        }
        leftovers.sort()
        return leftovers
    }

    /// The next offset expected.
    package var position: Int64 { nextOffset }
    package var watermark: Int64? { clock.watermark }
    package var openWindows: Int { operators.reduce(0) { $0 + $1.openCount } }
    /// Silent for as long as the idle time.
    package var isIdle: Bool { clock.isIdle }

    /// Processes one event of the log. Never fails: what cannot be counted is a dead letter or a counted duplicate.
    package func process(_ event: LogEvent, offset: Int64, now: Int64) {
        switch event {
        case .request(let record): process(record, offset: offset, now: now)
        case .feedback(let entry): process(entry, offset: offset, now: now)
        }
    }

    /// Records an event that could not be read.
    package func reject(offset: Int64, reason: DeadLetter.Reason, detail: String, raw: some Sequence<UInt8>, now: Int64)
    {
        guard accept(offset) else { return }
        dead(offset, reason, detail, raw: Array(raw.prefix(settings.deadLetterBytes)), now: now)
    }

    /// Passes over a record without content.
    package func skip(offset: Int64) {
        if accept(offset) { counts.skipped += 1 }
    }

    /// Lets the clock move a silent partition on. Not for one that is held back or behind on reading, which is not silent.
    ///
    /// - Parameter isDrained: `false` where nobody knows whether there is more to read: such a partition holds no other
    ///   back, but its own time stands still, lest what it has be late.
    package func advance(now: Int64, isDrained: Bool = true) {
        clock.advance(now: now, isDrained: isDrained)
        advanceWindows()
    }

    /// Shows windows early by the clock. For every partition, read to its end or not.
    package func tick(now: Int64) {
        for windows in operators { windows.advanceClock(now: now) }
    }

    private func advanceWindows() {
        guard let watermark = clock.watermark, watermark != windowsWatermark else { return }
        windowsWatermark = watermark
        for windows in operators { windows.advance(to: watermark) }
    }

    /// Requests that waiting feedback is about and that are to be looked up in the table of requests.
    package func unresolvedFeedback() -> [UUIDv7] { feedback.unresolved }

    /// Joins waiting feedback to what was found. What was not found waits on until its time is up.
    package func resolve(_ rows: [UUIDv7: RequestRow], now: Int64) {
        for (pending, reason, detail) in feedback.resolve(rows, now: now, windows: feedbackDefinitions) {
            dead(pending, reason, detail, now: now)
        }
    }

    /// Everything since the last checkpoint, to be stored whole or not at all.
    package func checkpoint() -> Checkpoint {
        var state = PartitionState(partition: partition)
        let joined = feedback.drain()
        if !evidence.isEmpty || joined.contains(where: { $0.evidence != nil && $0.name == Feedback.quality }) {
            paneNumber += 1
        }
        state.nextOffset = nextOffset
        state.largestTimestamp = clock.largest
        state.watermark = clock.watermark
        state.producers = producers.all
        state.paneNumber = paneNumber
        state.pendingFeedback = feedback.pending
        var checkpoint = Checkpoint(state: state)
        let handedOut = [leftovers] + operators.map { $0.drain() }
        leftovers = WindowChanges()
        for changes in handedOut {
            checkpoint.changedWindows += changes.changed
            checkpoint.purgedWindows += changes.purged
            checkpoint.retracted += changes.retracted
            checkpoint.results += changes.results
        }
        checkpoint.feedback = joined
        checkpoint.panes = evidence.values.sorted { $0.key < $1.key }.map {
            var pane = $0
            pane.number = paneNumber
            return pane
        }
        swap(&checkpoint.requests, &requests)
        // As many come again, so that the array is not copied as it grows.
        requests.reserveCapacity(checkpoint.requests.count)
        swap(&checkpoint.deadLetters, &deadLetters)
        evidence.removeAll(keepingCapacity: true)
        return checkpoint
    }

    // MARK: Events

    func process(_ entry: Feedback, offset: Int64, now: Int64) {
        guard accept(offset), isNew(entry.producer, entry.seq, offset) else { return }
        switch feedback.add(entry, offset: offset, now: now, windows: feedbackDefinitions) {
        case .none: break
        case .duplicate: counts.duplicates += 1
        case .dead(let pending, let reason, let detail): dead(pending, reason, detail, now: now)
        }
    }

    /// - Parameter raw: The record as it lies in the log, for the dead letters; encoded anew where it is not at hand.
    func process(_ record: borrowing RequestRecord, offset: Int64, now: Int64, raw: ArraySlice<UInt8>? = nil) {
        guard accept(offset), isNew(record.producer, record.seq, offset) else { return }
        guard !clock.isTooFarAhead(record.at, now: now) else {
            let ahead = record.at.subtractingSaturating(now)
            return dead(
                offset, .future, "at is \(ahead) ms ahead of the clock; \(settings.futureLimitMs) are allowed.",
                record, raw: raw, now: now)
        }
        guard count(record, now: now) else {
            let behind = (clock.watermark ?? .min).subtractingSaturating(record.at)
            return dead(
                offset, .late, "at is \(behind) ms behind the watermark, which is past its windows' allowed lateness.",
                record, raw: raw, now: now)
        }
        counts.requests += 1
        let key = operators[0].latestKey
        if record.isKept(share: settings.keepRequests) { requests.append(RequestRow(record, key: key)) }
        if let evidenceKey = EvidenceKey(rollout: record.rollout, step: record.step, arm: record.arm) {
            count(record, evidenceKey)
        }
        for (pending, reason, detail) in feedback.arrived(
            record.id, FeedbackTarget(record, key: key), windows: feedbackDefinitions)
        {
            dead(pending, reason, detail, now: now)
        }
        clock.observe(record.at, now: now)
        advanceWindows()
    }

    /// Counts a request in the windows of every definition; false if it was too late for all of them.
    private func count(_ record: borrowing RequestRecord, now: Int64) -> Bool {
        var isLate = true
        for place in operators.indices {
            switch operators[place].add(record, now: now) {
            case .counted: isLate = false
            case .late: counts.late[definitions[place].name, default: 0] += 1
            case .unassigned:
                isLate = false
                counts.unassigned += 1
            }
        }
        return !isLate
    }

    private func count(_ record: borrowing RequestRecord, _ key: EvidenceKey) {
        let weight = record.candidateWeight ?? 0
        let fresh = EvidencePane(
            key: key, partition: partition, number: 0, candidateWeight: weight, trials: [])
        evidence[key, default: fresh].trials.append(Trial(record))
        evidence[key]?.candidateWeight = weight
    }

    /// Gaps are accepted: logs have them.
    private func accept(_ offset: Int64) -> Bool {
        guard offset >= nextOffset else {
            counts.repeatedOffsets += 1
            return false
        }
        nextOffset = offset + 1
        return true
    }

    /// Whether a producer's number is new. An event without a producer always is.
    private func isNew(_ producer: String, _ seq: Int64, _ offset: Int64) -> Bool {
        guard !producer.isEmpty else { return true }
        if producers.accept(producer, seq, offset: offset) { return true }
        counts.duplicates += 1
        return false
    }

    // MARK: Dead letters

    private func dead(_ pending: PendingFeedback, _ reason: DeadLetter.Reason, _ detail: String, now: Int64) {
        var raw: [UInt8] = []
        EventEncoder.encode(.feedback(pending.feedback), into: &raw)
        dead(pending.offset, reason, detail, raw: raw, now: now)
    }

    /// Not inlined, lest every record be copied for the few that come here.
    @inline(never)
    private func dead(
        _ offset: Int64, _ reason: DeadLetter.Reason, _ detail: String, _ record: borrowing RequestRecord,
        raw: ArraySlice<UInt8>?, now: Int64
    ) {
        var bytes = raw.map { Array($0.prefix(settings.deadLetterBytes)) } ?? []
        if raw == nil { EventEncoder.encode(.request(copy record), into: &bytes) }
        dead(offset, reason, detail, raw: bytes, now: now)
    }

    private func dead(_ offset: Int64, _ reason: DeadLetter.Reason, _ detail: String, raw: [UInt8], now: Int64) {
        counts.deadLetters[reason, default: 0] += 1
        deadLetters.append(
            DeadLetter(
                partition: partition, offset: offset, at: now, reason: reason, detail: detail,
                raw: Array(raw.prefix(settings.deadLetterBytes))))
    }
}

/// What a processor has seen since it was made.
package struct StreamCounts: Sendable, Equatable {
    package var requests: Int64 = 0
    package var duplicates: Int64 = 0
    package var repeatedOffsets: Int64 = 0
    package var skipped: Int64 = 0
    /// Requests too late for the windows of a definition, by its name.
    package var late: [String: Int64] = [:]
    /// Requests between two windows of a definition.
    package var unassigned: Int64 = 0
    package var deadLetters: [DeadLetter.Reason: Int64] = [:]
    package init() {}
}

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
    private var clock: PartitionClock
    private var windows: WindowOperator
    private var producers: [String: ProducerPosition]
    private var keys = WindowKeyCache()
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
        producers = state.producers
        paneNumber = state.paneNumber
        clock = PartitionClock(settings, largest: state.largestTimestamp, watermark: state.watermark)
        windows = WindowOperator(
            partition: partition, assigner: .tumbling(size: max(1, settings.windowMs), offset: 0),
            latenessMs: settings.latenessMs, watermark: state.watermark ?? .min, open: state.openWindows)
        feedback = FeedbackJoin(settings, pending: state.pendingFeedback)
    }

    /// The next offset expected.
    package var position: Int64 { nextOffset }
    package var watermark: Int64? { clock.watermark }
    package var openWindows: Int { windows.openCount }

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

    /// Lets the clock move a silent partition on. Only for a partition that has been read to its end: one that is held
    /// back is not silent.
    package func advance(now: Int64) {
        clock.advance(now: now)
        if let watermark = clock.watermark { windows.advance(to: watermark) }
    }

    /// Requests that waiting feedback is about and that are to be looked up in the table of requests.
    package func unresolvedFeedback() -> [UUIDv7] { feedback.unresolved }

    /// Joins waiting feedback to what was found. What was not found waits on until its time is up.
    package func resolve(_ rows: [UUIDv7: RequestRow], now: Int64) {
        for (pending, reason, detail) in feedback.resolve(rows, now: now, windows: windows.assigner) {
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
        state.producers = producers
        state.paneNumber = paneNumber
        state.pendingFeedback = feedback.pending
        let changes = windows.drain()
        var checkpoint = Checkpoint(state: state)
        checkpoint.changedWindows = changes.changed
        checkpoint.purgedWindows = changes.purged
        checkpoint.results = changes.results
        checkpoint.feedback = joined
        checkpoint.panes = evidence.values.sorted { $0.key < $1.key }.map {
            var pane = $0
            pane.number = paneNumber
            return pane
        }
        swap(&checkpoint.requests, &requests)
        swap(&checkpoint.deadLetters, &deadLetters)
        evidence.removeAll(keepingCapacity: true)
        return checkpoint
    }

    // MARK: Events

    func process(_ entry: Feedback, offset: Int64, now: Int64) {
        guard accept(offset), isNew(entry.producer, entry.seq, offset) else { return }
        switch feedback.add(entry, offset: offset, now: now, windows: windows.assigner) {
        case .none: break
        case .duplicate: counts.duplicates += 1
        case .dead(let pending, let reason, let detail): dead(pending, reason, detail, now: now)
        }
    }

    func process(_ record: RequestRecord, offset: Int64, now: Int64) {
        guard accept(offset), isNew(record.producer, record.seq, offset) else { return }
        guard !clock.isTooFarAhead(record.at, now: now) else {
            let ahead = record.at.subtractingSaturating(now)
            return dead(
                offset, .future, "at is \(ahead) ms ahead of the clock; \(settings.futureLimitMs) are allowed.",
                event: .request(record), now: now)
        }
        let key = keys.key(of: record)
        guard windows.add(at: record.at, key: key, { $0.add(record) }) else {
            let behind = windows.watermark.subtractingSaturating(record.at)
            return dead(
                offset, .late, "at is \(behind) ms behind the watermark, which is past its window's allowed lateness.",
                event: .request(record), now: now)
        }
        counts.requests += 1
        let row = RequestRow(record, key: key)
        if record.isKept(share: settings.keepRequests) { requests.append(row) }
        if let evidenceKey = EvidenceKey(row) { count(record, evidenceKey) }
        for (pending, reason, detail) in feedback.arrived(row, windows: windows.assigner) {
            dead(pending, reason, detail, now: now)
        }
        clock.observe(record.at, now: now)
        if let watermark = clock.watermark { windows.advance(to: watermark) }
    }

    private func count(_ record: RequestRecord, _ key: EvidenceKey) {
        let weight = record.candidateWeight ?? 0
        let fresh = EvidencePane(
            key: key, partition: partition, number: 0, candidateWeight: weight, counts: EvidenceCounts())
        evidence[key, default: fresh].counts.add(record)
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
        if let last = producers[producer], last.seq >= seq {
            counts.duplicates += 1
            return false
        }
        producers[producer] = ProducerPosition(seq: seq, offset: offset)
        if producers.count > settings.producers, let silent = producers.min(by: { $0.value.offset < $1.value.offset }) {
            producers[silent.key] = nil
        }
        return true
    }

    // MARK: Dead letters

    private func dead(_ pending: PendingFeedback, _ reason: DeadLetter.Reason, _ detail: String, now: Int64) {
        dead(pending.offset, reason, detail, event: .feedback(pending.feedback), now: now)
    }

    private func dead(_ offset: Int64, _ reason: DeadLetter.Reason, _ detail: String, event: LogEvent, now: Int64) {
        var raw: [UInt8] = []
        EventEncoder.encode(event, into: &raw)
        dead(offset, reason, detail, raw: Array(raw.prefix(settings.deadLetterBytes)), now: now)
    }

    private func dead(_ offset: Int64, _ reason: DeadLetter.Reason, _ detail: String, raw: [UInt8], now: Int64) {
        counts.deadLetters[reason, default: 0] += 1
        deadLetters.append(
            DeadLetter(partition: partition, offset: offset, at: now, reason: reason, detail: detail, raw: raw))
    }
}

/// What a processor has seen since it was made.
package struct StreamCounts: Sendable, Equatable {
    package var requests: Int64 = 0
    package var duplicates: Int64 = 0
    package var repeatedOffsets: Int64 = 0
    package var skipped: Int64 = 0
    package var deadLetters: [DeadLetter.Reason: Int64] = [:]
    package init() {}
}

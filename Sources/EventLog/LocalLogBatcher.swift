import Core
import Telemetry

/// Gives events their partition, offset and sequence number and encodes them; lives on the writer's thread.
struct LocalLogBatcher: Sendable {
    private let producer: String
    private var nextOffsets: [Int64]
    /// By partition, from 1 in every run: a reader that remembers nothing of a run starts at 0.
    private var nextSeqs: [Int64]

    init(producer: String, nextOffsets: [Int64]) {
        self.producer = producer
        self.nextOffsets = nextOffsets
        nextSeqs = Array(repeating: 1, count: nextOffsets.count)
    }

    /// One row per partition, in the order of the events. Numbers given here are never given again: a row that cannot
    /// be written is kept and tried again as it is.
    ///
    /// - Parameter now: Milliseconds since the epoch; the rows' age counts from here.
    mutating func rows(for events: [LogEvent], at now: Int64) -> [LocalLogStore.Row] {
        var rows: [LocalLogStore.Row?] = Array(repeating: nil, count: nextOffsets.count)
        for event in events {
            let partition = event.bucketID.partition(of: nextOffsets.count)
            var row =
                rows[partition].take()
                ?? LocalLogStore.Row(
                    partition: partition, baseOffset: nextOffsets[partition], count: 0, payload: [],
                    firstSeq: nextSeqs[partition], at: now, largestAt: event.at)
            LocalLogFrame.append(
                event, as: EventEncoder.Numbering(producer: producer, seq: nextSeqs[partition]), to: &row.payload)
            row.count += 1
            row.largestAt = max(row.largestAt, event.at)
            nextSeqs[partition] += 1
            nextOffsets[partition] += 1
            rows[partition] = row
        }
        return rows.compactMap { $0 }
    }
}

import Core
import StreamProcessing
import Statistics
import Telemetry
import TestSupport
import Testing

@Suite struct RecoveryTests {
    private struct Counted: Hashable {
        var window: Window
        var key: WindowKey
    }

    /// A log with disorder, repeats, offset gaps, feedback and unreadable records.
    private static func log(_ random: inout SplitMix64) -> [(offset: Int64, event: LogEvent?)] {
        var log: [(offset: Int64, event: LogEvent?)] = []
        var offset: Int64 = 0
        var seq: Int64 = 0
        for number in 0..<400 as Range<UInt64> {
            offset += random.unit() < 0.1 ? Int64(random.next() % 5) + 1 : 1
            let roll = random.unit()
            if roll < 0.05 {
                log.append((offset, nil))
            } else if roll < 0.2, number > 0 {
                log.append((offset, Make.feedback(number, on: random.next() % number, value: random.unit())))
            } else {
                if random.unit() > 0.1 { seq += 1 }
                let at = Int64(number) * 40 - Int64(random.next() % 900)
                log.append(
                    (
                        offset,
                        Make.request(number, at: at, producer: "gw/1", seq: seq) {
                            $0.model = ["small", "large"][Int(number % 2)]
                            $0.rollout = number % 3 == 0 ? Make.id(1 << 40) : nil
                        }
                    ))
            }
        }
        return log
    }

    @Test(
        "Killed at any point and restored, the windows count each record of the log exactly once",
        arguments: 1...40 as ClosedRange<UInt64>)
    func exactlyOnce(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let log = Self.log(&random)
        var settings = Make.settings { $0.latenessMs = 60_000 }
        settings.recentRequests = 50
        let now = Make.start + 20_000

        var store = MemoryPartition(partition: 0)
        var owner = try store.claim()
        var processor = PartitionProcessor(partition: 0, settings: settings, restoring: owner.state)
        var at = 0
        while at < log.count {
            let entry = log[at]
            if let event = entry.event {
                processor.process(event, offset: entry.offset, now: now)
            } else {
                processor.reject(offset: entry.offset, reason: .malformedJSON, detail: "x", raw: [1], now: now)
            }
            at += 1
            let roll = random.unit()
            if roll < 0.08 {
                let rows = store.requests
                processor.resolve(
                    Dictionary(
                        uniqueKeysWithValues: processor.unresolvedFeedback().compactMap { id in
                            rows[id].map { (id, $0) }
                        }), now: now)
                let stored = store.commit(processor.checkpoint(), epoch: owner.epoch)
                #expect(stored)
            } else if roll < 0.14 {
                // A crash, sometimes between building a checkpoint and storing it; the former owner is fenced.
                let lost = processor.checkpoint()
                let former = owner.epoch
                owner = try store.claim()
                let accepted = store.commit(lost, epoch: former)
                #expect(!accepted)
                processor = PartitionProcessor(partition: 0, settings: settings, restoring: owner.state)
                at = log.firstIndex { $0.offset >= owner.state.nextOffset } ?? log.count
                // The log may hand out a little of what is known already.
                at = max(0, at - Int(random.next() % 3))
            }
        }
        let settled = store.commit(processor.checkpoint(), epoch: owner.epoch)
        #expect(settled)
        processor.resolve(store.requests, now: now + 100_000)
        processor.advance(now: now)
        processor.advance(now: now + 3_600_000)
        let stored = store.commit(processor.checkpoint(), epoch: owner.epoch)
        #expect(stored)
        try expect(store, holds: log, settings)
    }

    /// Counts the log plainly and compares.
    private func expect(
        _ store: MemoryPartition, holds log: [(offset: Int64, event: LogEvent?)], _ settings: StreamSettings
    ) throws {
        var expected: [WindowID: Int64] = [:]
        var last: Int64 = -1
        var rows: [UUIDv7: RequestRow] = [:]
        var feedback: Set<UUIDv7> = []
        for case (_, .some(let event)) in log {
            switch event {
            case .request(let record):
                guard record.seq > last else { continue }
                last = record.seq
                let start = record.at - record.at % settings.windowMs
                let window = Window(start: start, end: start + settings.windowMs)
                expected[WindowID(window: window, key: WindowKey(record)), default: 0] += 1
                rows[record.id] = RequestRow(record)
            case .feedback(let entry): feedback.insert(entry.id)
            }
        }
        #expect(store.results.mapValues(\.aggregate.requests) == expected)
        #expect(store.requests == rows && store.open.isEmpty)
        let unreadable = log.filter { $0.event == nil }.map(\.offset)
        #expect(store.deadLetters.values.filter { $0.reason == .malformedJSON }.map(\.offset).sorted() == unreadable)
        let unknown = store.deadLetters.values.filter { $0.reason == .requestUnknown }.count
        #expect(store.feedback.count + unknown == feedback.count)
        #expect(store.feedback.values.allSatisfy { rows[$0.request]?.key == $0.windows.first?.key })
        let evidence = store.panes.reduce(0) { $0 + $1.trials.count { $0.answer != nil } }
        #expect(evidence == rows.values.filter { $0.rollout != nil }.count)
        let quality = store.panes.reduce(0) { $0 + $1.trials.count { $0.qualityValue != nil } }
        #expect(quality == store.feedback.values.filter { $0.evidence != nil }.count)
    }

    @Test(
        "Every stored form reads back equal, and cut or lengthened bytes are refused",
        arguments: 1...5 as ClosedRange<UInt64>)
    func storedForms(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let processor = PartitionProcessor(partition: 7, settings: Make.settings { $0.latenessMs = 60_000 })
        for (offset, event) in Self.log(&random) {
            if let event { processor.process(event, offset: offset, now: Make.start + 20_000) }
        }
        let checkpoint = processor.checkpoint()
        let state = checkpoint.state.encoded()
        #expect(PartitionState(encoded: state) == checkpoint.state)
        for window in checkpoint.changedWindows {
            #expect(WindowAggregate(encoded: window.aggregate.encoded()) == window.aggregate)
        }
        for pane in checkpoint.evidence() {
            #expect(EvidencePane.trials(encoded: pane.encodedTrials) == pane.trials)
        }
        let aggregate = try #require(checkpoint.changedWindows.first).aggregate.encoded()
        let trials = try #require(checkpoint.evidence().first).encodedTrials
        for length in 0..<aggregate.count { #expect(WindowAggregate(encoded: aggregate.prefix(length)) == nil) }
        for length in 0..<trials.count { #expect(EvidencePane.trials(encoded: trials.prefix(length)) == nil) }
        for length in 0..<state.count { #expect(PartitionState(encoded: state.prefix(length)) == nil) }
        #expect(WindowAggregate(encoded: aggregate + [0]) == nil && EvidencePane.trials(encoded: trials + [0]) == nil)
        #expect(PartitionState(encoded: state + [0]) == nil && PartitionState(encoded: [9] + state.dropFirst()) == nil)
        // Changed bytes are read as something else or refused, and never crash.
        for at in state.indices {
            var broken = state
            broken[at] = UInt8(truncatingIfNeeded: random.next())
            _ = PartitionState(encoded: broken)
        }
    }

    @Test("Partial results of partitions merge to the whole")
    func merges() {
        let settings = Make.settings()
        let whole = PartitionProcessor(partition: 0, settings: settings)
        let halves = [
            PartitionProcessor(partition: 0, settings: settings), PartitionProcessor(partition: 1, settings: settings),
        ]
        for number in 0..<200 as Range<UInt64> {
            let event = Make.request(number, at: Int64(number), outcome: number % 7 == 0 ? .timeout : .complete) {
                $0.totalMs = Double(number) * 3
                $0.error = number % 7 == 0 ? .timeoutTotal : nil
                $0.rollout = Make.id(5)
            }
            whole.feed([event])
            halves[Int(number % 2)].feed([event])
        }
        let expected = whole.checkpoint()
        let parts = halves.map { $0.checkpoint() }
        var merged = WindowAggregate()
        var trials: [Trial] = []
        for part in parts {
            for window in part.changedWindows { merged.merge(window.aggregate) }
            for pane in part.panes { trials += pane.trials }
        }
        #expect(expected.changedWindows.map(\.aggregate) == [merged])
        #expect(expected.panes.map { Set($0.trials.map(\.at)) } == [Set(trials.map(\.at))])
        #expect(expected.panes.first?.trials.count == trials.count)
    }
}

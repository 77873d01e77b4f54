import Core
import Statistics
import StreamProcessing
import Telemetry
import TestSupport
import Testing

@Suite struct FeedbackTests {
    private func canary(_ number: UInt64, at ms: Int64 = 10) -> LogEvent {
        Make.request(number, at: ms) {
            $0.rollout = Make.id(77)
            $0.step = 1
            $0.arm = .candidate
            ($0.candidateWeight, $0.unit) = (0.1, 7)
        }
    }

    @Test("Feedback counts for its request's own window, key and rollout, and never reopens the window")
    func attributed() throws {
        let processor = PartitionProcessor(partition: 0, settings: Make.settings())
        processor.feed([canary(1), canary(2, at: 5_000)], ms: 5_000)
        _ = processor.checkpoint()
        let watermark = processor.watermark
        processor.feed([Make.feedback(1, on: 1, value: 0.3), Make.feedback(2, on: 1, value: 0.8, name: "helpful")])
        let checkpoint = processor.checkpoint()
        #expect(processor.watermark == watermark && checkpoint.results.isEmpty)
        let deltas = checkpoint.feedbackDeltas()
        #expect(deltas.map(\.name) == ["helpful", "quality"])
        #expect(deltas.allSatisfy { $0.window == Window(start: Make.start, end: Make.start + 1_000) })
        #expect(deltas.map(\.values.sum) == [0.8, 0.3] && deltas[0].key.arm == .candidate)
        let pane = try #require(checkpoint.evidence().first)
        #expect(pane.trials.map(\.qualityValue) == [0.3] && pane.trials[0].unit == 7 && pane.number == 2)
        #expect(pane.candidateWeight == 0.1 && pane.key.step == 1)
    }

    @Test("A repeat is dropped by id, early or by the store")
    func idempotent() {
        let processor = PartitionProcessor(partition: 0, settings: Make.settings { $0.recentFeedback = 1 })
        processor.feed([canary(1), Make.feedback(1, on: 1), Make.feedback(1, on: 1)])
        #expect(processor.counts.duplicates == 1)
        processor.feed([Make.feedback(2, on: 1), Make.feedback(3, on: 1), Make.feedback(1, on: 1, value: 0)])
        let checkpoint = processor.checkpoint()
        #expect(checkpoint.feedback.count == 3)
        let stored: Set = [Make.id(1_000_001)]
        #expect(checkpoint.feedbackDeltas(refusing: stored).map(\.values.n) == [2])
        #expect(checkpoint.evidence(refusing: stored).map { $0.trials.count { $0.qualityValue != nil } } == [2])
    }

    @Test("A key speaks of its own requests only; an operator of any")
    func ownRequests() {
        let processor = PartitionProcessor(partition: 0, settings: Make.settings())
        processor.feed([
            canary(1), Make.feedback(1, on: 1, key: "other"), Make.feedback(2, on: 1, key: nil),
            Make.feedback(3, on: 1, key: "web"),
        ])
        let checkpoint = processor.checkpoint()
        #expect(checkpoint.feedback.map(\.id) == [Make.id(1_000_002), Make.id(1_000_003)])
        #expect(checkpoint.deadLetters.map(\.reason) == [.notOwnRequest])
    }

    @Test("What was refused may be sent again, once its request is known")
    func refusedAndSentAgain() {
        let processor = PartitionProcessor(partition: 0, settings: Make.settings { $0.pendingFeedbackMs = 1_000 })
        processor.feed([Make.feedback(1, on: 1)])
        _ = processor.checkpoint()
        processor.resolve([:], now: Make.start + 1_000)
        #expect(processor.checkpoint().deadLetters.map(\.reason) == [.requestUnknown])
        processor.feed([canary(1), Make.feedback(1, on: 1), Make.feedback(1, on: 1)])
        #expect(processor.checkpoint().feedback.count == 1 && processor.counts.duplicates == 1)
    }

    @Test("Feedback is counted by the variant of its request's prompt, also when the request is looked up")
    func byVariant() throws {
        let definition = WindowDefinition(
            name: "variants", key: [.variant, .arm], assigner: .tumbling(size: 1_000),
            aggregates: AggregateSelection(measures: [.cost], feedback: true))
        #expect(definition.problem == nil)
        let processor = PartitionProcessor(partition: 0, settings: Make.settings { $0.windows = [definition] })
        let request = Make.request(1, at: 0) {
            $0.variant = "short"
            $0.arm = .candidate
        }
        processor.feed([request, Make.feedback(1, on: 1, value: 0.5), Make.feedback(2, on: 7, value: 0.25)])
        guard case .request(var late) = request else { return }
        late.id = Make.id(7)
        processor.resolve([Make.id(7): RequestRow(late)], now: Make.start)
        let deltas = processor.checkpoint().feedbackDeltas().filter { $0.key.window == "variants" }
        #expect(deltas.map(\.key.others) == [["short"]] && deltas.map(\.key.arm) == [.candidate])
        #expect(deltas.map(\.values.sum) == [0.75])
    }

    @Test("Feedback waits for its request: for one still to come, and for one that is looked up")
    func waits() throws {
        let processor = PartitionProcessor(partition: 0, settings: Make.settings())
        processor.feed([Make.feedback(1, on: 5), Make.feedback(2, on: 6), Make.feedback(3, on: 6)])
        #expect(processor.unresolvedFeedback() == [Make.id(5), Make.id(6)])
        processor.feed([canary(5)])
        #expect(processor.unresolvedFeedback() == [Make.id(6)])
        // Waiting survives a restart.
        let restored = PartitionProcessor(
            partition: 0, settings: Make.settings(), restoring: try processor.checkpoint().state.stored())
        #expect(restored.unresolvedFeedback() == [Make.id(6)])
        guard case .request(let record) = canary(6) else { return }
        restored.resolve([Make.id(6): RequestRow(record)], now: Make.start)
        #expect(restored.unresolvedFeedback().isEmpty)
        #expect(restored.checkpoint().feedback.map(\.request) == [Make.id(6), Make.id(6)])
    }

    @Test("What waits too long, or too many, becomes a dead letter")
    func bounded() {
        let settings = Make.settings {
            $0.pendingFeedback = 2
            $0.pendingFeedbackMs = 1_000
        }
        let processor = PartitionProcessor(partition: 0, settings: settings)
        processor.feed([Make.feedback(1, on: 1), Make.feedback(2, on: 2), Make.feedback(3, on: 3)])
        processor.resolve([:], now: Make.start + 999)
        #expect(processor.unresolvedFeedback() == [Make.id(2), Make.id(3)])
        // What came since the last checkpoint is given another one: its request may have come since then too.
        processor.resolve([:], now: Make.start + 1_000)
        #expect(processor.unresolvedFeedback() == [Make.id(2), Make.id(3)])
        let early = processor.checkpoint().deadLetters
        processor.resolve([:], now: Make.start + 1_000)
        let dead = early + processor.checkpoint().deadLetters
        #expect(dead.map(\.offset) == [0, 1, 2] && dead.allSatisfy { $0.reason == .requestUnknown })
    }

    @Test("Feedback follows its request even when many others came between")
    func forgotten() {
        let processor = PartitionProcessor(partition: 0, settings: Make.settings { $0.recentRequests = 2 })
        for number in 1...5 as ClosedRange<UInt64> { processor.feed([canary(number)]) }
        processor.feed([Make.feedback(1, on: 1), Make.feedback(2, on: 3)])
        #expect(processor.unresolvedFeedback() == [Make.id(1)])
        #expect(processor.checkpoint().feedback.map(\.request) == [Make.id(3)])
    }

    /// One side of a shadow rollout.
    private func side(_ number: UInt64, shadowOf original: UInt64? = nil) -> LogEvent {
        Make.request(number, at: Int64(number)) {
            $0.rollout = Make.id(77)
            ($0.step, $0.candidateWeight) = (0, 0.2)
            ($0.arm, $0.shadowOf) = original == nil ? (.stable, nil) : (.shadow, original.map { Make.id($0) })
        }
    }

    @Test("A request and its copy share a pair, as does all feedback on them, also when they are looked up")
    func pairs() throws {
        let processor = PartitionProcessor(partition: 0, settings: Make.settings())
        processor.feed([
            side(1), side(2), Make.feedback(1, on: 1), side(11, shadowOf: 1), Make.feedback(2, on: 11),
            Make.feedback(3, on: 12), canary(3), Make.feedback(4, on: 3),
        ])
        guard case .request(let late) = side(12, shadowOf: 2) else { return }
        processor.resolve([Make.id(12): RequestRow(late)], now: Make.start)
        let panes = processor.checkpoint().evidence()
        func pairs(_ arm: Arm, feedback: Bool) -> [UInt32?] {
            panes.filter { $0.key.arm == arm }.flatMap(\.trials).filter { ($0.answer == nil) == feedback }.map(\.pair)
        }
        let stable = pairs(.stable, feedback: false)
        #expect(stable.count == 2 && stable[0] != stable[1] && !stable.contains(nil))
        #expect(pairs(.stable, feedback: true) == [stable[0]])
        #expect(pairs(.shadow, feedback: false) == [stable[0]])
        #expect(pairs(.shadow, feedback: true) == stable)
        // A candidate that serves its own requests has no other side.
        #expect(pairs(.candidate, feedback: false) == [nil] && pairs(.candidate, feedback: true) == [nil])
        for pane in panes { #expect(EvidencePane.trials(encoded: pane.encodedTrials) == pane.trials) }
    }

    @Test("Panes that were stored before there were pairs are read")
    func earlierPanes() throws {
        let processor = PartitionProcessor(partition: 0, settings: Make.settings())
        processor.feed([canary(1), canary(2), Make.feedback(1, on: 1)])
        let pane = try #require(processor.checkpoint().evidence().first)
        #expect(EvidencePane.trials(encoded: [2] + pane.encodedTrials.dropFirst()) == pane.trials)
        #expect(EvidencePane.trials(encoded: [1] + pane.encodedTrials.dropFirst()) == nil)
    }
}

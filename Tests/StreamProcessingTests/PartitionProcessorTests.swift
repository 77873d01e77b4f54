import Core
import Statistics
import StreamProcessing
import Telemetry
import TestSupport
import Testing

@Suite struct PartitionProcessorTests {
    @Test("A window's result adds up what its requests say")
    func aggregates() throws {
        let processor = PartitionProcessor(partition: 3, settings: Make.settings())
        processor.feed(
            [
                Make.request(1, at: 10) {
                    $0.tokens = TokenUsage(input: 100, output: 20)
                    $0.ttftMs = 40
                    $0.totalMs = 250
                },
                Make.request(2, at: 20, outcome: .upstreamError) {
                    $0.error = .overloaded
                    $0.cost = nil
                },
                Make.request(3, at: 30, outcome: .clientGone),
                Make.request(4, at: 40, outcome: .rejected) { $0.cost = nil },
                Make.request(5, at: 1_500),
            ], ms: 2_000)
        let checkpoint = processor.checkpoint()
        let result = try #require(checkpoint.results.first)
        #expect(checkpoint.results.count == 1 && result.partition == 3 && result.pane == 0)
        #expect(result.window == Window(start: Make.start, end: Make.start + 1_000))
        #expect(result.key == WindowKey(route: "chat", modelKey: "openai/small", arm: .stable, policy: 1))
        let sums = result.aggregate
        #expect(sums.requests == 4 && sums.failures == 1 && sums.errors == [.overloaded: 1])
        #expect(sums.cost.n == 2 && sums.cost.sum == 2_000 && sums.unknownCost == 1)
        #expect(sums.inputTokens.sum == 100 && sums.outputTokens.sum == 20)
        #expect(sums.latency.count == 1 && sums.ttft.count == 1)
        #expect(checkpoint.requests.map(\.id) == (1...5).map { Make.id($0) })
        #expect(checkpoint.state.nextOffset == 5 && processor.counts.requests == 5)
    }

    @Test("A checkpoint holds only what changed since the last")
    func changes() {
        let processor = PartitionProcessor(partition: 0, settings: Make.settings { $0.latenessMs = 5_000 })
        processor.feed([Make.request(1, at: 10)], ms: 3_000)
        let first = processor.checkpoint()
        #expect(first.changedWindows.count == 1 && first.results.isEmpty && first.purgedWindows.isEmpty)
        let quiet = processor.checkpoint()
        #expect(quiet.changedWindows.isEmpty && quiet.requests.isEmpty && quiet.state == first.state)
        processor.feed([Make.request(2, at: 1_500)], ms: 3_000)
        let second = processor.checkpoint()
        #expect(second.results.map(\.pane) == [0])
        #expect(second.changedWindows.sorted { $0.id < $1.id }.map(\.emitted) == [true, false])
        processor.feed([Make.request(3, at: 20), Make.request(4, at: 30)], ms: 3_000)
        let late = processor.checkpoint()
        #expect(late.results.map(\.pane) == [2] && late.results.first?.aggregate.requests == 3)
        processor.feed([Make.request(5, at: 6_100)], ms: 6_100)
        #expect(processor.checkpoint().purgedWindows.map(\.window.start) == [Make.start])
    }

    @Test("A number that its producer has used before is dropped; another producer's is not")
    func duplicates() {
        let processor = PartitionProcessor(partition: 0, settings: Make.settings())
        processor.feed([
            Make.request(1, at: 10, producer: "a/1", seq: 7), Make.request(1, at: 10, producer: "a/1", seq: 7),
            Make.request(2, at: 10, producer: "a/1", seq: 6), Make.request(3, at: 10, producer: "a/2", seq: 7),
            Make.request(4, at: 10, producer: "a/1", seq: 9),
        ])
        #expect(processor.counts.requests == 3 && processor.counts.duplicates == 2)
        #expect(processor.checkpoint().state.producers["a/1"]?.seq == 9)
    }

    @Test("Only so many producers are remembered, and the longest silent one is forgotten")
    func producersAreBounded() {
        let processor = PartitionProcessor(partition: 0, settings: Make.settings { $0.producers = 2 })
        for (number, producer) in ["a", "b", "a", "c"].enumerated() {
            processor.feed([Make.request(UInt64(number), at: 10, producer: producer, seq: Int64(number) + 1)])
        }
        #expect(processor.checkpoint().state.producers.keys.sorted() == ["a", "c"])
    }

    @Test("Dead letters carry their place, reason and bytes, and the offsets go on")
    func deadLetters() {
        let processor = PartitionProcessor(partition: 2, settings: Make.settings { $0.deadLetterBytes = 4 })
        processor.reject(offset: 0, reason: .malformedJSON, detail: "broken", raw: Array("abcdef".utf8), now: 5)
        processor.skip(offset: 1)
        processor.feed([Make.request(1, at: 90_000), Make.request(2, at: 2_000), Make.request(3, at: 900)], ms: 29_999)
        let dead = processor.checkpoint().deadLetters
        #expect(dead.map(\.offset) == [0, 2, 4] && dead.map(\.reason) == [.malformedJSON, .future, .late])
        #expect(dead[0].raw == Array("abcd".utf8) && dead[0].partition == 2 && dead[0].at == 5)
        #expect(dead.allSatisfy { !$0.detail.isEmpty })
        #expect(processor.position == 5 && processor.counts.skipped == 1)
    }

    @Test("The last window closes when requests stop, even while feedback goes on")
    func quiet() {
        let processor = PartitionProcessor(partition: 0, settings: Make.settings { $0.idleMs = 500 })
        processor.feed([Make.request(1, at: 100)], ms: 600)
        processor.feed([Make.feedback(1, on: 1)], ms: 1_050)
        processor.advance(now: Make.start + 1_099)
        #expect(processor.checkpoint().results.isEmpty)
        processor.advance(now: Make.start + 1_100)
        #expect(processor.checkpoint().results.map(\.aggregate.requests) == [1])
    }

    @Test("A partition that never had an event does not keep the results of all others from being final")
    func empty() {
        let processor = PartitionProcessor(partition: 0, settings: Make.settings { $0.idleMs = 500 })
        processor.advance(now: Make.start)
        processor.advance(now: Make.start + 499)
        #expect(processor.checkpoint().state.watermark == nil)
        processor.advance(now: Make.start + 500, isDrained: false)
        #expect(processor.isIdle && processor.checkpoint().state.watermark == nil)
        processor.advance(now: Make.start + 501)
        #expect(processor.checkpoint().state.watermark == Make.start + 500)
        #expect(processor.checkpoint().state.largestTimestamp == nil)
    }

    @Test("A partition whose end nobody knows yet holds no other back, and its time stands still")
    func unknownEnd() throws {
        var ownership = PartitionOwnership(Make.settings { $0.idleMs = 500 })
        func turn(ends: [Int: Int64], ms: Int64) {
            let time = StreamTime(wall: Make.start + ms, steady: ms)
            while let effect = ownership.next(time) {
                switch effect {
                case .claim(let partition): ownership.claimed(partition, epoch: 1, state: nil)
                case .readEnds: ownership.ends(ends, time)
                case .commit: _ = ownership.committed(fenced: [], time)
                default: break
                }
            }
        }
        ownership.assigned([0])
        turn(ends: [:], ms: 0)
        let processor = try #require(ownership.processor(of: 0))
        processor.feed([Make.request(1, at: 100)], ms: 600)
        turn(ends: [0: 2], ms: 10_000)
        #expect(!processor.isIdle && processor.watermark == Make.start + 99)
        turn(ends: [:], ms: 20_000)
        #expect(processor.isIdle && processor.watermark == Make.start + 99)
        turn(ends: [0: 1], ms: 30_000)
        #expect(processor.isIdle && processor.watermark == Make.start + 29_999)
    }

    @Test("A share of plain requests is kept by id; all that later judgements need always is")
    func keptRequests() {
        let processor = PartitionProcessor(partition: 0, settings: Make.settings { $0.keepRequests = 0.25 })
        for number in 0..<4_000 as Range<UInt64> { processor.feed([Make.request(number, at: 0)]) }
        let kept = processor.checkpoint().requests
        #expect((800...1_200).contains(kept.count))
        #expect(kept.allSatisfy { RequestRecord.isSelected($0.id, share: 0.25) })
        let other = PartitionProcessor(partition: 0, settings: Make.settings { $0.keepRequests = 0 })
        other.feed([
            Make.request(1, at: 0), Make.request(2, at: 0, outcome: .timeout),
            Make.request(3, at: 0) { $0.arm = .explore }, Make.request(4, at: 0) { $0.arm = .shadow },
            Make.request(5, at: 0) { $0.arm = .holdout }, Make.request(6, at: 0) { $0.rollout = Make.id(9) },
        ])
        #expect(other.checkpoint().requests.map(\.id) == (2...6).map { Make.id($0) })
    }

    @Test("Evidence needs a rollout and a compared arm, and does not wait for the watermark")
    func evidence() throws {
        func canary(_ number: UInt64, _ arm: Arm, outcome: Outcome = .complete) -> LogEvent {
            Make.request(number, at: 10, outcome: outcome) {
                $0.rollout = Make.id(77)
                $0.step = 2
                $0.arm = arm
                $0.candidateWeight = 0.05
                if outcome != .complete { $0.error = .server }
            }
        }
        let processor = PartitionProcessor(partition: 1, settings: Make.settings())
        processor.feed([
            canary(1, .candidate), canary(2, .candidate, outcome: .upstreamError), canary(3, .stable),
            canary(4, .explore), canary(5, .holdout), Make.request(6, at: 10),
        ])
        let panes = processor.checkpoint().evidence()
        #expect(panes.map(\.key.arm) == [.candidate, .stable] && panes.map(\.number) == [1, 1])
        let candidate = try #require(panes.first)
        #expect(candidate.key == EvidenceKey(rollout: Make.id(77), step: 2, arm: .candidate))
        #expect(candidate.candidateWeight == 0.05 && candidate.partition == 1)
        let answers = candidate.trials.compactMap(\.answer)
        #expect(answers.map(\.marks) == [[], .failed] && answers.map(\.cost) == [1_000, 1_000])
        #expect(answers[0].latencyMs != nil && answers[1].latencyMs == nil)
        #expect(processor.checkpoint().evidence().isEmpty)
        processor.feed([canary(7, .stable)])
        #expect(processor.checkpoint().evidence().map(\.number) == [2])
    }
}

@Suite struct SessionFiringTests {
    private func windows(lateness: Int64) -> any WindowOperator {
        WindowDefinition(name: "s", key: [], assigner: .session(gap: 10), latenessMs: lateness).makeOperator(
            partition: 0)
    }

    private func add(_ at: Int64, to windows: any WindowOperator) {
        let record = RequestRecord(
            id: Make.id(0), at: at, startedAt: 0, route: "chat", outcome: .complete, status: 200, totalMs: 1)
        #expect(windows.add(record, now: 0) == .counted)
    }

    @Test("A session that grows after it has fired fires anew when its new end is reached")
    func grows() {
        let windows = windows(lateness: 1_000)
        add(0, to: windows)
        windows.advance(to: 9)
        #expect(windows.drain().results.map(\.window) == [Window(start: 0, end: 10)])
        add(9, to: windows)
        windows.advance(to: 18)
        let changes = windows.drain()
        #expect(changes.retracted.map(\.window) == [Window(start: 0, end: 10)])
        #expect(changes.results.map(\.window) == [Window(start: 0, end: 19)])
    }

    @Test("Sessions of one key that are due together fire once each")
    func together() {
        let windows = windows(lateness: 0)
        for at in [0, 20, 40] as [Int64] { add(at, to: windows) }
        windows.advance(to: 100)
        #expect(windows.drain().results.map(\.pane) == [0, 0, 0])
    }
}

import Core
import Policy
import Rollouts
import Statistics
import StreamProcessing
import Telemetry
import TestSupport
import Testing

/// Outcomes that come twice, late and in another order, through a stream that is killed now and then: from the log to
/// the evidence, as the stream worker, the database and the control loop do it.
@Suite struct OutcomeTests {
    @Test(arguments: 0..<40) func badWeatherLeavesTheEvidenceAsItIs(seed: Int) throws {
        var generator = SplitMix64(seed: UInt64(seed))
        let outcomes = Outcomes(&generator)
        let calm = try Pipeline(kills: 0).run(outcomes.inOrder, &generator)
        let shown = try Pipeline(kills: 0.03).run(outcomes.inBadWeather(&generator), &generator)
        #expect(calm.totals.control.requests + calm.totals.candidate.requests == Int64(outcomes.requests.count))
        #expect(calm.totals.candidate.quality.n > 10)
        #expect(shown.steps == calm.steps)
        #expect(shown.findings == calm.findings)
    }
}

/// Requests of two steps of a rollout, numbered by the gateway that served them, with feedback on some.
private struct Outcomes {
    struct Sent {
        var request: LogEvent
        var gateway: Int
        var feedback: LogEvent?
    }

    private(set) var requests: [Sent] = []

    init(_ generator: inout SplitMix64) {
        var numbers: [Int: Int64] = [:]
        for index in 1...600 as ClosedRange<UInt64> {
            let (gateway, step) = (Int(generator.next() % 3), index <= 300 ? 0 : 1)
            let weight = step == 0 ? 0.25 : 0.5
            let arm: Arm = generator.unit() < weight ? .candidate : .stable
            let outcome: Outcome = [.upstreamError, .timeout][safe: Int(generator.next() % 20)] ?? .complete
            numbers[gateway, default: 0] += 1
            let request = Make.request(
                index, at: Int64(index) * 10, producer: "gw-\(gateway)", seq: numbers[gateway] ?? 0, outcome: outcome
            ) {
                ($0.rollout, $0.step, $0.arm, $0.candidateWeight) = (Make.id(77), step, arm, weight)
                // When a cache is warm depends on which request came first.
                $0.cost = nil
            }
            // Halves of halves add up to the same in any order.
            let value = Double(generator.next() % 5) / 4
            let feedback = generator.unit() < 0.3 ? Make.feedback(index, on: index, value: value) : nil
            requests.append(Sent(request: request, gateway: gateway, feedback: feedback))
        }
    }

    var inOrder: [LogEvent] { requests.flatMap { [$0.request] + ($0.feedback.map { [$0] } ?? []) } }

    /// Gateways fall behind each other and send anew what they are not sure of; feedback comes before its request or long
    /// after the rest, and once more.
    func inBadWeather(_ generator: inout SplitMix64) -> [LogEvent] {
        var queues = Dictionary(grouping: requests, by: \.gateway).mapValues { $0.map(\.request) }
        var sent: [Int: [LogEvent]] = [:]
        var log: [LogEvent] = []
        while let gateway = queues.keys.sorted().randomElement(using: &generator) {
            let count = min(Int(generator.next() % 40) + 1, queues[gateway]?.count ?? 0)
            let next = Array(queues[gateway]?.prefix(count) ?? [])
            queues[gateway]?.removeFirst(count)
            if queues[gateway]?.isEmpty == true { queues[gateway] = nil }
            log += next
            sent[gateway, default: []] += next
            if generator.unit() < 0.3 {
                log += (sent[gateway] ?? []).suffix(Int(generator.next() % 60))
            }
        }
        for feedback in requests.compactMap(\.feedback) {
            for _ in 0..<(generator.unit() < 0.3 ? 2 : 1) {
                let isLate = generator.unit() < 0.3
                log.insert(feedback, at: isLate ? log.count : Int(generator.next() % UInt64(log.count)))
            }
        }
        return log
    }
}

extension Array {
    fileprivate subscript(safe index: Int) -> Element? { indices.contains(index) ? self[index] : nil }
}

/// One partition from its log to a rollout's evidence.
private struct Pipeline {
    /// The probability that the worker is killed at an event, and what it has not stored is lost.
    let kills: Double
    private let settings = Make.settings {
        ($0.windowMs, $0.latenessMs) = (60_000, 60_000)
        ($0.recentRequests, $0.recentFeedback) = (20, 10)
    }

    init(kills: Double) { self.kills = kills }

    func run(_ log: [LogEvent], _ generator: inout SplitMix64) throws -> RolloutEvidence {
        let now = Make.start + 10_000
        var evidence = makeRollout(
            guardrails: .init(only: [.errors: 0.4, .timeouts: 0.3, .badAnswers: 0.3]),
            // Events each: outcomes in blocks are compared with those that came at the same time.
            thresholds: .init(slowMs: 100, dearNanoUSD: nil, badBelow: 0.5, badAnswerRate: 0.1, answers: 500)
        ).evidence
        var store = MemoryPartition(partition: 0)
        var owner = try store.claim()
        var processor = PartitionProcessor(partition: 0, settings: settings, restoring: owner.state)
        while processor.position < log.count {
            let offset = processor.position
            processor.process(log[Int(offset)], offset: offset, now: now)
            if generator.unit() < kills {
                owner = try store.claim()
                processor = PartitionProcessor(partition: 0, settings: settings, restoring: owner.state)
            } else if generator.unit() < 0.05 {
                processor.resolve(store.requests, now: now)
                let stored = store.commit(processor.checkpoint(), epoch: owner.epoch)
                #expect(stored)
                // Panes come again with every look.
                evidence.fold(store.panes)
            }
        }
        // What came with the last requests finds them once they are stored.
        for _ in 0..<2 {
            processor.resolve(store.requests, now: now)
            let stored = store.commit(processor.checkpoint(), epoch: owner.epoch)
            #expect(stored)
        }
        #expect(processor.unresolvedFeedback().isEmpty && store.deadLetters.isEmpty)
        evidence.fold(store.panes)
        return evidence
    }
}

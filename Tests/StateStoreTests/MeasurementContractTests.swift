import Analysis
import ControlLoop
import Core
import Policy
import PostgresClient
import StateStore
import Statistics
import StreamProcessing
import Telemetry
import TestSupport
import Testing

/// What the stream stored reads the same from both stores.
@Suite(.enabled(if: TestPostgres.missing == nil), .timeLimit(.minutes(2)))
struct MeasurementContractTests {
    private func both(
        _ results: [WindowResult], _ feedback: [FeedbackDelta], _ panes: [EvidencePane]
    ) async throws -> [any ControlStore] {
        let memory = InMemoryControlStore()
        await memory.add(results: results, feedback: feedback, panes: panes)
        let pool = try await database()
        let stream = CheckpointStore(pool, job: "windows", topic: "events", owner: "test")
        for partition in Set(results.map(\.partition) + panes.map(\.partition)) {
            var checkpoint = Checkpoint(state: PartitionState(partition: partition))
            checkpoint.results = results.filter { $0.partition == partition }
            checkpoint.panes = panes.filter { $0.partition == partition }
            if partition == 0 { checkpoint.feedback = judgements }
            let claimed = try await stream.claim(partition: partition)
            #expect(try await stream.commit([(claimed.epoch, checkpoint)]).isEmpty)
        }
        return [memory, PostgresControlStore(pool)]
    }

    /// Two judgements of the first window's key.
    private var judgements: [AttributedFeedback] {
        var ids = IDs()
        let request = RequestRow(
            id: ids.next(), at: Sample.window(0).start, key: Sample.key(), virtualKey: nil, rollout: nil, step: nil,
            candidateWeight: nil, propensity: nil, outcome: .complete, cost: nil, totalMs: 1)
        return [0.25, 0.75].map { value in
            AttributedFeedback(
                Feedback(id: ids.next(), request: request.id, at: 1, name: "quality", value: value, source: .user),
                request: request, windows: [WindowID(window: Sample.window(0), key: Sample.key())])
        }
    }

    @Test func partialsOfPartitionsMerge() async throws {
        let mini = Sample.key(model: "openai/gpt-4o-mini")
        let results = [
            WindowResult(
                window: Sample.window(0), key: Sample.key(), partition: 0, pane: 0,
                aggregate: Sample.aggregate(latencies: [10, 20], costs: [100, 200], failures: 1)),
            WindowResult(
                window: Sample.window(0), key: Sample.key(), partition: 1, pane: 0,
                aggregate: Sample.aggregate(latencies: [30], costs: [300])),
            WindowResult(
                window: Sample.window(1), key: mini, partition: 1, pane: 0,
                aggregate: Sample.aggregate(latencies: [5], costs: [7])),
        ]
        let delta = FeedbackDelta(
            window: Sample.window(0), key: Sample.key(), name: "quality",
            values: Moments(n: 2, sum: 1, sumOfSquares: 0.625))
        let name = try "support".routeName
        let range = Sample.window(0).start..<Sample.window(2).start
        var statistics: [[TargetStatistics]] = []
        var windows: [[MergedWindow]] = []
        for store in try await both(results, [delta], []) {
            statistics.append(try await store.statistics(route: name, in: range))
            windows.append(try await store.windows(WindowQuery(route: name, range: range)))
            #expect(try await store.windows(WindowQuery(route: name, range: range, limit: 1)).map(\.key) == [mini])
            #expect(try await store.statistics(route: name, in: range.upperBound..<range.upperBound + 1).isEmpty)
        }
        #expect(statistics[0] == statistics[1])
        #expect(windows[0] == windows[1])
        let first = try #require(statistics[1].first)
        #expect(first.requests == 4)
        #expect(first.cost == Moments(n: 3, sum: 600, sumOfSquares: 140_000))
        #expect(first.quality.mean == 0.5)
        #expect(windows[1].first?.aggregate.latency.count == 3)
    }

    @Test func panesComeInTheirOrderAfterTheCursor() async throws {
        var ids = IDs()
        let rollout = ids.next()
        let panes = [(0, 1), (1, 1), (0, 2), (1, 4)].flatMap { partition, number in
            [Arm.stable, .candidate].map { arm in
                EvidencePane(
                    key: EvidenceKey(rollout: rollout, step: 0, arm: arm), partition: partition,
                    number: Int64(number), candidateWeight: 0.05,
                    trials: .requests(Int64(number), failures: 1, quality: [0.25]))
            }
        }
        let pool = try await database()
        let stream = CheckpointStore(pool, job: "windows", topic: "events", owner: "test")
        for partition in 0...1 {
            let epoch = try await stream.claim(partition: partition).epoch
            for pane in panes where pane.partition == partition {
                var checkpoint = Checkpoint(state: PartitionState(partition: partition))
                checkpoint.state.paneNumber = pane.number
                checkpoint.panes = [pane]
                #expect(try await stream.commit([(epoch, checkpoint)]).isEmpty)
            }
        }
        let memory = InMemoryControlStore()
        await memory.add(results: [], feedback: [], panes: panes.reversed())
        for store in [memory, PostgresControlStore(pool)] as [any ControlStore] {
            let all = try await store.evidence(of: rollout, after: [:])
            #expect(
                all.map { [$0.number, Int64($0.partition)] } == [
                    [1, 0], [1, 0], [1, 1], [1, 1], [2, 0], [2, 0], [4, 1], [4, 1],
                ])
            #expect(Set(all.map(\.key)).count == 2)
            // A limit leaves out what it would cut.
            let some = try await store.evidence(of: rollout, after: [:], limit: 5)
            #expect(some.map { [$0.number, Int64($0.partition)] } == [[1, 0], [1, 0], [1, 1], [1, 1]])
            let rest = try await store.evidence(of: rollout, after: [0: 2, 1: 1])
            #expect(rest.map(\.number) == [4, 4])
            #expect(rest.allSatisfy { $0.trials == [Trial].requests($0.number, failures: 1, quality: [0.25]) })
        }
    }
}

import ControlLoop
import Core
import PostgresClient
import StateStore
import Statistics
import StreamProcessing
import Telemetry
import TestSupport
import Testing

/// What people look at the stream with reads the same from memory and from PostgreSQL.
@Suite(.enabled(if: TestPostgres.missing == nil), .timeLimit(.minutes(2)))
struct StreamRecordsTests {
    private static let hour: Int64 = 1_763_650_800_000
    private static let definition = WindowDefinition(
        name: "per_key", key: [.route, .key], assigner: .tumbling(size: 60_000), latenessMs: 1_000)

    private func key(_ name: String) -> WindowKey {
        WindowKey(window: "per_key", route: "support", modelKey: "", arm: .stable, policy: 0, others: [name])
    }

    private func checkpoint(_ partition: Int, watermark: Int64, minutes: Range<Int64> = 0..<3) -> Checkpoint {
        var checkpoint = Checkpoint(state: PartitionState(partition: partition))
        checkpoint.state.nextOffset = 10
        checkpoint.state.watermark = watermark
        for minute in minutes {
            let start = Self.hour + minute * 60_000
            let window = Window(start: start, end: start + 60_000)
            checkpoint.results += ["a", "b"].map { name in
                WindowResult(
                    window: window, key: key(name), partition: partition, pane: 0,
                    kind: minute == 1 && partition == 1 ? .late : .ontime, closesAt: start + 61_000,
                    aggregate: Sample.aggregate(latencies: [Double(minute + 1)], costs: [Double(partition + 1)]))
            }
        }
        checkpoint.deadLetters = (0..<3).map { index in
            DeadLetter(
                partition: partition, offset: Int64(index), at: 1_000 + Int64(index),
                reason: index == 0 ? .late : .badValue, detail: "\(index)", raw: [0xff, UInt8(index)])
        }
        return checkpoint
    }

    private func both(_ checkpoints: [(job: String, Checkpoint)]) async throws -> [any StreamRecords] {
        let memory = InMemoryStreamRecords()
        let pool = try await database()
        for (job, checkpoint) in checkpoints {
            await memory.add(checkpoint, job: job, topic: "events", owner: "me", now: 5)
            let stream = CheckpointStore(pool, job: job, topic: "events", owner: "me")
            let epoch = try await stream.claim(partition: checkpoint.state.partition).epoch
            #expect(try await stream.commit([(epoch, checkpoint)]).isEmpty)
        }
        return [memory, PostgresStreamRecords(pool)]
    }

    @Test func partitionsAndDeadLetters() async throws {
        let stores = try await both([("main", checkpoint(0, watermark: 50)), ("main", checkpoint(1, watermark: 60))])
        for store in stores {
            let partitions = try await store.partitions()
            #expect(partitions.map(\.partition) == [0, 1] && partitions.map(\.watermark) == [50, 60])
            #expect(partitions.allSatisfy { $0.checkpointedAt != nil && $0.nextOffset == 10 && $0.owner == "me" })
            var seen: [DeadLetterID] = []
            var query = DeadLetterQuery(limit: 2)
            while let last = try await store.deadLetters(query).last {
                seen += try await store.deadLetters(query).map(\.id)
                query.after = .init(last)
            }
            #expect(seen.map(\.offset) == [2, 2, 1, 1, 0, 0] && seen.map(\.partition) == [1, 0, 1, 0, 1, 0])
            #expect(try await store.deadLetters(DeadLetterQuery(reason: .late)).count == 2)
            #expect(try await store.deadLetters(DeadLetterQuery(range: 1_001..<1_002)).count == 2)
            let id = DeadLetterID(topic: "events", partition: 1, offset: 2)
            #expect(try await store.deadLetter(id)?.raw == [0xff, 2])
            try await store.markReplayed(id, by: "ann", now: 9, again: false, detail: "")
            #expect(try await store.deadLetter(id)?.replayedBy == "ann")
            await #expect(throws: TrimtabError.self) {
                try await store.markReplayed(id, by: "ann", now: 9, again: false, detail: "")
            }
            try await store.markReplayed(id, by: "bob", now: 10, again: true, detail: "")
            #expect(try await store.deadLetters(DeadLetterQuery(openOnly: true)).count == 5)
            await #expect(throws: TrimtabError.self) {
                let none = DeadLetterID(topic: "x", partition: 0, offset: 0)
                try await store.markReplayed(none, by: "ann", now: 9, again: false, detail: "")
            }
        }
    }

    @Test func windowsAreMergedOverPartitionsAndApartFromBackfills() async throws {
        let watermark = Self.hour + 61_000
        let stores = try await both([
            ("main", checkpoint(0, watermark: watermark)), ("main", checkpoint(1, watermark: watermark + 90_000)),
            ("backfill-x", checkpoint(0, watermark: watermark, minutes: 0..<1)),
        ])
        var answers: [[[DeclaredWindow]]] = []
        for store in stores {
            let range = Self.hour..<Self.hour + 3_600_000
            var queries = [DeclaredWindowQuery(Self.definition, range: range)]
            queries.append(DeclaredWindowQuery(Self.definition, range: range, values: [.key: "b"]))
            queries.append(DeclaredWindowQuery(Self.definition, range: range, values: [.route: "none"]))
            queries.append(DeclaredWindowQuery(Self.definition, job: "backfill-x", range: range))
            queries.append(DeclaredWindowQuery(Self.definition, range: range, level: .hour))
            queries.append(DeclaredWindowQuery(Self.definition, range: range, limit: 1))
            var found: [[DeclaredWindow]] = []
            for query in queries { found.append(try await store.declaredWindows(query)) }
            answers.append(found)
        }
        #expect(answers[0] == answers[1])
        let found = answers[1]
        #expect(found.map(\.count) == [6, 3, 0, 2, 2, 1])
        #expect(found[0].map(\.isFinal) == [true, true, false, false, false, false])
        #expect(found[0].map(\.kind) == [.ontime, .ontime, .late, .late, .ontime, .ontime])
        #expect(found[0].allSatisfy { $0.aggregate.requests == 2 && $0.aggregate.cost.sum == 3 })
        #expect(found[3].allSatisfy { $0.aggregate.requests == 1 })
        #expect(found[4].allSatisfy { $0.aggregate.requests == 6 && $0.window.end == Self.hour + 3_600_000 })
    }

    @Test func allThatADefinitionAddsUpIsMergedOverPartitions() async throws {
        let stores = try await both(DeclaredTraffic.checkpoints().map { (job: "main", $0) })
        let range = Make.start..<Make.start + 60_000
        for store in stores {
            let found = try await store.declaredWindows(DeclaredWindowQuery(DeclaredTraffic.window, range: range))
            #expect(found.map(\.key.modelKey) == ["openai/large", "openai/small"])
            let small = try #require(found.last)
            let sums = small.aggregate
            #expect(small.isFinal && sums.requests == 8 && sums.failures == 3 && sums.unknownCost == 3)
            #expect(sums.errors == [.timeoutTotal: 2, .overloaded: 1])
            #expect(sums.signals == [.abandoned: 1, .unattended: 2])
            #expect(sums[.cost].moments == Moments(n: 5, sum: 10_000, sumOfSquares: 36_000_000))
            #expect(sums[.latency].moments == Moments(n: 4, sum: 800, sumOfSquares: 178_000))
            #expect(sums[.cost].moments.variance == 4_000_000 && sums[.latency].moments.variance == 6_000)
            #expect(sums[.latency].minimum == 110 && sums[.latency].maximum == 290)
            #expect(sums[.latency].sketch.count == 4 && sums[.cost].sketch.count == 0)
            #expect(sums.distinct.map { $0.estimate.rounded() } == [3, 2])
            let top = [
                SpaceSaving.Counter(item: "a", count: 4, error: 0), SpaceSaving.Counter(item: "b", count: 2, error: 1),
            ]
            #expect(sums.top.map { $0.top(10) } == [top])
            let quality = Moments(n: 2, sum: 1.5, sumOfSquares: 1.25)
            #expect(small.feedback == ["quality": quality, "helpful": Moments(n: 1, sum: 1, sumOfSquares: 1)])
        }
    }
}

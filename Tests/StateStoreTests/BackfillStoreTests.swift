import ControlLoop
import Core
import PostgresClient
import StateStore
import StreamProcessing
import Telemetry
import TestSupport
import Testing

/// Backfills are compared alike from memory and from PostgreSQL, and what feedback is joined by is kept.
@Suite(.enabled(if: TestPostgres.missing == nil), .timeLimit(.minutes(2)))
struct BackfillStoreTests {
    private static let hour: Int64 = 1_763_650_800_000
    private static let job = "backfill-x"

    private static func window(_ minute: Int64) -> Window {
        Window(start: hour + minute * 60_000, end: hour + (minute + 1) * 60_000)
    }

    /// One window a minute, with the minute's own figures.
    private static func checkpoint(_ minutes: [Int64], watermark: Int64, cost: Double = 1) -> Checkpoint {
        var checkpoint = Checkpoint(state: PartitionState(partition: 0))
        checkpoint.state.watermark = watermark
        checkpoint.results = minutes.map { minute in
            WindowResult(
                window: window(minute), key: Sample.key(), partition: 0, pane: 0, closesAt: window(minute).end,
                aggregate: Sample.aggregate(
                    latencies: [Double(minute + 1)], costs: [[2, 5].contains(minute) ? cost : 1]))
        }
        return checkpoint
    }

    private static let backfill = Backfill(
        job: job, topic: "events", range: hour..<hour + 6 * 60_000,
        definitions: [.init(name: "requests", wholeFrom: hour + 60_000)], startedAt: 5)

    @Test func comparisonsAgree() async throws {
        // Minute 0 is not counted whole, 2 differs, 3 and 4 are on one side each, 5 is not final, 6 is not in the range.
        let live = Self.checkpoint([0, 1, 2, 3, 5, 6], watermark: Self.hour + 5 * 60_000)
        let again = Self.checkpoint([1, 2, 4, 5, 6], watermark: Self.hour + 900_000, cost: 3)
        let memory = InMemoryStreamRecords()
        let pool = try await database()
        let notes = BackfillStore(pool)
        await memory.add(Self.backfill)
        try await notes.start(Self.backfill)
        for (job, checkpoint) in [("main", live), (Self.job, again)] {
            await memory.add(checkpoint, job: job, topic: "events", owner: "me", now: 5)
            let store = CheckpointStore(pool, job: job, topic: "events", owner: "me")
            #expect(try await store.commit([(try await store.claim(partition: 0).epoch, checkpoint)]).isEmpty)
        }
        for records in [memory, PostgresStreamRecords(pool)] as [any StreamRecords] {
            #expect(try await records.backfills() == [Self.backfill])
            let found = try await records.compareBackfill(Self.job, limit: 10)
            #expect(
                found.counts == [.equal: 1, .differing: 1, .onlyLive: 1, .onlyBackfill: 1, .notFinal: 1], "\(records)")
            #expect(found.differences.map(\.verdict) == [.differing, .onlyLive, .onlyBackfill])
            #expect(found.differences.first?.id.window == Self.window(2))
            #expect(found.differences.first?.live == .init(requests: 1, failures: 0, costNanoUSD: 1))
            #expect(found.differences.first?.backfill == .init(requests: 1, failures: 0, costNanoUSD: 3))
            #expect(found.differences.last?.live == nil)
            #expect(try await records.compareBackfill(Self.job, limit: 1).differences.count == 1)
            await #expect(throws: TrimtabError.self) { try await records.compareBackfill("backfill-y", limit: 1) }
        }
        try await notes.finish(Self.job, note: "all", now: 9)
        #expect(try await notes.find(Self.job)?.finishedAt == 9)
        for records in [memory, PostgresStreamRecords(pool)] as [any StreamRecords] {
            try await records.deleteBackfill(Self.job, by: "ann", now: 10)
            #expect(try await records.backfills().isEmpty)
            #expect(try await records.partitions().map(\.job) == ["main"])
            await #expect(throws: TrimtabError.self) {
                try await records.deleteBackfill(Self.job, by: "ann", now: 10)
            }
        }
        let left = try await pool.withConnection { try await $0.query("SELECT DISTINCT job FROM window_results") }
        #expect(try left.rows.map { try $0["job"] as String } == ["main"])
    }

    @Test func reasonsOfOtherVersionsAreShown() async throws {
        let pool = try await database()
        try await DeadLetterStore(pool).insert(
            ["malformed_export", "of_tomorrow"].enumerated().map { index, reason in
                DeadLetterStore.Row(
                    topic: "otlp", partition: 0, offset: Int64(index), at: Int64(index), reason: reason, detail: "",
                    raw: [1])
            })
        let records = PostgresStreamRecords(pool)
        #expect(try await records.deadLetters(DeadLetterQuery()).map(\.reason) == ["of_tomorrow", "malformed_export"])
        #expect(try await records.deadLetters(DeadLetterQuery(reason: .malformedExport)).map(\.id.offset) == [0])
        let id = DeadLetterID(topic: "otlp", partition: 0, offset: 1)
        #expect(try await records.deadLetter(id)?.reason == "of_tomorrow")
    }

    /// Days later, when only the table still knows them.
    @Test func shadowsStandBesideWhatTheyRepeat() async throws {
        let pool = try await database()
        let store = CheckpointStore(pool, job: "main", topic: "events", owner: "me")
        var checkpoint = Checkpoint(state: PartitionState(partition: 0))
        checkpoint.requests = Sample.requests(3)
        checkpoint.requests[0].variant = "long"
        checkpoint.requests[1].variant = "short"
        checkpoint.requests[1].shadowOf = checkpoint.requests[0].id
        checkpoint.requests[1].key = Sample.key(model: "openai/small", arm: .shadow)
        let (first, shadow) = (checkpoint.requests[0], checkpoint.requests[1])
        var judgement = Feedback(
            id: Make.id(1), request: first.id, at: 1, name: "quality", value: 0.25, source: .judge)
        judgement.pair = shadow.id
        checkpoint.feedback = [AttributedFeedback(judgement, request: first, windows: [])]
        let epoch = try await store.claim(partition: 0).epoch
        #expect(try await store.commit([(epoch, checkpoint)]).isEmpty)
        let found = try await store.requests([first.id, shadow.id])
        #expect(found[first.id] == first && found[shadow.id] == shadow)
        let pairs = try await pool.withConnection { try await $0.query("SELECT * FROM shadow_pairs") }.rows
        let pair = try #require(pairs.first)
        #expect(pairs.count == 1)
        let ids: [UUIDv7] = [try pair["id"], try pair["shadow"]]
        #expect(ids == [first.id, shadow.id])
        let texts: [String] = [try pair["variant"], try pair["shadow_variant"], try pair["shadow_model_key"]]
        #expect(texts == ["long", "short", "openai/small"])
        let quality: [Double?] = [try pair["quality"], try pair["shadow_quality"]]
        #expect(quality == [0.25, nil])
        let kept = try await pool.withConnection { try await $0.query("SELECT pair FROM feedback") }.first
        let other: UUIDv7? = try kept?["pair"]
        #expect(other == shadow.id)
    }
}

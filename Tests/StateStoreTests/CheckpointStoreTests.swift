import ControlLoop
import Core
import PostgresClient
import Rollouts
import StateStore
import Statistics
import StreamProcessing
import Telemetry
import TestSupport
import Testing

@Suite(.enabled(if: TestPostgres.missing == nil), .timeLimit(.minutes(2)))
struct CheckpointStoreTests {
    private func count(_ pool: PostgresPool, _ table: String) async throws -> Int {
        let row = try await pool.withConnection { try await $0.query("SELECT count(*) AS n FROM \(table)").first }
        return try row?["n"] ?? -1
    }

    /// Windows, results, requests, feedback, evidence and a dead letter.
    private func checkpoint(partition: Int = 0, offset: Int64 = 10, requests: Int = 5) -> Checkpoint {
        var ids = IDs()
        var checkpoint = Checkpoint(state: PartitionState(partition: partition))
        checkpoint.state.nextOffset = offset
        checkpoint.state.watermark = Sample.now
        checkpoint.state.producers = ["gw/1": ProducerPosition(seq: 9, offset: offset - 1)]
        checkpoint.state.paneNumber = offset
        let open = OpenWindow(
            window: Sample.window(1), key: Sample.key(), pane: 1, emitted: true, newEvents: 3, newSince: 4,
            aggregate: Sample.aggregate(latencies: [1, 2]))
        var declared = open
        declared.key = WindowKey(
            window: "spend", route: "", modelKey: "", arm: .stable, policy: 0, others: ["a\"b", "ü,{}"])
        checkpoint.changedWindows = [open, declared]
        checkpoint.results = [
            WindowResult(
                window: Sample.window(0), key: Sample.key(), partition: partition, pane: 0,
                aggregate: Sample.aggregate(latencies: [1, 2, 3]))
        ]
        checkpoint.requests = Sample.requests(requests)
        checkpoint.feedback = checkpoint.requests.prefix(1).map { request in
            AttributedFeedback(
                Feedback(id: ids.next(), request: request.id, at: 1, name: "quality", value: 0.5, source: .user),
                request: request, windows: [WindowID(window: Sample.window(0), key: Sample.key())])
        }
        checkpoint.deadLetters = [
            DeadLetter(
                partition: partition, offset: offset - 1, at: Sample.now, reason: .malformedJSON, detail: "'x'",
                raw: [0, 255, 92])
        ]
        return checkpoint
    }

    @Test func aClaimGivesBackWhatWasCommitted() async throws {
        let pool = try await database()
        let store = CheckpointStore(pool, job: "windows", topic: "events", owner: "a")
        let first = try await store.claim(partition: 0)
        #expect(first.state == nil)
        let checkpoint = checkpoint()
        #expect(try await store.commit([(first.epoch, checkpoint)]).isEmpty)
        let second = try await store.claim(partition: 0)
        #expect(second.epoch == first.epoch + 1)
        var expected = checkpoint.state
        expected.openWindows = checkpoint.changedWindows
        #expect(second.state == expected)

        var purge = Checkpoint(state: checkpoint.state)
        purge.purgedWindows = checkpoint.changedWindows.map(\.id)
        #expect(try await store.commit([(second.epoch, purge)]).isEmpty)
        #expect(try await store.claim(partition: 0).state?.openWindows.isEmpty == true)
        let rows = try await store.requests(checkpoint.requests.map(\.id))
        #expect(rows.count == 5)
        #expect(checkpoint.requests.allSatisfy { rows[$0.id] == $0 })
        #expect(try await store.requests([]).isEmpty)
    }

    @Test("Results of declared windows stand side by side; a retracted one is gone, panes that add up are all kept")
    func declaredWindows() async throws {
        let pool = try await database()
        let store = CheckpointStore(pool, job: "windows", topic: "events", owner: "a")
        let epoch = try await store.claim(partition: 0).epoch
        let session = WindowKey(
            window: "visits", route: "support", modelKey: "", arm: .stable, policy: 0, others: ["s1"])
        func result(_ window: Window, pane: Int, discarding: Bool = false, key: WindowKey) -> WindowResult {
            WindowResult(
                window: window, key: key, partition: 0, pane: pane, kind: pane == 0 ? .ontime : .late,
                closesAt: window.end, discarding: discarding, aggregate: Sample.aggregate(latencies: [1, 2]))
        }
        let short = Window(start: Sample.window(0).start, end: Sample.window(0).start + 10)
        let long = Window(start: short.start, end: short.start + 25)
        var first = Checkpoint(state: PartitionState(partition: 0))
        first.state.watermark = short.end
        first.results = [
            result(short, pane: 0, key: session), result(short, pane: 0, key: Sample.key()),
            result(short, pane: 0, discarding: true, key: Sample.key(model: "a/b")),
        ]
        var second = Checkpoint(state: first.state)
        second.state.nextOffset = 1
        second.retracted = [WindowID(window: short, key: session)]
        second.results = [
            result(long, pane: 1, key: session), result(short, pane: 1, key: Sample.key()),
            result(short, pane: 1, discarding: true, key: Sample.key(model: "a/b")),
        ]
        for checkpoint in [first, second] { #expect(try await store.commit([(epoch, checkpoint)]).isEmpty) }
        let rows = try await pool.withConnection {
            try await $0.query("SELECT * FROM windows ORDER BY definition, model_key").rows
        }
        #expect(try rows.map { try $0["definition"] as String } == ["requests", "requests", "visits"])
        #expect(try rows.map { try $0["requests"] as Int64 } == [4, 2, 2])
        #expect(try rows.map { try $0["window_end"] as Int64 } == [short.end, short.end, long.end])
        // The watermark has passed the short windows' end, not the long one's.
        #expect(try rows.map { try $0["final"] as Bool } == [true, true, false])
        #expect(try rows.last?["others"] == #"["s1"]"#)
    }

    @Test func aPartitionThatNobodyHasClaimedKeepsResultsFromBeingFinal() async throws {
        let pool = try await database()
        let store = CheckpointStore(pool, job: "windows", topic: "events", owner: "a")
        func final() async throws -> [Bool] {
            let partial = "SELECT bool_and(final) AS final FROM windows"
            return try await pool.withConnection { try await $0.query(partial).rows }.map { try $0["final"] }
        }
        for partition in 0...1 {
            let epoch = try await store.claim(partition: partition).epoch
            // A later declaration leaves what was claimed as it is.
            try await store.declare(partitions: 2)
            let quiet = partition == 0 ? checkpoint(partition: 0) : Checkpoint(state: PartitionState(partition: 1))
            var passed = quiet
            passed.state.watermark = .max
            #expect(try await store.commit([(epoch, passed)]).isEmpty)
            #expect(try await final() == [partition == 1])
        }
        let owners = try await PostgresStreamRecords(pool).partitions().map(\.owner)
        #expect(owners == ["a", "a"])
    }

    @Test func aFormerOwnerCommitsNothing() async throws {
        let pool = try await database()
        let old = CheckpointStore(pool, job: "windows", topic: "events", owner: "a")
        let new = CheckpointStore(pool, job: "windows", topic: "events", owner: "b")
        let epochs = (try await old.claim(partition: 0).epoch, try await old.claim(partition: 1).epoch)
        let taken = try await new.claim(partition: 0)
        let fenced = try await old.commit([
            (epochs.0, checkpoint(partition: 0)), (epochs.1, checkpoint(partition: 1, requests: 0)),
        ])
        #expect(fenced == [0])
        #expect(try await count(pool, "requests") == 0, "nothing of the fenced partition may be stored")
        #expect(try await count(pool, "window_results") == 1, "the other partition is stored")
        #expect(try await new.commit([(taken.epoch, checkpoint(partition: 0))]).isEmpty)
    }

    @Test func repeatedFeedbackCountsOnce() async throws {
        let pool = try await database()
        let store = CheckpointStore(pool, job: "windows", topic: "events", owner: "a")
        let epoch = try await store.claim(partition: 0).epoch
        for offset in [10, 20] as [Int64] {
            #expect(try await store.commit([(epoch, checkpoint(offset: offset))]).isEmpty)
        }
        let row = try await pool.withConnection {
            try await $0.query("SELECT n, sum FROM window_feedback").first
        }
        #expect(try row?["n"] == 1)
        #expect(try row?["sum"] == 0.5)
        #expect(try await count(pool, "requests") == 5, "a repeated request is passed over")
        #expect(try await count(pool, "dead_letters") == 2)
    }

    @Test func aBrokenConnectionLeavesAllOrNothing() async throws {
        let pool = try await database()
        let store = CheckpointStore(pool, job: "windows", topic: "events", owner: "a")
        let epoch = try await store.claim(partition: 0).epoch
        try await pool.withConnection { connection in
            try await connection.script(
                """
                CREATE TABLE kills (n int);
                CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$;
                CREATE TRIGGER die BEFORE INSERT ON dead_letters FOR EACH ROW EXECUTE FUNCTION die();
                """)
        }
        let error = await #expect(throws: TrimtabError.self) {
            _ = try await store.commit([(epoch, checkpoint())])
        }
        #expect(error?.code == "store.unavailable")
        for table in ["requests", "window_results", "window_feedback", "stream_windows", "dead_letters"] {
            #expect(try await count(pool, table) == 0)
        }
        #expect(try await store.claim(partition: 0).state == nil)
        try await pool.withConnection { try await $0.script("DROP TRIGGER die ON dead_letters") }
        let again = try await store.claim(partition: 0).epoch
        #expect(try await store.commit([(again, checkpoint())]).isEmpty)
        #expect(try await count(pool, "dead_letters") == 1)
    }

    @Test func anotherTopicNeedsAnotherJob() async throws {
        let pool = try await database()
        _ = try await CheckpointStore(pool, job: "windows", topic: "old", owner: "a").claim(partition: 0)
        let error = await #expect(throws: TrimtabError.self) {
            _ = try await CheckpointStore(pool, job: "windows", topic: "new", owner: "a").claim(partition: 0)
        }
        #expect(error?.code == "store.topic_changed")
    }

    @Test func thousandsOfRowsAreOneCommit() async throws {
        let pool = try await database()
        let store = CheckpointStore(pool, job: "windows", topic: "events", owner: "a")
        let epoch = try await store.claim(partition: 0).epoch
        #expect(try await store.commit([(epoch, checkpoint(requests: 20_000))]).isEmpty)
        #expect(try await count(pool, "requests") == 20_000)
    }

    @Test func oldDaysAreDroppedWhole() async throws {
        let pool = try await database()
        let store = CheckpointStore(pool, job: "windows", topic: "events", owner: "a")
        let epoch = try await store.claim(partition: 0).epoch
        let days = DayPartitions(pool)
        try await days.maintain(now: Sample.now, keep: Retention())
        #expect(try await store.commit([(epoch, checkpoint())]).isEmpty)
        try await days.maintain(now: Sample.now + 29 * DayPartitions.dayMs, keep: Retention())
        #expect(try await count(pool, "requests") == 5)
        #expect(try await count(pool, "feedback") == 1)
        try await days.maintain(now: Sample.now + 32 * DayPartitions.dayMs, keep: Retention())
        #expect(try await count(pool, "requests") == 0)
        #expect(try await count(pool, "feedback") == 0)
        #expect(try await count(pool, "dead_letters") == 0)
        let old = try await pool.withConnection {
            try await $0.query(
                "SELECT 1 FROM pg_tables WHERE tablename = 'requests_d\(Sample.now / DayPartitions.dayMs)'"
            )
            .count
        }
        #expect(old == 0)
        #expect(
            try await store.commit([(epoch, checkpoint(offset: 20))]).isEmpty,
            "rows of a dropped day make it anew, until the next maintenance")
    }

    @Test func evidenceIsKeptForItsTimeFromTheEndOfItsRolloutOn() async throws {
        let pool = try await database()
        let control = PostgresControlStore(pool)
        try await control.apply(Sample.route(), firstPolicy: Sample.policy(), by: "ann", now: Sample.now)
        _ = try await control.create(Sample.policy("gpt-4o-mini"), now: Sample.now)
        var ids = IDs()
        var rollout = try Sample.rollout(ids.next())
        try await control.update(rollout.route) { [rollout] _ in ([.saveRollout(rollout)], ()) }
        let store = CheckpointStore(pool, job: "windows", topic: "events", owner: "a")
        var checkpoint = Checkpoint(state: PartitionState(partition: 0))
        checkpoint.panes = [
            EvidencePane(
                key: EvidenceKey(rollout: rollout.id, step: 0, arm: .candidate), partition: 0, number: 0,
                candidateWeight: 0.1, trials: [])
        ]
        #expect(try await store.commit([(try await store.claim(partition: 0).epoch, checkpoint)]).isEmpty)
        func kept(after days: Int64) async throws -> Int {
            try await DayPartitions(pool).maintain(now: Sample.now + days * DayPartitions.dayMs, keep: Retention())
            return try await count(pool, "evidence_panes")
        }
        #expect(try await kept(after: 400) == 1, "it still runs")
        rollout.phase = .promoted
        rollout.endedAt = Sample.now + 400 * DayPartitions.dayMs
        try await control.update(rollout.route) { [rollout] _ in ([.saveRollout(rollout)], ()) }
        #expect(try await kept(after: 429) == 1)
        #expect(try await kept(after: 432) == 0)
    }
}

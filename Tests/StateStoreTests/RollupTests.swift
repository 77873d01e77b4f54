import Analysis
import ControlLoop
import Core
import PostgresClient
import StateStore
import Statistics
import StreamProcessing
import Telemetry
import TestSupport
import Testing

/// Results by hour and day say what the finer ones said, whatever comes late and whatever is dropped.
@Suite(.enabled(if: TestPostgres.missing == nil), .timeLimit(.minutes(3)))
struct RollupTests {
    /// The first hour of a day.
    private static let day = Sample.now - Sample.now % DayPartitions.dayMs
    private static let hourMs: Int64 = 3_600_000
    private static let definition = WindowDefinition.requests(sizeMs: 60_000, latenessMs: 600_000)
    private static let sliding = WindowDefinition(
        name: "overlapping", key: [.route], assigner: .sliding(size: 120_000, hop: 60_000))

    private struct Stream {
        let pool: PostgresPool
        let store: CheckpointStore
        let records: PostgresStreamRecords
        let rollups: Rollups
        var epochs: [Int: Int64] = [:]

        init() async throws {
            pool = try await database()
            store = CheckpointStore(pool, job: "main", topic: "events", owner: "me")
            records = PostgresStreamRecords(pool)
            rollups = Rollups(pool, definitions: [RollupTests.definition, RollupTests.sliding])
            for partition in 0...1 { epochs[partition] = try await store.claim(partition: partition).epoch }
        }

        func commit(_ checkpoint: Checkpoint) async throws {
            let epoch = epochs[checkpoint.state.partition] ?? 0
            #expect(try await store.commit([(epoch, checkpoint)]).isEmpty)
        }

        func windows(_ level: WindowLevel) async throws -> [DeclaredWindow] {
            try await records.declaredWindows(
                DeclaredWindowQuery(
                    RollupTests.definition, range: RollupTests.day..<RollupTests.day + DayPartitions.dayMs,
                    level: level, limit: 10_000))
        }

        func count(_ table: String) async throws -> Int64 {
            try await pool.withConnection { try await $0.query("SELECT count(*) AS n FROM \(table)").first?["n"] ?? -1 }
        }

        /// Everything that is stored of a level, to see whether a run changes it.
        func dump(_ table: String) async throws -> [String] {
            try await pool.withConnection { try await $0.query("SELECT t::text AS row FROM \(table) t ORDER BY 1") }
                .rows.map { try $0["row"] }
        }
    }

    /// Three hours of one-minute windows of two models.
    private static func checkpoint(_ partition: Int, watermark: Int64, pane: Int = 0, minutes: Range<Int64> = 0..<180)
        -> Checkpoint
    {
        var checkpoint = Checkpoint(state: PartitionState(partition: partition))
        checkpoint.state.watermark = watermark
        for minute in minutes {
            let window = Window(start: day + minute * 60_000, end: day + (minute + 1) * 60_000)
            for model in ["openai/a", "openai/b"] {
                var aggregate = WindowAggregate()
                for value in 0...(pane + Int(minute) % 3) {
                    aggregate.requests += 1
                    aggregate[.cost].add(Double(value * 7 + partition), sketched: false)
                    aggregate[.latency].add(Double(minute + 1) * Double(value + 1), sketched: true)
                }
                checkpoint.results.append(
                    WindowResult(
                        window: window, key: Sample.key(model: model), partition: partition, pane: pane,
                        kind: pane > 0 ? .late : .ontime, closesAt: window.end + 600_000, aggregate: aggregate))
            }
        }
        return checkpoint
    }

    private static func judged(_ value: Double, _ index: UInt64, minute: Int64) -> AttributedFeedback {
        var generator = SplitMix64(seed: index)
        let id = UUIDv7(milliseconds: day, using: &generator)
        let window = Window(start: day + minute * 60_000, end: day + (minute + 1) * 60_000)
        let request = RequestRow(
            id: id, at: window.start, key: Sample.key(model: "openai/a"), virtualKey: nil, rollout: nil, step: nil,
            candidateWeight: nil, propensity: nil, outcome: .complete, cost: nil, totalMs: 1)
        return AttributedFeedback(
            Feedback(id: id, request: id, at: 1, name: "quality", value: value, source: .user), request: request,
            windows: [WindowID(window: window, key: request.key)])
    }

    private static func sum(_ windows: [DeclaredWindow]) -> [WindowKey: DeclaredWindow] {
        var sums: [WindowKey: DeclaredWindow] = [:]
        for window in windows {
            if sums[window.key] == nil { sums[window.key] = window } else { sums[window.key]?.merge(window) }
        }
        return sums
    }

    private static func expectSame(_ one: [DeclaredWindow], _ other: [DeclaredWindow]) {
        let (a, b) = (sum(one), sum(other))
        #expect(a.keys.sorted() == b.keys.sorted())
        for (key, window) in a {
            #expect(window.aggregate == b[key]?.aggregate, "\(key.modelKey)")
            #expect(window.feedback == b[key]?.feedback, "\(key.modelKey)")
        }
    }

    @Test func hoursAndDaysAreTheSumOfMinutes() async throws {
        let stream = try await Stream()
        var first = Self.checkpoint(0, watermark: Self.day + 2 * Self.hourMs + 660_000)
        first.feedback = (0..<20).map { Self.judged(0.25 * Double($0 % 5), $0, minute: Int64($0) * 9) }
        try await stream.commit(first)
        try await stream.commit(Self.checkpoint(1, watermark: Self.day + 3 * Self.hourMs))
        let minutes = try await stream.windows(.window)
        #expect(minutes.count == 360)
        // The watermark has passed the lateness of two hours, and of no day.
        #expect(try await stream.rollups.run(now: Self.day + 3 * Self.hourMs) == 2)
        #expect(try await stream.count("window_hours") == 4)
        #expect(try await stream.count("window_days") == 0)
        Self.expectSame(try await stream.windows(.hour), minutes)
        // Past lateness and margin, whatever the watermark.
        #expect(try await stream.rollups.run(now: Self.day + 2 * DayPartitions.dayMs) == 2)
        #expect(try await stream.count("window_hours") == 6)
        #expect(try await stream.count("window_days") == 2)
        for level in WindowLevel.allCases { Self.expectSame(try await stream.windows(level), minutes) }
        #expect(try await stream.windows(.day).count == 2)
    }

    @Test func aSecondRunChangesNothingAndALatePaneIsIncluded() async throws {
        let stream = try await Stream()
        let later = Self.day + 2 * DayPartitions.dayMs
        for partition in 0...1 { try await stream.commit(Self.checkpoint(partition, watermark: later)) }
        #expect(try await stream.rollups.run(now: later) == 4)
        let tables = ["window_hours", "window_days", "window_feedback_hours", "window_feedback_days"]
        var before: [[String]] = []
        for table in tables { before.append(try await stream.dump(table)) }
        #expect(try await stream.rollups.run(now: later) == 0)
        // The same results once more: rolled up again, to the same.
        try await stream.commit(Self.checkpoint(1, watermark: later))
        #expect(try await stream.rollups.run(now: later) == 4)
        for (table, rows) in zip(tables, before) { #expect(try await stream.dump(table) == rows) }
        // A late pane replaces its window's result in one hour.
        var late = Self.checkpoint(1, watermark: later, pane: 4, minutes: 70..<71)
        late.feedback = [Self.judged(0.5, 99, minute: 10)]
        try await stream.commit(late)
        #expect(try await stream.rollups.run(now: later) == 3)
        let minutes = try await stream.windows(.window)
        for level in [WindowLevel.hour, .day] { Self.expectSame(try await stream.windows(level), minutes) }
        #expect(try await stream.dump("window_days") != before[1])
    }

    @Test func whatIsDroppedStaysReadableAndTakesLateFeedback() async throws {
        let stream = try await Stream()
        let later = Self.day + 16 * DayPartitions.dayMs
        let days = DayPartitions(stream.pool)
        for partition in 0...1 {
            var checkpoint = Self.checkpoint(partition, watermark: later)
            if partition == 0 { checkpoint.feedback = [Self.judged(0.25, 1, minute: 5)] }
            try await stream.commit(checkpoint)
        }
        let minutes = try await stream.windows(.window)
        // Nothing is dropped before it has been rolled up.
        try await days.maintain(now: later, keep: Retention())
        #expect(try await stream.windows(.window) == minutes)
        try await stream.rollups.run(now: later)
        try await days.maintain(now: later, keep: Retention())
        #expect(try await stream.count("window_results") == 0)
        let hours = try await stream.windows(.window)
        #expect(hours.count == 6 && hours.allSatisfy { $0.window.end - $0.window.start == Self.hourMs && $0.isFinal })
        Self.expectSame(hours, minutes)
        let route = try "support".routeName
        let range = Self.day..<Self.day + DayPartitions.dayMs
        let statistics = try await PostgresControlStore(stream.pool).statistics(route: route, in: range)
        #expect(statistics.reduce(0) { $0 + $1.requests } == minutes.reduce(0) { $0 + $1.aggregate.requests })
        // Feedback on a dropped minute adds to its hour, once.
        var late = Checkpoint(state: PartitionState(partition: 0))
        late.state.watermark = later
        late.feedback = [Self.judged(0.75, 2, minute: 5)]
        try await stream.commit(late)
        for _ in 0...1 {
            try await stream.rollups.run(now: later)
            try await days.maintain(now: later, keep: Retention())
            for level in WindowLevel.allCases {
                let judged = try await stream.windows(level).compactMap { $0.feedback["quality"] }
                #expect(judged == [Moments(n: 2, sum: 1, sumOfSquares: 0.625)])
            }
        }
        // When the hours go too, the day is left.
        let muchLater = Self.day + 230 * DayPartitions.dayMs
        try await stream.rollups.run(now: muchLater)
        try await days.maintain(now: muchLater, keep: Retention())
        #expect(try await stream.count("window_hours") == 0)
        Self.expectSame(try await stream.windows(.window), try await stream.windows(.day))
        #expect(
            try await stream.windows(.window).reduce(0) { $0 + $1.aggregate.requests }
                == minutes.reduce(0) { $0 + $1.aggregate.requests })
        // After three years that goes, too, with up to 30 days that share its table.
        try await days.maintain(now: Self.day + 1_095 * DayPartitions.dayMs, keep: Retention())
        #expect(try await stream.count("window_days") == 2)
        #expect(try await stream.count("window_feedback_days") == 1)
        try await days.maintain(now: Self.day + (1_095 + 31) * DayPartitions.dayMs, keep: Retention())
        #expect(try await stream.count("window_days") == 0)
        #expect(try await stream.count("window_feedback_days") == 0)
    }

    @Test func overlappingWindowsAndBackfillsAreNotRolledUp() async throws {
        let stream = try await Stream()
        let later = Self.day + 2 * DayPartitions.dayMs
        var checkpoint = Self.checkpoint(0, watermark: later, minutes: 0..<2)
        for index in checkpoint.results.indices {
            checkpoint.results[index].key = WindowKey(
                window: "overlapping", route: "support", modelKey: "", arm: .stable, policy: 0)
        }
        // Keys are merged above; here each window needs one result only.
        checkpoint.results = [checkpoint.results[0], checkpoint.results[2]]
        try await stream.commit(checkpoint)
        let backfill = CheckpointStore(stream.pool, job: "backfill-x", topic: "events", owner: "me")
        let epoch = try await backfill.claim(partition: 0).epoch
        #expect(try await backfill.commit([(epoch, Self.checkpoint(0, watermark: later))]).isEmpty)
        #expect(try await stream.rollups.run(now: later) == 0)
        #expect(try await stream.count("window_hours") == 0)
        #expect(try await stream.count("rollups_due") == 0)
    }
}

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

/// What the analyzers read and leave behind, in both stores.
@Suite(.enabled(if: TestPostgres.missing == nil), .timeLimit(.minutes(2)))
struct AnalysisContractTests {
    private typealias Store = any ControlStore & AnalysisStore

    private func stores() async throws -> [Store] {
        let memory = InMemoryControlStore()
        let postgres = PostgresControlStore(try await database())
        for store in [memory, postgres] as [Store] {
            try await store.apply(Sample.route(), firstPolicy: Sample.policy(), by: "ann", now: Sample.now)
        }
        return [memory, postgres]
    }

    @Test func aFindingOpensLastsAndCloses() async throws {
        let name = try "support".routeName
        for store in try await stores() {
            var ids = IDs()
            let (first, other) = (Sample.finding(ids.next()), Sample.finding(ids.next(), model: nil))
            try await store.update(name) { _ in ([.saveFinding(.opened(first)), .saveFinding(.opened(other))], ()) }
            #expect(try await store.findings(FindingQuery()) == [other, first])
            var closed = first
            (closed.status, closed.closedAt, closed.severity) = (.closed, Sample.now + 1, .critical)
            let ended = closed
            try await store.update(name) { _ in ([.saveFinding(.closed(ended))], ()) }
            #expect(try await store.finding(first.id) == ended)
            #expect(try await store.findings(FindingQuery(route: name, status: .open)) == [other])
            #expect(try await store.findings(FindingQuery(analyzer: .cost, code: "cost.rise")) == [other, ended])
            #expect(try await store.findings(FindingQuery(severity: .critical)) == [ended])
            #expect(try await store.findings(FindingQuery(before: other.id, limit: 1)) == [ended])
            #expect(try await store.findings(FindingQuery(analyzer: .quality)).isEmpty)
            #expect(try await store.findings(FindingQuery(route: "none".routeName)).isEmpty)
            // The same may be found again once it was closed.
            let again = Sample.finding(ids.next())
            try await store.update(name) { _ in ([.saveFinding(.opened(again))], ()) }
            #expect(try await store.findings(FindingQuery(status: .open)) == [again, other])
        }
    }

    @Test func whatIsKnownOfARouteIsReplacedAndGoesWithIt() async throws {
        let name = try "support".routeName
        for store in try await stores() {
            #expect(try await store.analysis(of: name) == nil)
            for through in [1, 2] as [Int64] {
                let known = StoredAnalysis(through: through, state: [UInt8(through), 0, 255])
                try await store.update(name) { _ in ([.saveAnalysis(known)], ()) }
                #expect(try await store.analysis(of: name) == known)
            }
            try await store.delete(name, by: "ann", now: Sample.now)
            #expect(try await store.analysis(of: name) == nil)
        }
    }

    @Test func answersToFixedPromptsAreReadByModelAndTime() async throws {
        func probe(_ model: String, _ at: Int64, digest: UInt64 = .max, probe: String = "list-1") -> StoredProbe {
            StoredProbe(
                modelKey: model, at: at, result: ProbeResult(probe: probe, digest: digest, outputTokens: 17))
        }
        for store in try await stores() {
            let early = probe("a/x", 999), first = probe("a/x", 1_000), second = probe("b/y", 1_500, digest: 0)
            let third = probe("a/x", 1_999, probe: "code-2"), late = probe("b/y", 2_000), other = probe("c/z", 1_500)
            for one in [late, third, second, other, first, early] { try await store.keep(one) }
            // What is kept stays as it is.
            try await store.keep(probe("a/x", 1_000, digest: 1))
            #expect(try await store.probes(of: ["a/x", "b/y"], in: 1_000..<2_000) == [first, second, third])
            #expect(try await store.probes(of: ["b/y"], in: 2_000..<2_001) == [late])
            #expect(try await store.probes(of: ["none"], in: 0..<9_000).isEmpty)
            #expect(try await store.probes(of: [], in: 0..<9_000).isEmpty)
        }
    }

    @Test func oldAnswersToFixedPromptsAreDeleted() async throws {
        let pool = try await database()
        let store = PostgresControlStore(pool)
        for days in [0, 29, 31] as [Int64] {
            let at = Sample.now - days * DayPartitions.dayMs
            let result = ProbeResult(probe: "list-1", digest: 1, outputTokens: 1)
            try await store.keep(StoredProbe(modelKey: "a/x", at: at, result: result))
        }
        try await DayPartitions(pool).maintain(now: Sample.now, keep: Retention(records: 30))
        let kept = try await store.probes(of: ["a/x"], in: 0..<Sample.now + 1)
        #expect(kept.map { (Sample.now - $0.at) / DayPartitions.dayMs } == [29, 0])
    }

    @Test func resultsAreReadByTheirEndUpToTheWatermark() async throws {
        let spend = WindowKey(
            window: WindowDefinition.spend, route: "support", modelKey: "openai/gpt-4o", arm: .stable, policy: 0,
            others: ["web", "key-1"])
        let results = (0..<3).flatMap { index in
            [0, 1].map { partition in
                WindowResult(
                    window: Sample.window(Int64(index)), key: Sample.key(), partition: partition, pane: 0,
                    aggregate: Sample.aggregate(latencies: [10], costs: [100]))
            }
        }
        let hour = WindowResult(
            window: Window(start: Sample.window(2).end - 3_600_000, end: Sample.window(2).end), key: spend,
            partition: 1, pane: 0, aggregate: Sample.aggregate(latencies: [], costs: []))
        let memory = InMemoryControlStore()
        #expect(await memory.measuredThrough() == nil)
        await memory.add(results: results + [hour], feedback: [], panes: [], watermark: Sample.window(2).end)
        let pool = try await database()
        let postgres = PostgresControlStore(pool)
        #expect(try await postgres.measuredThrough() == nil)
        // A job that was given up, and one that only looks back, hold nobody back.
        for (job, late) in [("old", 5_000_000), ("windows", 0), ("backfill-x", 9_000_000)] as [(String, Int64)] {
            let stream = CheckpointStore(pool, job: job, topic: "events", owner: "test")
            for partition in 0...1 {
                var checkpoint = Checkpoint(state: PartitionState(partition: partition))
                checkpoint.state.watermark = Sample.window(2).end + Int64(partition) - late
                if job == "windows" { checkpoint.results = (results + [hour]).filter { $0.partition == partition } }
                let claimed = try await stream.claim(partition: partition)
                #expect(try await stream.commit([(claimed.epoch, checkpoint)]).isEmpty)
            }
        }
        let name = try "support".routeName
        for store in [memory, postgres] as [Store] {
            #expect(try await store.measuredThrough() == Sample.window(2).end)
            #expect(try await store.measuredSince(name) == Sample.window(0).start)
            #expect(try await store.measuredSince("none".routeName) == nil)
            let two = try await store.results(
                of: WindowDefinition.requests, route: name,
                endingIn: Sample.window(0).end + 1..<Sample.window(2).end + 1)
            #expect(two.map(\.window) == [Sample.window(1), Sample.window(2)])
            #expect(two.allSatisfy { $0.aggregate.cost.n == 2 })
            let hours = try await store.results(
                of: WindowDefinition.spend, route: name, endingIn: Sample.window(2).end..<Sample.window(2).end + 1)
            #expect(hours.map(\.key) == [spend])
        }
    }
}

import Analysis
import ControlLoop
import Core
import Decisions
import Policy
import PostgresClient
import Rollouts
import StateStore
import StreamProcessing
import TestSupport
import Testing

/// Events are written with what they tell of, and each webhook gets all of them in order.
@Suite(.enabled(if: TestPostgres.missing == nil), .timeLimit(.minutes(2)))
struct EventOutboxTests {
    private struct Stage {
        let pool: PostgresPool
        let store: PostgresControlStore
        let outbox: EventOutbox

        /// With routes, and a webhook `ops` that is there from the start.
        init(routes: [String] = ["support"]) async throws {
            pool = try await database()
            store = PostgresControlStore(pool)
            outbox = EventOutbox(pool)
            for route in routes {
                try await store.apply(
                    Sample.route(route), firstPolicy: Sample.policy(route: route), by: "ann", now: Sample.now)
            }
            #expect(try await outbox.due("ops", limit: 1).events.isEmpty)
        }

        func write(_ effects: [ControlEffect], of route: String = "support") async throws {
            try await store.update(route.routeName) { _ in (effects, ()) }
        }

        func due(limit: Int = 1_000) async throws -> [EventOutbox.Event] {
            try await outbox.due("ops", limit: limit).events
        }
    }

    @Test func whatChangesIsToldWithItsContents() async throws {
        let stage = try await Stage()
        var ids = IDs()
        var finding = Sample.finding(ids.next())
        try await stage.write([.saveFinding(.opened(finding))])
        finding.severity = .critical
        try await stage.write([.saveFinding(.raised(finding)), .saveFinding(.updated(finding))])
        let rollout = try Sample.rollout(ids.next())
        _ = try await stage.store.create(Sample.policy("gpt-4o-mini"), now: Sample.now)
        try await stage.write([.saveRollout(rollout)])
        // As the loop does every second.
        try await stage.write([.saveRollout(rollout)])
        try await stage.write([.saveDecision(try Sample.decision(ids.next(), status: .noted))])
        try await stage.write([.saveDecision(try Sample.decision(ids.next(), status: .proposed))])

        let events = try await stage.due()
        #expect(events.map(\.type) == ["finding.opened", "finding.raised", "rollout.started", "decision.proposed"])
        #expect(events.map(\.severity) == ["warning", "critical", nil, nil])
        #expect(events.map(\.number) == events.map(\.number).sorted() && Set(events.map(\.id)).count == 4)
        for (event, part) in zip(events, [#""Dearer.""#, #""critical""#, #""progressing""#, #""Nothing known.""#]) {
            #expect(event.document.contains(part), "\(event)")
            #expect(UUIDv7(event.id).map { abs($0.milliseconds - event.at) < 1_000 } == true)
        }
        // A decision's input and a rollout's evidence are the API's to show.
        #expect(events.allSatisfy { $0.document.utf8.count < 1_000 })
    }

    @Test func whatIsNotCommittedIsNotTold() async throws {
        let stage = try await Stage()
        var ids = IDs()
        let finding = Sample.finding(ids.next())
        // There is a policy 1: the database refuses another, and all that was to be written with it.
        var policy = try Sample.policy()
        policy.version = 1
        let refused = ControlEffect.savePolicy(policy)
        await #expect(throws: PostgresError.self) {
            try await stage.write([.saveFinding(.opened(finding)), refused])
        }
        #expect(try await stage.store.finding(finding.id) == nil)
        #expect(try await stage.due().isEmpty)
    }

    /// A transaction that began first and ends last: sequences pass it over, places in the outbox do not.
    @Test func nothingIsPassedOverThatIsCommittedLate() async throws {
        let stage = try await Stage()
        let insert = """
            INSERT INTO events (id, at, type, route, document)
            VALUES (gen_random_uuid(), 1, $1, 'support', '{}') RETURNING seq
            """
        let late = try await PostgresConnection.connect(stage.pool.configuration)
        let seqs = try await late.transaction { connection in
            let first: Int64? = try await connection.query(insert, ["late"]).first?["seq"]
            let second: Int64? = try await stage.pool.withConnection {
                try await $0.query(insert, ["quick"]).first?["seq"]
            }
            let seen = try await stage.due()
            #expect(seen.map(\.type) == ["quick"])
            try await stage.outbox.advance("ops", to: try #require(seen.last).number)
            #expect(try await stage.due().isEmpty)
            return (first, second)
        }
        let (first, second) = (try #require(seqs.0), try #require(seqs.1))
        #expect(first < second)
        #expect(try await stage.due().map(\.type) == ["late"])
        await late.close()
    }

    /// Many writers on several routes, and a reader that is there all the time.
    @Test func eachEventIsReadOnceAndEachRouteInOrder() async throws {
        let names = ["a", "b", "c"]
        let stage = try await Stage(routes: names)
        let (writers, each) = (6, 20)
        let read = try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<writers {
                group.addTask {
                    var generator = SplitMix64(seed: UInt64(writer))
                    for _ in 0..<each {
                        let route = names[Int(generator.next() % 3)]
                        let id = UUIDv7(milliseconds: Sample.now, using: &generator)
                        try await stage.store.update(route.routeName) { state in
                            // Versions count the changes of the route, under its lock.
                            var policy = try Sample.policy(route: route)
                            policy.version = state.latestVersion + 1
                            var finding = Sample.finding(id, code: "cost.v\(policy.version)")
                            finding.route = route
                            return ([.savePolicy(policy), .saveFinding(.opened(finding))], ())
                        }
                    }
                }
            }
            var read: [EventOutbox.Event] = []
            while read.count < writers * each {
                let events = try await stage.due(limit: 7)
                read += events
                if let last = events.last { try await stage.outbox.advance("ops", to: last.number) }
            }
            try await group.waitForAll()
            return read
        }
        #expect(Set(read.map(\.id)).count == writers * each)
        #expect(try await stage.due().isEmpty)
        for name in names {
            let ofRoute = read.filter { $0.document.contains(#""route": "\#(name)""#) }
            let versions = ofRoute.compactMap { $0.document.firstMatch(of: /cost\.v(\d+)/).flatMap { Int($0.1) } }
            #expect(versions == (0..<ofRoute.count).map { $0 + 2 }, "\(name)")
        }
    }

    @Test func aNewWebhookBeginsNowAndAKnownOneWhereItWas() async throws {
        let stage = try await Stage()
        var ids = IDs()
        func tell() async throws {
            let id = ids.next()
            try await stage.write([.saveFinding(.opened(Sample.finding(id, code: "cost.\(id)")))])
        }
        try await tell()
        try await tell()
        #expect(try await stage.outbox.due("new", limit: 10).events.isEmpty)
        let (place, events) = try await stage.outbox.due("ops", limit: 10)
        #expect(events.count == 2 && place.failures == 0)
        var next = place
        (next.failures, next.nextAt) = (3, 99)
        try await stage.outbox.postpone("ops", to: next, error: "refused")
        #expect(try await stage.outbox.due("ops", limit: 1).place == next)
        try await stage.outbox.advance("ops", to: events[1].number)
        let after = try await stage.outbox.due("ops", limit: 1)
        #expect(after.place.position == events[1].number && after.place.failures == 0 && after.place.nextAt == 0)
        #expect(after.events.isEmpty)
        // A leader of the past, which has not heard of that, moves nothing back.
        try await stage.outbox.advance("ops", to: events[0].number)
        try await stage.outbox.postpone("ops", to: next, error: "refused")
        #expect(try await stage.outbox.due("ops", limit: 1).place == after.place)

        try await tell()
        #expect(try await stage.outbox.due("new", limit: 10).events.count == 1)
        // One that is configured no more is new when it comes back.
        try await stage.outbox.keep(only: ["new"])
        #expect(try await stage.outbox.due("ops", limit: 10).events.isEmpty)
        #expect(try await stage.outbox.due("new", limit: 10).events.count == 1)
    }

    @Test func eventsAgeOutAndPlacesStay() async throws {
        let stage = try await Stage()
        var ids = IDs()
        try await stage.write([.saveFinding(.opened(Sample.finding(ids.next())))])
        let event = try #require(try await stage.due().first)
        try await stage.outbox.advance("ops", to: event.number)
        let partitions = DayPartitions(stage.pool)
        let day = DayPartitions.dayMs
        try await partitions.maintain(now: event.at + 29 * day, keep: Retention(records: 30))
        #expect(try await stage.outbox.due("old", limit: 1).place.position == event.number)
        try await partitions.maintain(now: event.at + 32 * day, keep: Retention(records: 30))
        let left: Int? = try await stage.pool.withConnection {
            try await $0.query("SELECT count(*)::int AS n FROM events").first?["n"]
        }
        #expect(left == 0)
        try await stage.write([.saveFinding(.opened(Sample.finding(ids.next(), code: "cost.other")))])
        #expect(try await stage.due().count == 1)
    }
}

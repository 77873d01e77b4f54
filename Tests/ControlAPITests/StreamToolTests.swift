import ControlAPI
import ControlLoop
import Core
import Foundation
import Policy
import Statistics
import StreamProcessing
import Synchronization
import Telemetry
import Testing

/// How far the stream is, what it counted and what it refused, over REST and the command line.
@Suite struct StreamToolTests {
    private static let perModel = WindowDefinition(
        name: "per_model", key: [.model, .key], assigner: .sliding(size: 60_000, hop: 10_000), latenessMs: 1_000)

    private static func fill(_ records: InMemoryStreamRecords) async throws {
        for partition in 0...1 {
            var checkpoint = Checkpoint(state: PartitionState(partition: partition))
            checkpoint.state.nextOffset = 100
            checkpoint.state.watermark = Fixture.now - 3_000 - Int64(partition) * 1_000
            var aggregate = WindowAggregate(AggregateSelection(measures: [.latency], quantiles: [.latency]))
            aggregate.requests = 2
            for value in [100.0, 200] { aggregate[.latency].add(value, sketched: true) }
            checkpoint.results = [("m1", Fixture.start), ("m2", Fixture.now - 5_000)].map { model, start in
                WindowResult(
                    window: Window(start: start, end: start + 60_000),
                    key: WindowKey(
                        window: "per_model", route: "", modelKey: model, arm: .stable, policy: 0, others: ["team"]),
                    partition: partition, pane: 0, closesAt: start + 61_000, aggregate: aggregate)
            }
            checkpoint.deadLetters = [
                DeadLetter(
                    partition: partition, offset: 7, at: Fixture.now - 60_000, reason: .malformedJSON,
                    detail: "No JSON.",
                    raw: partition == 0 ? Array("{".utf8) : [0xff, 0x00])
            ]
            if partition == 0 {
                var raw: [UInt8] = []
                EventEncoder.encode(.feedback(feedback), into: &raw)
                checkpoint.deadLetters.append(
                    DeadLetter(
                        partition: 0, offset: 8, at: Fixture.now - 30_000, reason: .requestUnknown,
                        detail: "No such request.", raw: raw))
            }
            await records.add(checkpoint, job: "main", topic: "events", owner: "gw-1", now: Fixture.now - 400)
        }
    }

    /// One window of `per_model` as live traffic has it, and one of twice as many requests.
    private static func fillBackfill(_ records: InMemoryStreamRecords) async {
        await records.add(
            Backfill(
                job: "backfill-x", topic: "events", range: Fixture.start - 1..<Fixture.now + 60_000,
                definitions: [Backfill.Definition(perModel, start: Fixture.start - 1)],
                startedAt: Fixture.now - 5_000, finishedAt: Fixture.now - 4_000, note: "Complete."))
        for partition in 0...1 {
            var checkpoint = Checkpoint(state: PartitionState(partition: partition))
            var aggregate = WindowAggregate(AggregateSelection(measures: [.latency], quantiles: [.latency]))
            aggregate.requests = partition == 0 ? 2 : 4
            for value in [100.0, 200] { aggregate[.latency].add(value, sketched: true) }
            checkpoint.results = [
                WindowResult(
                    window: Window(start: Fixture.start, end: Fixture.start + 60_000),
                    key: WindowKey(
                        window: "per_model", route: "", modelKey: "m1", arm: .stable, policy: 0, others: ["team"]),
                    partition: partition, pane: 0, closesAt: Fixture.start + 61_000, aggregate: aggregate)
            ]
            await records.add(checkpoint, job: "backfill-x", topic: "events", owner: "gw-1", now: Fixture.now - 4_000)
        }
    }

    private static var feedback: Feedback {
        Feedback(
            id: Fixture.id(50), request: Fixture.id(51), at: Fixture.start, name: "quality", value: 0.5, source: .user)
    }

    @Test func lagIsShownWhereTheEndIsKnown() async throws {
        try await TestServer.run { server in
            try await Self.fill(server.records)
            let items = try await server.send("GET", "/api/v1/stream/partitions", as: .viewer).items()
            #expect(items.count == 2)
            #expect(items[0]["lag"] as? Int == 20 && items[0]["end_offset"] as? Int == 120)
            #expect(items[1]["lag"] as? Int == nil && items[1]["watermark_behind_ms"] as? Int == 4_000)
            #expect(items[0]["checkpoint_age_ms"] as? Int == 400 && items[0]["owner"] as? String == "gw-1")
            #expect(try await server.send("GET", "/api/v1/stream/partitions?job=other").items().isEmpty)
        }
    }

    @Test func declaredWindowsAreMergedOverPartitions() async throws {
        try await TestServer.run(windows: [Self.perModel]) { server in
            try await Self.fill(server.records)
            let names = try await server.send("GET", "/api/v1/stream/windows").items().compactMap {
                $0["name"] as? String
            }
            #expect(names == ["per_model", "requests"])
            let all = try await server.send("GET", "/api/v1/windows?window=per_model").items()
            #expect(all.count == 2)
            let first = try #require(all.first)
            #expect(first["requests"] as? Int == 4 && first["final"] as? Bool == true)
            #expect(all.last?["final"] as? Bool == false)
            #expect(first["key"] as? [String: String] == ["model": "m1", "key": "team"])
            let latency = (first["measures"] as? [String: [String: Any]])?["total_ms"]
            #expect(latency?["count"] as? Int == 4 && latency?["mean"] as? Double == 150)
            #expect(latency?["min"] as? Double == 100 && latency?["max"] as? Double == 200)
            #expect(abs((latency?["p95"] as? Double ?? 0) - 200) <= 2)
            let one = try await server.send("GET", "/api/v1/windows?window=per_model&key=model%3Dm2,key%3Dteam").items()
            #expect(one.count == 1)
            let missing = try await server.send("GET", "/api/v1/windows?window=nope")
            #expect(missing.status == 404 && missing.text.contains("requests, per_model"), "\(missing.text)")
            for wrong in ["key=route%3Da", "key=model", "step_ms=3600000", "step_ms=5"] {
                #expect(try await server.send("GET", "/api/v1/windows?window=per_model&\(wrong)").status == 422)
            }
            #expect(try await server.send("GET", "/api/v1/windows?route=support-chat&kind=late").status == 422)
        }
    }

    @Test func backfillsAreComparedAndForgotten() async throws {
        try await TestServer.run(windows: [Self.perModel]) { server in
            try await Self.fill(server.records)
            await Self.fillBackfill(server.records)
            let path = "/api/v1/stream/backfills"
            let listed = try await server.send("GET", path, as: .viewer).items()
            #expect(listed.count == 1 && listed[0]["job"] as? String == "backfill-x")
            let one = try await server.send("GET", "\(path)/backfill-x", as: .viewer).json()
            #expect((one["comparison"] as? [String: Int])?["equal"] == 1)
            #expect((one["comparison"] as? [String: Int])?["differing"] == 1)
            let difference = try #require((one["differences"] as? [[String: Any]])?.first)
            #expect(difference["key"] as? [String: String] == ["model": "m1", "key": "team"])
            #expect((difference["backfill"] as? [String: Int])?["requests"] == 4)
            #expect(try await server.send("GET", "\(path)/backfill-y").status == 404)
            #expect(try await server.send("DELETE", "\(path)/backfill-x", as: .viewer).status == 403)
            #expect(try await server.send("DELETE", "\(path)/backfill-x", as: .operator).status == 204)
            #expect(try await server.send("DELETE", "\(path)/backfill-x").status == 404)
            #expect(await server.records.auditEntries.map(\.action) == ["backfill.delete"])
        }
    }

    /// What the collector could not read was never a record of the log.
    @Test func exportsAreNotReplayed() async throws {
        try await TestServer.run { server in
            var checkpoint = Checkpoint(state: PartitionState(partition: 0))
            checkpoint.deadLetters = [
                DeadLetter(partition: 0, offset: 1, at: 1, reason: .malformedExport, detail: "No spans.", raw: [1])
            ]
            await server.records.add(checkpoint, job: "otlp", topic: "spans", owner: "gw-1", now: 1)
            let path = "/api/v1/stream/deadletters"
            #expect(try await server.send("GET", "\(path)?reason=malformed_export").items().count == 1)
            let refused = try await server.send("POST", "\(path)/spans:0:1:replay")
            #expect(refused.status == 409 && refused.text.contains("deadletter.export"), "\(refused.text)")
        }
    }

    @Test func deadLettersAreListedInPagesAndShownWithTheirBytes() async throws {
        try await TestServer.run { server in
            try await Self.fill(server.records)
            let first = try await server.send("GET", "/api/v1/stream/deadletters?limit=2").json()
            #expect((first["items"] as? [[String: Any]])?.first?["id"] as? String == "events:0:8")
            let cursor = try #require(first["next_cursor"] as? String)
            let rest = try await server.send("GET", "/api/v1/stream/deadletters?limit=2&cursor=\(cursor)").json()
            #expect((rest["items"] as? [[String: Any]])?.count == 1 && rest["next_cursor"] is NSNull)
            let path = "/api/v1/stream/deadletters"
            #expect(try await server.send("GET", "\(path)?reason=request_unknown").items().count == 1)
            #expect(try await server.send("GET", "\(path)?to=\(Fixture.now - 40_000)").items().count == 2)
            #expect(try await server.send("GET", "\(path)?reason=nonsense").status == 422)
            #expect(try await server.send("GET", "\(path)/events:0:7").json()["raw"] as? String == "{")
            #expect(try await server.send("GET", "\(path)/events:1:7").json()["hex"] as? String == "ff00")
            #expect(try await server.send("GET", "\(path)/events:1:9").status == 404)
        }
    }

    @Test func aDeadLetterIsReplayedOnce() async throws {
        try await TestServer.run { server in
            try await Self.fill(server.records)
            let path = "/api/v1/stream/deadletters/events:0:8:replay"
            #expect(try await server.send("POST", path, as: .viewer).status == 403)
            let done = try await server.send("POST", path, as: .operator)
            #expect(done.status == 202, "\(done.text)")
            #expect(try done.json()["replayed_by"] as? String == "test-operator")
            #expect(server.appended.events.withLock { $0 } == [.feedback(Self.feedback)])
            #expect(try await server.send("POST", path).status == 409)
            #expect(try await server.send("POST", path, body: #"{"again":true}"#).status == 202)
            #expect(server.appended.events.withLock { $0.count } == 2)
            #expect(await server.records.auditEntries.map(\.action) == ["deadletter.replay", "deadletter.replay"])
            #expect(try await server.send("GET", "/api/v1/stream/deadletters?open=true").items().count == 2)
        }
    }

    @Test func whatCannotSucceedIsNotReplayed() async throws {
        try await TestServer.run { server in
            try await Self.fill(server.records)
            let path = "/api/v1/stream/deadletters/events:0:7:replay"
            let refused = try await server.send("POST", path)
            #expect(refused.status == 409 && refused.text.contains("deadletter.malformed"), "\(refused.text)")
            #expect(try await server.send("GET", "/api/v1/stream/deadletters?open=true").items().count == 3)
            var raw: [UInt8] = []
            EventEncoder.encode(.feedback(Self.feedback), into: &raw)
            let body = try JSONSerialization.data(withJSONObject: ["raw": String(decoding: raw, as: UTF8.self)])
            let corrected = try await server.send("POST", path, body: String(decoding: body, as: UTF8.self))
            #expect(corrected.status == 202, "\(corrected.text)")
            #expect(server.appended.events.withLock { $0.count } == 1)
        }
        try await TestServer.run(hasLog: false) { server in
            try await Self.fill(server.records)
            let away = try await server.send("POST", "/api/v1/stream/deadletters/events:0:8:replay")
            #expect(away.status == 503 && away.text.contains("no gateway role"))
            #expect(try await server.send("GET", "/api/v1/stream/deadletters?open=true").items().count == 3)
        }
    }

    /// What is late for windows of a minute is not for those of two hours, which others overlap.
    @Test(arguments: [true, false]) func whatWouldBeRefusedAgainIsNotReplayed(isLate: Bool) async throws {
        let twoHours = WindowDefinition(
            name: "two_hours", key: [.route], assigner: .sliding(size: 7_200_000, hop: 600_000, offset: 60_000),
            latenessMs: 0)
        try await TestServer.run(windows: isLate ? [] : [twoHours]) { server in
            func request(_ number: UInt64, at: Int64) -> LogEvent {
                .request(
                    RequestRecord(
                        id: Fixture.id(number), at: at, startedAt: at, route: "support-chat", outcome: .complete,
                        status: 200, totalMs: 1))
            }
            let refused: [(reason: DeadLetter.Reason, event: LogEvent)] = [
                (.late, request(60, at: Fixture.now - 80 * 60_000)), (.future, request(61, at: Fixture.now + 60_000)),
                (.notOwnRequest, .feedback(Self.feedback)),
            ]
            var checkpoint = Checkpoint(state: PartitionState(partition: 0))
            checkpoint.state.watermark = Fixture.now - 3_000
            checkpoint.deadLetters = refused.enumerated().map { offset, refused in
                var raw: [UInt8] = []
                EventEncoder.encode(refused.event, into: &raw)
                return DeadLetter(
                    partition: 0, offset: Int64(offset), at: 1, reason: refused.reason, detail: "Refused.", raw: raw)
            }
            await server.records.add(checkpoint, job: "main", topic: "events", owner: "gw-1", now: 1)
            for (offset, reason) in [
                isLate ? "past their allowed lateness" : nil, "ahead of the clock", "another key's",
            ]
            .enumerated() {
                let answer = try await server.send("POST", "/api/v1/stream/deadletters/events:0:\(offset):replay")
                #expect(answer.status == (reason == nil ? 202 : 409), "\(answer.text)")
                #expect(answer.text.contains(reason ?? "late"), "\(answer.text)")
            }
            #expect(server.appended.events.withLock { $0 } == (isLate ? [] : [refused[0].event]))
        }
    }

    @Test(.enabled(if: Program.isBuilt, "the program is not built")) func tablesForPeople() async throws {
        try await TestServer.run(windows: [Self.perModel]) { server in
            try await Self.fill(server.records)
            await Self.fillBackfill(server.records)
            let to = String(Fixture.now)
            var text = ""
            for arguments in [
                ["stream", "lag", "--job", "main"], ["stream", "windows"],
                ["stream", "windows", "--window", "per_model", "--key", "model=m1", "--to", to],
                ["stream", "deadletters", "list", "--limit", "2"], ["stream", "deadletters", "show", "events:1:7"],
                ["stream", "deadletters", "replay", "events:0:8"], ["stream", "replay", "list"],
                ["stream", "replay", "show", "backfill-x"], ["stream", "replay", "delete", "backfill-x"],
            ] {
                let (status, said) = try await Program.run(arguments, server)
                #expect(status == 0, "\(arguments): \(said)")
                text += "$ trimtab \(arguments.joined(separator: " "))\n\(said)\n"
            }
            try golden("stream.txt", text)
            let failures: [([String], Int32, String)] = [
                (["stream", "windows", "--window", "nope"], 64, "There are: requests, per_model."),
                (["stream", "windows", "--window", "requests", "--from", "soon"], 64, "is no time"),
                (["stream", "windows", "--window", "requests", "--step", "2h"], 64, "is not 1h or 1d"),
                (["stream", "deadletters", "replay", "events:0:7"], 64, "would be refused again"),
                (["stream", "deadletters", "replay", "events:0:8"], 64, "--again"),
                (["stream", "deadletters", "replay", "a:0:1", "a:0:2"], 64, "Add --yes"),
                (["stream", "replay", "show", "backfill-x"], 64, "There is no backfill"),
                (["stream", "replay", "--from", "5", "--to", "4"], 64, "must lie before"),
            ]
            for (arguments, wanted, words) in failures {
                let (status, said) = try await Program.run(arguments, server)
                #expect(status == wanted && said.contains(words), "\(arguments): \(status) \(said)")
            }
        }
    }
}

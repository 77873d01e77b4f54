import Foundation
import Core
import PostgresClient
import TestSupport
import Testing

/// The stream in processes of its own, killed, stopped and cut off in every way, over numbered records.
@Suite(.serialized) struct StreamWeatherTests {
    @Test(.enabled(if: TestPostgres.missing == nil), .timeLimit(.minutes(8)))
    func killsAndAStoreAwayCostNoneOfAMillionRecords() async throws {
        let stage = try await StreamWeatherStage(total: 1_000_000, windowS: 10, latenessS: 60)
        let total = stage.records.total
        var written = total * 9 / 15
        try await stage.append(1...written)

        func service(on database: String, port: Int) async throws -> ServiceProcess {
            let file = try await stage.settings(database, eventLog: "{kind: embedded}")
            return try ServiceProcess(
                ["serve", "--roles", "gateway,stream", "--config", file], folder: stage.folder, port: port)
        }
        let stormy = try await service(on: "stormy", port: 18_480)
        var random = SplitMix64(seed: 11)
        for round in 0..<6 as Range<UInt64> {
            // Faults follow the reading and the log stays ahead of it, so that each strikes while records wait.
            let share = 0.08 * Double(round + 1)
            #expect(try await eventually(within: 60) { try await stage.isRead("stormy", share: share) })
            try await Task.sleep(for: .milliseconds(random.next() % 150))
            if round == 3 {
                try await stage.expectUnread(ofFirst: written, in: "stormy")
                await stage.cluster.stop()
                try await Task.sleep(for: .seconds(60))
                try await stage.cluster.start()
            }
            stormy.kill()
            try await stage.expectUnread(ofFirst: written, in: "stormy")
            let next = total * (10 + round) / 15
            try await stage.append(written + 1...next)
            written = next
            try stormy.start()
        }
        try await stage.expectEveryRecordOnce(in: "stormy")
        stormy.kill()
        let calm = try await service(on: "calm", port: 18_480)
        try await stage.expectEveryRecordOnce(in: "calm")
        try await stage.expectSameRows(in: "stormy", and: "calm")
        calm.kill()
        await stage.close()
    }

    /// On a cluster given from outside without injected errors, moves of leaders and a broker that is away.
    @Test(.enabled(if: TestPostgres.missing == nil), .timeLimit(.minutes(8)))
    func workersOfAGroupThatComeGoAndStandStillCountEveryRecordOnce() async throws {
        // What arrives in lots is hours old: silent between them, the partitions follow the clock, so none may be late.
        let stage = try await StreamWeatherStage(total: 150_000, windowS: 60, latenessS: 604_800)
        let total = stage.records.total
        let kafka = try await StreamWeatherTopic(stage, partitions: 104)
        let stormy = try await kafka.settings("stormy")
        let (first, second) = (try kafka.worker(1, stormy), try kafka.worker(2, stormy))
        kafka.send(upTo: total / 3)
        #expect(try await eventually(within: 30) { try await stage.isRead("stormy", share: 0.1) })
        let third = try kafka.worker(3, stormy)
        // Errors of the group's own requests are left out: while it forms, the mock ends the process on some of them.
        kafka.mock?.fail(.produce, with: [7, 19, 6])
        kafka.mock?.fail(.fetch, with: [6, 6, 3, 7])
        kafka.send(upTo: total / 2)
        try await Task.sleep(for: .seconds(4))
        first.kill()
        kafka.moveLeaders()
        kafka.send(upTo: total * 2 / 3)
        try await Task.sleep(for: .seconds(1))
        // Still until others have all that was its own, the second one wakes up as a member that is none any more.
        #expect(try await eventually { try await stage.owned("stormy", by: 2) ?? 0 > 0 })
        second.signal(SIGSTOP)
        try first.start()
        kafka.mock?.setDown(broker: 2)
        try await Task.sleep(for: .seconds(2))
        kafka.mock?.setUp(broker: 2)
        kafka.send(upTo: total * 5 / 6)
        await stage.cluster.stop()
        try await Task.sleep(for: .seconds(3))
        try await stage.cluster.start()
        #expect(try await eventually(within: 40) { try await stage.owned("stormy", by: 2) == 0 })
        second.signal(SIGCONT)
        // It joins anew and works on: what comes now is counted by it too.
        #expect(try await eventually(within: 60) { try await stage.owned("stormy", by: 2) ?? 0 > 0 })
        let counter = #"trimtab_stream_records_total{kind="request"}"#
        let counted = try await Wait.upTo(seconds: 20) { try await second.metric(counter) }
        kafka.send(upTo: total)
        third.kill()
        #expect(try await eventually(within: 60) { try await second.metric(counter) ?? 0 > counted })
        #expect(try await kafka.isDelivered())
        try await stage.expectEveryRecordOnce(in: "stormy")
        for service in [first, second, third] { service.kill() }

        let calm = try kafka.worker(4, try await kafka.settings("calm"))
        try await stage.expectEveryRecordOnce(in: "calm")
        try await stage.expectSameRows(in: "stormy", and: "calm")
        calm.kill()
        try await kafka.close()
        await stage.close()
    }
}

import Core
import Foundation
import Policy
import Telemetry
import TestSupport
import Testing

/// A gateway that hears nothing more goes back to stable by itself.
@Suite struct LeaseTests {
    @Test(arguments: RoutePointer.Mode.allCases)
    func theLeaseEndsWhileItServes(_ mode: RoutePointer.Mode) async throws {
        let upstream = try await ScriptedUpstream { _, _ in [Wire.response(Wire.answer)] }
        let began = Int64(Date().timeIntervalSince1970 * 1_000)
        let until = began + 1_500
        let gateway = try await TestGateway(upstream: upstream.port) { options in
            options.edit = { entry in
                entry.addCandidate(weight: 1)
                entry.pointer.mode = mode
                entry.pointer.leaseUntil = until
            }
        }
        let port = gateway.port
        func takesPart(_ record: RequestRecord) -> Bool { record.rollout != nil }
        while gateway.sink.records.allSatisfy(takesPart), Date().timeIntervalSince1970 * 1_000 < Double(until) + 10_000
        {
            #expect(try await RawClient.ask(Wire.post(Wire.body), port: port).status == 200)
        }
        for _ in 0..<5 {
            let response = try await RawClient.ask(Wire.post(Wire.body), port: port)
            #expect(response.status == 200 && response.header("x-trimtab-arm") == "stable")
            #expect(response.header("x-trimtab-policy") == "3")
        }
        await eventually("every request is recorded") { gateway.sink.records.count == upstream.requests.count }
        for record in gateway.sink.records where record.arm != .shadow {
            #expect(takesPart(record) == (record.startedAt <= until))
        }
        let arms = Set(gateway.sink.records.map(\.arm))
        #expect(arms == (mode == .split ? [.candidate, .stable] : [.stable, .shadow]))
        // A copy begins within the lease too.
        #expect(gateway.sink.records.allSatisfy { $0.arm != .shadow || $0.startedAt <= until + 100 })
        await gateway.stop()
    }
}

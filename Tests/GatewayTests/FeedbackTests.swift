import Core
import Gateway
import Telemetry
import TestSupport
import Testing

@Suite struct FeedbackTests {
    private static let id = "01938f7e-9a3b-7c11-8a2b-0123456789ab"

    private func post(_ body: String, _ gateway: TestGateway) async throws -> Response {
        try await RawClient.ask(Wire.post(body, path: "/v1/feedback"), port: gateway.port)
    }

    @Test func isTakenWithTheKeysName() async throws {
        let gateway = try await TestGateway(upstream: 1)
        let response = try await post(
            #"{"request":"\#(Self.id)","value":0.25,"name":"helpful","source":"judge","comment":"so\n so","more":[1]}"#,
            gateway)
        #expect(response.status == 202)
        await eventually("the feedback") { gateway.sink.feedback.count == 1 }
        let feedback = try #require(gateway.sink.feedback.first)
        #expect(feedback.request == UUIDv7(Self.id) && feedback.value == 0.25 && feedback.name == "helpful")
        #expect(feedback.source == .judge && feedback.comment == "so\n so" && feedback.key == "tester")
        #expect(response.body.contains(feedback.id.description))
        #expect(gateway.sink.records.isEmpty)
        await gateway.stop()
    }

    @Test func aGivenIdIsKeptSoThatItCanBeSentTwice() async throws {
        let gateway = try await TestGateway(upstream: 1)
        _ = try await post(#"{"id":"\#(Self.id)","request":"\#(Self.id)","value":1}"#, gateway)
        await eventually("the feedback") { gateway.sink.feedback.first?.id == UUIDv7(Self.id) }
        #expect(gateway.sink.feedback.first?.name == "quality")
        await gateway.stop()
    }

    @Test(arguments: [
        (#"{"value":1}"#, "request"), (#"{"request":"x","value":1}"#, "request"),
        (#"{"request":"\#(id)"}"#, "value"), (#"{"request":"\#(id)","value":1.5}"#, "value"),
        (#"{"request":"\#(id)","value":"1"}"#, "value"), (#"{"request":"\#(id)","value":1,"name":"A"}"#, "name"),
        (#"{"request":"\#(id)","value":1,"source":"me"}"#, "source"),
        (#"{"request":"\#(id)","value":1,"pair":7}"#, "pair"),
        (#"{"request":"\#(id)","value":1,"value":0}"#, "value"), (#"{"request":"#, "byte 11"),
    ])
    func aFaultNamesItsField(_ body: String, _ field: String) async throws {
        let gateway = try await TestGateway(upstream: 1)
        let response = try await post(body, gateway)
        #expect(response.status == 400 && response.body.contains(field))
        #expect(gateway.sink.feedback.isEmpty)
        await gateway.stop()
    }

    @Test func needsAKey() async throws {
        let gateway = try await TestGateway(upstream: 1)
        let response = try await RawClient.ask(
            Wire.post(#"{"request":"\#(Self.id)","value":1}"#, path: "/v1/feedback", key: nil), port: gateway.port)
        #expect(response.status == 401)
        await gateway.stop()
    }
}

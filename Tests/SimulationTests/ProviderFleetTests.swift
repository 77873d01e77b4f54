import Core
import Foundation
import NIOCore
import NIOHTTP1
import Simulation
import Testing

/// The fleet speaks the provider protocol as clients know it.
struct ProviderFleetTests {
    private let chat = """
        {"model":"alpha","messages":[{"role":"user","content":"[prompt p-1] Hello"}],"stream":STREAM,
        "stream_options":{"include_usage":true},"metadata":{"output_tokens":"12"}}
        """

    @Test func answersAreWholeAndTheSameForOneSeed() async throws {
        let fleet = try await startFleet([plainModel("alpha")])
        let reply = try await post(
            fleet.baseURL(of: "sim"), chat.replacingOccurrences(of: "STREAM", with: "false"))
        #expect(reply.status == 200)
        #expect(reply.headers.first(name: "content-type") == "application/json")
        try expectGolden(reply.text, "completion.json")
        try await fleet.stop()
    }

    @Test func streamsEndWithUsageAndDone() async throws {
        let fleet = try await startFleet([plainModel("alpha")])
        let reply = try await post(fleet.baseURL(of: "sim"), chat.replacingOccurrences(of: "STREAM", with: "true"))
        #expect(reply.status == 200)
        #expect(reply.headers.first(name: "content-type") == "text/event-stream; charset=utf-8")
        try expectGolden(reply.text, "stream.txt")
        let plain = try await post(
            fleet.baseURL(of: "sim"),
            #"{"model":"alpha","stream":true,"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]}"#)
        #expect(!plain.text.contains("usage"))
        #expect(plain.text.hasSuffix("data: [DONE]\n\n"))
        try await fleet.stop()
    }

    /// At temperature 0 a model says nearly always the same to the same prompt, until another one has its name.
    @Test func fixedPromptsTellModelsApart() async throws {
        let fleet = try await startFleet([plainModel("alpha"), plainModel("beta")])
        func texts(_ model: String, _ prompt: String) async throws -> [String: Int] {
            let body =
                #"{"model":"\#(model)","temperature":0,"messages":[{"role":"user","content":"\#(prompt)"}]}"#
            var counts: [String: Int] = [:]
            for _ in 0..<100 {
                let text = try await post(fleet.baseURL(of: "sim"), body).text
                let content = text.components(separatedBy: "\"content\":").last?.components(separatedBy: ",\"refusal\"")
                counts[content?.first ?? text, default: 0] += 1
            }
            return counts
        }
        func usual(_ counts: [String: Int]) -> String? { counts.max { $0.value < $1.value }?.key }
        let first = try await texts("alpha", "one")
        #expect((first.values.max() ?? 0) >= 85 && first.count > 1, "\(first.values)")
        #expect(try await usual(texts("alpha", "one")) == usual(first))
        #expect(try await usual(texts("alpha", "two")) != usual(first))
        #expect(try await usual(texts("beta", "one")) != usual(first))
        var change = ModelChange()
        change.revision = 2
        try fleet.set("sim/alpha", change)
        let second = try await texts("alpha", "one")
        #expect(second.keys.allSatisfy { first[$0] == nil })
        try await fleet.stop()
    }

    @Test func eachProviderListsItsOwnModels() async throws {
        let fleet = try await startFleet([plainModel("alpha"), plainModel("beta", provider: "other")])
        let reply = try await HTTPExchange.send(.GET, PlainURL(fleet.baseURL(of: "other")), "/models")
        #expect(reply.text.contains("\"id\":\"beta\""))
        #expect(!reply.text.contains("alpha"))
        #expect(fleet.providers == ["other", "sim"])
        try await fleet.stop()
    }

    @Test(arguments: [
        (#"{"model":"none","messages":[]}"#, 404, "model_not_found"),
        (#"{"model":"alpha","messages":"#, 400, "invalid_request_error"),
    ])
    func refusalsComeInTheErrorEnvelope(_ body: String, _ status: Int, _ word: String) async throws {
        let fleet = try await startFleet([plainModel("alpha")])
        let reply = try await post(fleet.baseURL(of: "sim"), body)
        #expect(reply.status == status)
        #expect(reply.text.hasPrefix(#"{"error":{"message":"#))
        #expect(reply.text.contains(word))
        try await fleet.stop()
    }

    @Test func aboveItsRateAModelAnswers429WithRetryAfter() async throws {
        var model = plainModel("alpha")
        model.rateLimitPerS = 2
        let fleet = try await startFleet([model])
        var statuses: [Int] = []
        for _ in 0..<4 {
            let reply = try await post(fleet.baseURL(of: "sim"), #"{"model":"alpha","messages":[]}"#)
            statuses.append(reply.status)
            if reply.status == 429 {
                #expect(reply.headers.first(name: "retry-after") == "1")
                #expect(reply.text.contains("rate_limit_exceeded"))
            }
        }
        #expect(statuses == [200, 200, 429, 429])
        try await fleet.stop()
    }

    @Test func behaviourChangesAtRunTime() async throws {
        let fleet = try await startFleet([plainModel("alpha")])
        let url = fleet.baseURL(of: "sim")
        let body = #"{"model":"alpha","messages":[]}"#
        var change = ModelChange()
        change.outage = .error
        try fleet.set("sim/alpha", change)
        #expect(try await post(url, body).status == 503)
        change.outage = .reset
        try fleet.set("sim/alpha", change)
        await #expect(throws: TrimtabError.self) { try await post(url, body) }
        change.outage = .cut
        try fleet.set("sim/alpha", change)
        await #expect(throws: TrimtabError.self) { try await post(url, body) }
        change.outage = SimulatedModel.Outage.none
        change.errorRate = 1
        try fleet.set("sim/alpha", change)
        #expect(try await post(url, body).status == 500)
        change.errorRate = 0
        try fleet.set("sim/alpha", change)
        #expect(try await post(url, body).status == 200)
        #expect(throws: TrimtabError.self) { try fleet.set("sim/none", change) }
        try await fleet.stop()
    }

    @Test func aTakenPortIsSaid() async throws {
        let fleet = try await startFleet([plainModel("alpha")])
        await #expect(throws: TrimtabError.self) {
            try await ProviderFleet.start(simulator: fleet.simulator, port: fleet.port)
        }
        try await fleet.stop()
    }

    @Test func hundredsOfSlowRequestsWaitAtOnce() async throws {
        let fleet = try await startFleet([plainModel("alpha", ms: 400)])
        let url = fleet.baseURL(of: "sim")
        let answered = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<300 {
                group.addTask { try await post(url, #"{"model":"alpha","messages":[]}"#).status }
            }
            return try await group.reduce(into: 0) { $0 += $1 == 200 ? 1 : 0 }
        }
        #expect(answered == 300)
        try await fleet.stop()
    }
}

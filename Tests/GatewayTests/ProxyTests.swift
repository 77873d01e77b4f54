import Core
import Gateway
import Policy
import Telemetry
import TestSupport
import Testing

@Suite struct ProxyTests {
    @Test func passesOnAnAnswerAndRecordsIt() async throws {
        let upstream = try await ScriptedUpstream { _, _ in
            [Wire.response(Wire.answer, headers: "x-request-id: up-1\r\nset-cookie: a=b\r\nkeep-alive: x\r\n")]
        }
        let gateway = try await TestGateway(upstream: upstream.port)
        let response = try await RawClient.ask(
            Wire.post(
                Wire.body, headers: "x-request-id: mine\r\nx-trimtab-session: s1\r\nx-custom: c\r\ncookie: d\r\n"),
            port: gateway.port)
        #expect(response.status == 200)
        #expect(response.body == Wire.answer)
        #expect(response.header("x-upstream-request-id") == "up-1")
        #expect(response.header("set-cookie") == nil)
        #expect(response.header("x-trimtab-policy") == "3")
        #expect(response.header("x-trimtab-arm") == "stable")
        #expect(response.header("x-trimtab-target") == "main")
        // 6 fresh and 4 cached input tokens at 1 USD, 5 output tokens at 2 USD per million.
        #expect(response.header("x-trimtab-cost-usd") == "0.000020000")

        let sent = try #require(upstream.requests.first)
        #expect(sent.hasPrefix("POST /v1/chat/completions HTTP/1.1\r\n"))
        #expect(sent.contains("authorization: Bearer sk-upstream\r\n"))
        #expect(!sent.contains(TestGateway.key) && !sent.contains("cookie") && !sent.contains("x-trimtab"))
        #expect(sent.contains("x-custom: c\r\n"))
        #expect(sent.hasSuffix(Wire.body.replacing("\"chat\"", with: "\"model-a\"")))

        let record = try await gateway.onlyRecord()
        #expect(record.outcome == .complete && record.status == 200 && record.error == nil)
        #expect(response.header("x-request-id") == record.id.description)
        #expect(sent.contains("x-request-id: \(record.id)\r\n"))
        #expect(record.clientRequestID == "mine")
        #expect(record.key == "tester" && record.project == "alpha")
        #expect(record.route == "chat" && record.policy == 3 && record.arm == .stable && record.propensity == 1)
        #expect(record.target == "main" && record.provider == "main" && record.model == "model-a")
        #expect(record.tokens?.input == 10 && record.tokens?.cachedRead == 4 && record.tokens?.source == .reported)
        #expect(record.cost == NanoUSD(20_000) && record.price == "2026-01-01#1")
        #expect(record.finish == "stop")
        #expect(record.prompt?.messages == 1 && record.prompt?.chars == 5)
        #expect(record.prompt?.features != nil && record.regenerates == nil)
        let session = try #require(record.session)
        #expect(session.count == 16 && UInt64(session, radix: 16).map { UInt16($0 & 0xfff) } == record.id.bucket)
        #expect(try #require(record.overheadMs) <= record.totalMs && record.at >= record.startedAt)
        await gateway.stop()
    }

    @Test func aPromptSentAgainInItsSessionNamesTheRequestBefore() async throws {
        let upstream = try await ScriptedUpstream { _, _ in [Wire.response(Wire.answer)] }
        let gateway = try await TestGateway(upstream: upstream.port)
        for session in ["s1", "s1", "s2", "s1"] {
            let request = Wire.post(Wire.body, headers: "x-trimtab-session: \(session)\r\n")
            #expect(try await RawClient.ask(request, port: gateway.port).status == 200)
        }
        await eventually("four records") { gateway.sink.records.count == 4 }
        let records = gateway.sink.records.sorted { $0.id < $1.id }
        #expect(Set(records.map(\.prompt?.features)).count == 1)
        let sessions = Dictionary(grouping: records, by: \.session).values.sorted { $0.count < $1.count }
        #expect(sessions.map(\.count) == [1, 3] && sessions[0][0].regenerates == nil)
        let first = sessions[1].filter { $0.regenerates == nil }
        #expect(first.count == 1 && Set(sessions[1].compactMap(\.regenerates)).count == 2)
        await gateway.stop()
    }

    @Test func streamsEveryEventAndLeavesOutTheUsageItAskedForItself() async throws {
        let upstream = try await ScriptedUpstream { _, _ in
            [
                Wire.streamHead, Wire.chunk(Wire.delta("hel")), Wire.chunk(Wire.delta("lo") + Wire.finish),
                Wire.chunk(Wire.usage), Wire.chunk(Wire.done), Wire.end,
            ]
        }
        let gateway = try await TestGateway(upstream: upstream.port)
        let response = try await RawClient.ask(Wire.post(Wire.streamBody), port: gateway.port)
        #expect(response.status == 200 && response.isWhole)
        #expect(response.header("content-type") == "text/event-stream")
        #expect(response.body == Wire.delta("hel") + Wire.delta("lo") + Wire.finish + Wire.done)
        #expect(
            upstream.requests.first?.contains(#"{"stream_options":{"include_usage":true},"model":"model-a""#) == true)
        let record = try await gateway.onlyRecord()
        #expect(record.outcome == .complete && record.stream && record.finish == "stop")
        #expect(record.tokens == TokenUsage(input: 7, output: 3))
        #expect(record.cost == NanoUSD(13_000))
        #expect(try #require(record.ttftMs) <= record.totalMs)
        await gateway.stop()
    }

    @Test func estimatesTokensWhereTheProviderCannotSayThem() async throws {
        let upstream = try await ScriptedUpstream { _, _ in
            [Wire.streamHead, Wire.chunk(Wire.delta("12345678")), Wire.chunk(Wire.done), Wire.end]
        }
        let gateway = try await TestGateway(upstream: upstream.port) { $0.includeUsage = false }
        _ = try await RawClient.ask(Wire.post(Wire.streamBody), port: gateway.port)
        #expect(upstream.requests.first?.contains("stream_options") == false)
        let record = try await gateway.onlyRecord()
        #expect(record.tokens?.source == .estimated && record.tokens?.output == 2 && record.tokens?.input == 2)
        await gateway.stop()
    }

    @Test func takesChunkedBodiesAndManyRequestsOnOneConnection() async throws {
        let upstream = try await ScriptedUpstream { _, _ in [Wire.response(Wire.answer)] }
        let gateway = try await TestGateway(upstream: upstream.port)
        let chunked =
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: bearer \(TestGateway.key)\r\n"
            + "transfer-encoding: chunked\r\n\r\n5\r\n\(Wire.body.prefix(5))\r\n"
            + "\(String(Wire.body.utf8.count - 5, radix: 16))\r\n\(Wire.body.dropFirst(5))\r\n0\r\n\r\n"
        let client = try await RawClient(port: gateway.port)
        // Three at once: the second and third wait for the first.
        await client.send(chunked + Wire.post(Wire.body) + Wire.post(Wire.body))
        await eventually("three answers") { client.text.components(of: "HTTP/1.1 200 OK") == 3 }
        await eventually("three records") { gateway.sink.records.count == 3 }
        #expect(upstream.opened == 1)
        #expect(Set(gateway.sink.records.map(\.id)).count == 3)
        await client.close()
        await gateway.stop()
    }

    @Test func listsTheRoutesAKeyMayUse() async throws {
        let gateway = try await TestGateway(upstream: 1)
        let get = "GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer \(TestGateway.key)\r\n\r\n"
        let response = try await RawClient.ask(get, port: gateway.port)
        #expect(response.status == 200)
        #expect(
            response.body
                == #"{"object":"list","data":[{"id":"chat","object":"model","created":1,"owned_by":"trimtab"}]}"#)
        await gateway.stop()

        let other = try await TestGateway(upstream: 1) { $0.edit = { $0.route.project = "beta" } }
        #expect(try await RawClient.ask(get, port: other.port).body.contains(#""data":[]"#))
        #expect(try await RawClient.ask(Wire.post(Wire.body), port: other.port).status == 404)
        await other.stop()
    }

    @Test func anUnknownModelGoesToTheDefaultRoute() async throws {
        let upstream = try await ScriptedUpstream { _, _ in [Wire.response(Wire.answer)] }
        let gateway = try await TestGateway(upstream: upstream.port) { $0.settings.defaultRoute = RouteName("chat") }
        let body = Wire.body.replacing("\"chat\"", with: "\"gpt-unheard-of\"")
        #expect(try await RawClient.ask(Wire.post(body), port: gateway.port).status == 200)
        #expect(try await gateway.onlyRecord().route == "chat")
        await gateway.stop()
    }

    @Test func aTesterCanAskForAnArm() async throws {
        let upstream = try await ScriptedUpstream { _, _ in [Wire.response(Wire.answer)] }
        let gateway = try await TestGateway(upstream: upstream.port) { options in
            options.edit = { $0.addCandidate(weight: 0) }
        }
        let response = try await RawClient.ask(
            Wire.post(Wire.body, headers: "x-trimtab-arm: candidate\r\n"), port: gateway.port)
        #expect(response.header("x-trimtab-policy") == "4" && response.header("x-trimtab-arm") == "forced")
        #expect(response.header("x-trimtab-cost-usd") == nil)
        let record = try await gateway.onlyRecord()
        #expect(record.arm == .forced && record.model == "model-c" && record.cost == nil)
        let wrong = try await RawClient.ask(
            Wire.post(Wire.body, headers: "x-trimtab-arm: best\r\n"), port: gateway.port)
        #expect(wrong.status == 400 && wrong.body.contains("x-trimtab-arm"))
        await gateway.stop()
    }

    /// Header, key and tag decide who takes part; tags are recorded and go no further.
    @Test func aRolloutIsForThoseItNames() async throws {
        let upstream = try await ScriptedUpstream { _, _ in [Wire.response(Wire.answer)] }
        let gateway = try await TestGateway(upstream: upstream.port) { options in
            options.edit = { entry in
                entry.addCandidate(weight: 1)
                entry.pointer.eligibility = Eligibility(
                    headers: ["x-team": "search*"], keys: ["test*"], tags: ["tier": "gold"])
            }
        }
        func ask(_ headers: String) async throws -> String? {
            try await RawClient.ask(Wire.post(Wire.body, headers: headers), port: gateway.port)
                .header("x-trimtab-arm")
        }
        let both = "X-Team: search-7\r\nX-Trimtab-Tags: tier=gold\r\nx-trimtab-tags: region=eu\r\n"
        #expect(try await ask(both) == "candidate")
        #expect(try await ask("x-team: search-7\r\n") == "stable")
        #expect(try await ask("x-trimtab-tags: tier=gold\r\n") == "stable")
        await eventually("three records") { gateway.sink.records.count == 3 }
        let records = gateway.sink.records
        #expect(records[0].tags == ["tier": "gold", "region": "eu"] && records[0].rollout != nil)
        #expect(records[1].tags.isEmpty && records[1].rollout == nil && records[1].candidateWeight == nil)
        #expect(!upstream.requests[0].lowercased().contains("x-trimtab-tags"))
        await gateway.stop()
    }
}

extension String {
    func components(of text: String) -> Int { ranges(of: text).count }
}

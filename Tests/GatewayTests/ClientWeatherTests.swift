import Core
import Gateway
import Logging
import NIOPosix
import Policy
import Telemetry
import TestSupport
import Testing

@Suite struct ClientWeatherTests {
    @Test(arguments: [true, false])
    func aClientThatHangsUpCancelsTheUpstream(streaming: Bool) async throws {
        let upstream = try await ScriptedUpstream { _, _ in
            streaming ? [Wire.streamHead, Wire.chunk(Wire.delta("12345678"))] : []
        }
        let gateway = try await TestGateway(upstream: upstream.port)
        let client = try await RawClient(port: gateway.port)
        await client.send(Wire.post(streaming ? Wire.streamBody : Wire.body))
        await eventually("the request to be upstream") {
            upstream.requests.count == 1 && (!streaming || client.text.contains("12345678"))
        }
        await client.close()
        await eventually("the upstream to be left") { upstream.closed == 1 }
        let record = try await gateway.onlyRecord()
        #expect(record.outcome == .clientGone && record.error == nil)
        #expect(record.tokens?.output == (streaming ? 2 : nil))
        await gateway.stop()
    }

    @Test func aSlowReaderHoldsBackTheProviderAndThenGetsEverything() async throws {
        let piece = Wire.delta(String(repeating: "x", count: 60_000))
        let pieces = 400
        let upstream = try await ScriptedUpstream { _, _ in
            [Wire.streamHead] + [Step](repeating: Wire.chunk(piece), count: pieces) + [Wire.chunk(Wire.done), Wire.end]
        }
        let gateway = try await TestGateway(upstream: upstream.port)
        let client = try await RawClient(port: gateway.port, reading: false)
        await client.send(Wire.post(Wire.streamBody))
        // What fits into the sockets and the gateway's bounded buffers goes through, then it stops.
        var last = -1
        while upstream.written != last || last == 0 {
            last = upstream.written
            try await Task.sleep(for: .milliseconds(200))
        }
        #expect(last < pieces * piece.utf8.count)
        #expect(gateway.sink.records.isEmpty)
        await client.startReading()
        await eventually("the whole answer") { client.text.hasSuffix("0\r\n\r\n") }
        #expect(Response(client.text)?.body.utf8.count == pieces * piece.utf8.count + Wire.done.utf8.count)
        #expect(try await gateway.onlyRecord().outcome == .complete)
        await client.close()
        await gateway.stop()
    }

    @Test func stoppingLetsAnswersFinishAndTakesNothingNew() async throws {
        let upstream = try await ScriptedUpstream { _, _ in
            [Wire.streamHead, Wire.chunk(Wire.delta("a")), .pause(milliseconds: 300), Wire.chunk(Wire.done), Wire.end]
        }
        let gateway = try await TestGateway(upstream: upstream.port)
        let port = gateway.port
        let idle = try await RawClient(port: port)
        let client = try await RawClient(port: port)
        await client.send(Wire.post(Wire.streamBody))
        await eventually("the stream to begin") { client.text.contains("data:") }
        await gateway.server.stop(drain: .seconds(20))
        await eventually("both connections to end") { client.isClosed && idle.isClosed }
        #expect(Response(client.text)?.isWhole == true)
        #expect(try await gateway.onlyRecord().outcome == .complete)
        await #expect(throws: (any Error).self) { _ = try await RawClient(port: port) }
    }

    @Test(arguments: [Wire.body, Wire.streamBody])
    func whatIsStillInFlightAfterTheDrainIsTruncated(_ body: String) async throws {
        let upstream = try await ScriptedUpstream { request, _ in
            request.contains("\"stream\"") ? [Wire.streamHead, Wire.chunk(Wire.delta("a"))] : []
        }
        let gateway = try await TestGateway(upstream: upstream.port)
        let client = try await RawClient(port: gateway.port)
        await client.send(Wire.post(body))
        await eventually("the request to be upstream") { upstream.requests.count == 1 }
        if body == Wire.streamBody { await eventually("the stream to begin") { client.text.contains("data:") } }
        await gateway.server.stop(drain: .milliseconds(100))
        #expect(try await gateway.onlyRecord().outcome == .truncated)
        await eventually("the end") { client.isClosed }
        #expect(Response(client.text)?.isWhole == (body == Wire.body))
        #expect(client.text.contains("shutting_down"))
    }

    @Test func aTakenPortIsAnErrorThatNamesTheSetting() async throws {
        let gateway = try await TestGateway(upstream: 1)
        var settings = GatewaySettings()
        settings.port = gateway.port
        let second = try GatewayServer(
            settings: settings, providers: [], sink: MemorySink(),
            hasher: KeyHasher(secret: [UInt8](repeating: 1, count: 32)),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            group: MultiThreadedEventLoopGroup.singleton)
        let error = await #expect(throws: TrimtabError.self) { try await second.start() }
        #expect(error?.description.contains("gateway.bind") == true)
        await gateway.stop()
    }

    @Test(arguments: ["ftp://x", "https://", "http://a b", "http://x:99999", "http://u@x/v1", "x"])
    func aProvidersAddressIsCheckedAtStart(_ url: String) {
        let error = #expect(throws: TrimtabError.self) {
            _ = try GatewayServer(
                settings: GatewaySettings(), providers: [ProviderSettings(id: "p", baseURL: url)], sink: MemorySink(),
                hasher: KeyHasher(secret: [UInt8](repeating: 1, count: 32)), logger: Logger(label: "test"),
                group: MultiThreadedEventLoopGroup.singleton)
        }
        #expect(error?.code == "gateway.provider_url")
    }
}

import Core
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import Simulation
import Statistics
import Synchronization
import Testing

/// The replay is an open loop: it sends by the schedule, counts what it cannot send, and grades as a user would.
struct ReplayTests {
    private func replay(
        _ fleet: ProviderFleet, count: Int, atS: @escaping (Int) -> Double = { Double($0) / 100 },
        route: String = "alpha",
        shape: TrafficShape = .init(), inFlight: Int = 1_000, speed: Double = 1
    ) async throws -> ReplayStatistics {
        var options = ReplayOptions(
            gateway: "http://127.0.0.1:\(fleet.port)/sim", key: "tt-test", route: route)
        options.maximumInFlight = inFlight
        options.timeoutS = 20
        options.speed = speed
        let arrivals = Arrivals.recorded((0..<count).map { Arrival(atS: atS($0), outputTokens: 5) }, repeats: false)
        let client = try await ReplayClient(
            options, workload: Workload(arrivals: arrivals, shape: shape, seed: 1), simulator: fleet.simulator)
        return try await client.run()
    }

    @Test func everyAnswerIsCountedPricedAndGraded() async throws {
        let fleet = try await startFleet([plainModel("alpha", quality: 0.8)])
        var shape = TrafficShape()
        shape.streamShare = 0.5
        shape.feedbackShare = 0
        let seen = try await replay(fleet, count: 200, shape: shape, speed: 10)
        #expect(
            seen.sent == 200 && seen.completed == 200 && seen.failed == 0 && seen.dropped == 0 && seen.inFlight == 0)
        #expect(seen.quality.n == 200)
        #expect(abs((seen.quality.mean ?? 0) - 0.8) < 0.05)
        #expect(seen.cost.n == 200)
        #expect(seen.latency.count == 200 && seen.ttft.count > 50 && seen.ttft.count < 150)
        #expect(seen.groups.values.reduce(0) { $0 + $1.completed } == 200)
        try await fleet.stop()
    }

    @Test func aSlowServerDoesNotHoldUpTheSchedule() async throws {
        // A closed loop with 10 connections would need 20 rounds; here all that find no room are dropped at once.
        let fleet = try await startFleet([plainModel("alpha", ms: 1_500)])
        let seen = try await replay(fleet, count: 200, atS: { _ in 0 }, inFlight: 10)
        #expect(seen.sent == 10 && seen.completed == 10 && seen.dropped == 190)
        try await fleet.stop()
    }

    @Test func latencyCountsFromTheIntendedMoment() async throws {
        let fleet = try await startFleet([plainModel("alpha", ms: 120)])
        let seen = try await replay(fleet, count: 50, atS: { _ in 0 })
        #expect((seen.latency.quantile(0) ?? 0) >= 115)
        try await fleet.stop()
    }

    @Test func failuresAreCountedByReason() async throws {
        let fleet = try await startFleet([plainModel("alpha", errors: 1)])
        var shape = TrafficShape()
        shape.streamShare = 0
        let seen = try await replay(fleet, count: 20, shape: shape)
        #expect(seen.failed == 20 && seen.failures == ["500": 20])
        var change = ModelChange()
        (change.outage, change.errorRate) = (.cut, 0)
        try fleet.set("sim/alpha", change)
        let cut = try await replay(fleet, count: 20)
        #expect(cut.failed == 20 && cut.completed == 0)
        try await fleet.stop()
        let dead = try await replay(fleet, count: 5)
        #expect(dead.failed == 5)
    }

    @Test func feedbackNamesTheRequestAndItsQuality() async throws {
        let posted = Mutex<[String]>([])
        let server = try await stubGateway { head, body in
            if head.uri == "/v1/feedback" {
                posted.withLock { $0.append(body) }
                return "{}"
            }
            return #"{"model":"alpha","choices":[],"usage":{"prompt_tokens":1000000,"completion_tokens":0}}"#
        }
        let simulator = SharedSimulator(Simulator(models: [plainModel("alpha")], seed: 7))
        var shape = TrafficShape()
        (shape.feedbackShare, shape.streamShare, shape.prompts) = (1, 0, 1)
        let options = ReplayOptions(
            gateway: "http://127.0.0.1:\(server.localAddress?.port ?? 0)", key: "tt-test", route: "r")
        let arrivals = Arrivals.recorded((0..<5).map { Arrival(atS: Double($0) / 50) }, repeats: false)
        let client = try await ReplayClient(
            options, workload: Workload(arrivals: arrivals, shape: shape, seed: 1), simulator: simulator)
        let seen = try await client.run()
        #expect(seen.feedbackSent == 5 && seen.completed == 5)
        #expect(seen.costPer1000 == 1_000)
        #expect(seen.groups.keys.sorted() == [.init(policy: "3", arm: "candidate", target: "sim/alpha")])
        let quality = try #require(simulator.quality(prompt: "p-0", model: "sim/alpha"))
        for text in posted.withLock({ $0 }) {
            #expect(text.contains(#""request":"the-id","name":"quality","value":\#(quality),"source":"user""#))
        }
        try await server.close()
    }

    @Test func itStopsWhenToldAndWaitsForWhatIsOpen() async throws {
        let fleet = try await startFleet([plainModel("alpha", ms: 200)])
        var options = ReplayOptions(gateway: "http://127.0.0.1:\(fleet.port)/sim", key: "k", route: "alpha")
        options.timeoutS = 20
        let client = try await ReplayClient(options, workload: Workload(seed: 1), simulator: fleet.simulator)
        let run = Task { try await client.run() }
        while try await client.statistics().sent < 10 { await Task.yield() }
        run.cancel()
        let seen = try await run.value
        #expect(seen.inFlight == 0 && seen.completed + seen.failed == seen.sent)
        try await fleet.stop()
    }

    @Test func anAddressThatIsNotPlainHTTPIsRefused() {
        for text in ["https://example.org", "localhost:80", ""] {
            #expect(throws: TrimtabError.self) { try PlainURL(text) }
        }
    }

    /// Answers every request at once with what `reply` says, and the headers of the gateway.
    private func stubGateway(
        _ reply: @escaping @Sendable (HTTPRequestHead, String) -> String
    ) async throws -> any Channel {
        try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(StubHandler(reply))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
    }
}

private final class StubHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart
    private let reply: @Sendable (HTTPRequestHead, String) -> String
    private var head: HTTPRequestHead?
    private var body = ""

    init(_ reply: @escaping @Sendable (HTTPRequestHead, String) -> String) { self.reply = reply }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): (self.head, body) = (head, "")
        case .body(let part): body += String(buffer: part)
        case .end:
            guard let head else { return }
            let text = ByteBuffer(string: reply(head, body))
            let headers: HTTPHeaders = [
                "content-type": "application/json", "content-length": "\(text.readableBytes)",
                "x-request-id": "the-id", "x-trimtab-policy": "3", "x-trimtab-arm": "candidate",
                "x-trimtab-target": "sim/alpha",
            ]
            context.write(wrapOutboundOut(.head(.init(version: .http1_1, status: .ok, headers: headers))), promise: nil)
            context.write(wrapOutboundOut(.body(.byteBuffer(text))), promise: nil)
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }
    }
}

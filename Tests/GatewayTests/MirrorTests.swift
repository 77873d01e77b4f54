import Core
import Gateway
import Policy
import Simulation
import Telemetry
import TestSupport
import Testing

/// Copies of requests go to a candidate that no user ever sees.
@Suite struct MirrorTests {
    /// A mirror rollout over everyone: stable is `main`, the candidate is served by `spare`, or by `main` too.
    private static func gateway(
        upstream: Int, candidate: Int, weight: Double = 1, sameProvider: Bool = false,
        _ change: (inout TestGateway.Options) -> Void = { _ in }
    ) async throws -> TestGateway {
        try await TestGateway(upstream: upstream) { options in
            options.spare = candidate
            options.edit = { entry in
                entry.stable.fallbacks = []
                entry.addCandidate(weight: weight, provider: sameProvider ? "main" : "spare")
                entry.candidate?.timeouts.firstByteMs = 400
                entry.pointer.mode = .mirror
            }
            change(&options)
        }
    }

    private static func records(_ gateway: TestGateway, _ arm: Arm) -> [RequestRecord] {
        gateway.sink.records.filter { $0.arm == arm }
    }

    @Test(arguments: [false, true])
    func theCandidateGetsACopyAndTheUserNeverKnows(_ stream: Bool) async throws {
        let steps: [Step] =
            stream
            ? [Wire.streamHead, Wire.chunk(Wire.delta("hi") + Wire.finish + Wire.usage + Wire.done), Wire.end]
            : [Wire.response(Wire.answer)]
        let stable = try await ScriptedUpstream { _, _ in steps }
        let candidate = try await ScriptedUpstream { _, _ in steps }
        let gateway = try await Self.gateway(upstream: stable.port, candidate: candidate.port)
        let headers = "x-trimtab-session: s1\r\nx-trimtab-tags: tier=gold\r\nidempotency-key: k1\r\n"
        let response = try await RawClient.ask(
            Wire.post(stream ? Wire.streamBody : Wire.body, headers: headers), port: gateway.port)
        #expect(response.status == 200 && response.header("x-trimtab-arm") == "stable")
        #expect(response.header("x-trimtab-policy") == "3" && response.header("x-trimtab-target") == "main")
        await eventually("both records") { gateway.sink.records.count == 2 }
        let original = try #require(Self.records(gateway, .stable).first)
        let shadow = try #require(Self.records(gateway, .shadow).first)
        #expect(original.rollout != nil && original.step == 2 && original.candidateWeight == 1)
        #expect(original.propensity == 1 && original.shadowOf == nil)
        #expect(shadow.shadowOf == original.id && shadow.id != original.id)
        #expect(shadow.id.bucket == original.id.bucket)
        #expect(shadow.rollout == original.rollout && shadow.step == 2 && shadow.candidateWeight == 1)
        #expect(shadow.policy == 4 && shadow.target == "new" && shadow.model == "model-c" && shadow.propensity == 1)
        #expect(shadow.outcome == .complete && shadow.status == 200 && shadow.finish == "stop")
        #expect(shadow.tokens == (stream ? TokenUsage(input: 7, output: 3) : original.tokens))
        #expect(shadow.checks == original.checks && shadow.checks?.empty == false)
        #expect(shadow.session == original.session && shadow.key == "tester" && shadow.tags == ["tier": "gold"])
        // A copy is no repetition of a prompt.
        var prompt = original.prompt
        prompt?.features = nil
        #expect(shadow.prompt == prompt && shadow.stream == stream && shadow.overheadMs == nil)
        #expect(try #require(shadow.ttftMs) <= shadow.totalMs && shadow.startedAt >= original.startedAt)

        let (sent, copy) = (try #require(stable.requests.first), try #require(candidate.requests.first))
        #expect(copy.contains("x-request-id: \(shadow.id)\r\n") && copy.contains("model-c"))
        #expect(copy.contains("include_usage") == stream)
        // The provider must not take the copy for the original sent twice.
        #expect(sent.contains("idempotency-key") && !copy.contains("idempotency-key"))
        #expect(!copy.contains(TestGateway.key) && !copy.contains("sk-upstream"))
        await gateway.stop()
    }

    /// What a candidate may do, and how its record tells.
    struct Case: Sendable, CustomStringConvertible {
        var description: String
        var steps: [Step]
        var outcome: Outcome
        var error: ErrorClass?
    }

    static let cases = [
        Case(
            description: "fails", steps: [Wire.response("{}", status: "500 Oops")], outcome: .upstreamError,
            error: .server),
        Case(
            description: "limits", steps: [Wire.response("{}", status: "429 No")], outcome: .upstreamError,
            error: .rateLimited),
        Case(description: "hangs", steps: [], outcome: .timeout, error: .timeoutFirstByte),
        Case(description: "hangs up", steps: [.close], outcome: .upstreamError, error: .reset),
        Case(description: "talks nonsense", steps: [.send("x\r\n\r\n")], outcome: .upstreamError, error: .protocol),
        Case(
            description: "is cut", steps: [Wire.streamHead, Wire.chunk(Wire.delta("a")), .close],
            outcome: .upstreamCut, error: .reset),
    ]

    @Test(arguments: cases)
    func aBadCandidateHarmsNobody(_ test: Case) async throws {
        let stable = try await ScriptedUpstream { _, _ in [Wire.response(Wire.answer)] }
        let candidate = try await ScriptedUpstream { _, _ in test.steps }
        let gateway = try await Self.gateway(upstream: stable.port, candidate: candidate.port)
        for _ in 0..<3 {
            let response = try await RawClient.ask(Wire.post(Wire.body), port: gateway.port)
            #expect(response.status == 200 && response.body == Wire.answer)
        }
        await eventually("three copies") { Self.records(gateway, .shadow).count == 3 }
        for shadow in Self.records(gateway, .shadow) {
            #expect(shadow.outcome == test.outcome && shadow.error == test.error && shadow.attempts.isEmpty)
        }
        #expect(Self.records(gateway, .stable).allSatisfy { $0.outcome == .complete && $0.attempts.isEmpty })
        #expect(candidate.requests.count == 3 && stable.requests.count == 3)
        await gateway.stop()
    }

    /// A hanging candidate at the users' own provider holds neither their answers nor their connections up, and what
    /// finds no room is counted.
    @Test(arguments: [(4, 256, 4), (32, 8, 4), (0, 256, 0)])
    func theBoundHoldsUnderLoad(_ mirrors: Int, _ connections: Int, _ most: Int) async throws {
        let upstream = try await ScriptedUpstream { request, _ in
            request.contains("model-c") ? [] : [Wire.response(Wire.answer)]
        }
        let gateway = try await Self.gateway(upstream: upstream.port, candidate: 1, sameProvider: true) { options in
            options.settings.limits.mirrors = mirrors
            options.maxConnections = connections
        }
        // One connection is one event loop, for which the bound is.
        let client = try await RawClient(port: gateway.port)
        for count in 1...20 {
            await client.send(Wire.post(Wire.body))
            await eventually("answer \(count)") { client.text.components(of: "HTTP/1.1 200 OK") == count }
        }
        // All of them before the first copy's time was over, or the bound was not tried.
        await eventually("every copy's end") {
            Self.records(gateway, .shadow).count + gateway.server.statistics.mirrorsDropped == 20
        }
        #expect(Self.records(gateway, .stable).allSatisfy { $0.outcome == .complete })
        let waves = Self.records(gateway, .shadow).map(\.startedAt)
        for start in waves { #expect(waves.filter { (start..<start + 400).contains($0) }.count <= most) }
        if most == 0 { #expect(waves.isEmpty) } else { #expect(waves.count >= min(most, 4)) }
        await client.close()
        await gateway.stop()
    }

    @Test func onlyTheShareIsMirrored() async throws {
        let upstream = try await ScriptedUpstream { _, _ in [Wire.response(Wire.answer)] }
        let gateway = try await Self.gateway(
            upstream: upstream.port, candidate: 1, weight: 0.3, sameProvider: true)
        for index in 0..<60 {
            let headers = "x-trimtab-session: s\(index)\r\n"
            let response = try await RawClient.ask(Wire.post(Wire.body, headers: headers), port: gateway.port)
            #expect(response.header("x-trimtab-arm") == "stable")
        }
        await eventually("what was sent is recorded") { gateway.sink.records.count == upstream.requests.count }
        #expect(Self.records(gateway, .stable).count == 60)
        #expect((8...30).contains(Self.records(gateway, .shadow).count))
        #expect(Self.records(gateway, .shadow).allSatisfy { $0.propensity == 0.3 && $0.candidateWeight == 0.3 })
        await gateway.stop()
    }

    /// A stop does not wait for copies, and an end by our own doing is no failure of the candidate's.
    @Test func copiesDoNotSurviveADrain() async throws {
        let stable = try await ScriptedUpstream { _, _ in [Wire.response(Wire.answer)] }
        let candidate = try await ScriptedUpstream { _, _ in [] }
        let gateway = try await Self.gateway(upstream: stable.port, candidate: candidate.port) { options in
            let edit = options.edit
            options.edit = { entry in
                edit(&entry)
                entry.candidate?.timeouts.firstByteMs = 600_000
            }
        }
        _ = try await RawClient.ask(Wire.post(Wire.body), port: gateway.port)
        await eventually("a copy on its way") { candidate.requests.count == 1 }
        await gateway.server.stop(drain: .seconds(60))
        let shadow = try #require(Self.records(gateway, .shadow).first)
        #expect(shadow.outcome == .clientGone && shadow.error == nil && !shadow.outcome.isFailure)
        await eventually("the copy's connection to be closed") { candidate.closed == 1 }
    }

    /// Who is not eligible, forced, or served after the lease has run out is not mirrored.
    @Test func outsideTheRolloutNothingIsCopied() async throws {
        let upstream = try await ScriptedUpstream { _, _ in [Wire.response(Wire.answer)] }
        for outdated in [false, true] {
            let gateway = try await Self.gateway(upstream: upstream.port, candidate: 1, sameProvider: true) { options in
                let edit = options.edit
                options.edit = { entry in
                    edit(&entry)
                    entry.pointer.eligibility = Eligibility(tags: ["tier": "gold"])
                    entry.pointer.leaseUntil = outdated ? 1 : nil
                }
            }
            for headers in ["", "x-trimtab-tags: tier=silver\r\n", "x-trimtab-arm: stable\r\n"] {
                _ = try await RawClient.ask(Wire.post(Wire.body, headers: headers), port: gateway.port)
            }
            let gold = Wire.post(Wire.body, headers: "x-trimtab-tags: tier=gold\r\n")
            #expect(try await RawClient.ask(gold, port: gateway.port).header("x-trimtab-arm") == "stable")
            let copies = outdated ? 0 : 1
            await eventually("the records") { gateway.sink.records.count == 4 + copies }
            #expect(Self.records(gateway, .shadow).count == copies)
            #expect(gateway.sink.records.filter { $0.rollout != nil }.count == 2 * copies)
            await gateway.stop()
        }
    }

    /// Against simulated providers, as they fail in earnest.
    @Test(arguments: SimulatedModel.Outage.allCases)
    func theFleetsOutagesStayUnseen(_ outage: SimulatedModel.Outage) async throws {
        func model(_ name: String, _ provider: String) -> SimulatedModel {
            SimulatedModel(
                provider: provider, name: name, price: nil, quality: .init(mean: 0.8),
                latency: .init(medianMs: 5, sigma: 0), errorRate: 0)
        }
        let fleet = try await ProviderFleet.start(
            simulator: SharedSimulator(
                Simulator(models: [model("model-a", "main"), model("model-c", "main")], seed: 7)))
        var change = ModelChange()
        change.outage = outage
        try fleet.set("main/model-c", change)
        let gateway = try await Self.gateway(upstream: 1, candidate: 1, sameProvider: true) {
            $0.baseURL = fleet.baseURL(of: "main")
        }
        for stream in [false, true] {
            let body = stream ? Wire.streamBody : Wire.body
            let response = try await RawClient.ask(Wire.post(body), port: gateway.port)
            #expect(response.status == 200 && response.isWhole && response.header("x-trimtab-target") == "main")
        }
        await eventually("two copies") { Self.records(gateway, .shadow).count == 2 }
        #expect(Self.records(gateway, .stable).allSatisfy { $0.outcome == .complete })
        for shadow in Self.records(gateway, .shadow) {
            #expect((shadow.outcome == .complete) == (outage == .none) && shadow.outcome.isFailure == (outage != .none))
        }
        await gateway.stop()
        try await fleet.stop()
    }
}

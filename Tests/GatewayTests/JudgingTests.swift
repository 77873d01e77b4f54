import Core
import Gateway
import Policy
import Telemetry
import TestSupport
import Testing

/// A shadow's pairs are judged by a configured model, over the gateway's own connections.
@Suite struct JudgingTests {
    private enum Play {
        case prefersGood, prefersCopy, ties, likesTheFirst, garbage, refuses, noJSON, dead, slow
    }

    private static func answer(_ text: String) -> Step {
        Wire.response(
            #"{"choices":[{"index":0,"message":{"role":"assistant","content":"\#(text)"},"finish_reason":"stop"}],"#
                + #""usage":{"prompt_tokens":400,"completion_tokens":1}}"#)
    }

    private static func stream(_ text: String) -> [Step] {
        [Wire.streamHead, Wire.chunk(Wire.delta(text) + Wire.finish + Wire.usage + Wire.done), Wire.end]
    }

    /// Stable's answer is "good …", the candidate's "poor …".
    private static func models() async throws -> ScriptedUpstream {
        try await ScriptedUpstream { request, _ in
            let text = request.contains("model-c") ? "poor" : "good answer"
            return request.contains(#""stream":true"#) ? stream(text) : [answer(text)]
        }
    }

    private static func judge(_ play: Play) async throws -> ScriptedUpstream {
        try await ScriptedUpstream { request, _ in
            let goodIsFirst = request.contains(#"answer_a\":\"good"#)
            switch play {
            case .prefersGood: return [answer(goodIsFirst ? "A" : "B")]
            case .prefersCopy: return [answer(goodIsFirst ? "B" : "A")]
            case .ties: return [answer("T")]
            case .likesTheFirst: return [answer("A")]
            case .garbage: return [answer("As a language model I like both.")]
            case .refuses: return [Wire.response(#"{"error":{"message":"no"}}"#, status: "429 Too Many Requests")]
            case .noJSON: return [Wire.response("<html>")]
            case .dead: return [.close]
            case .slow: return []
            }
        }
    }

    private static func gateway(
        _ models: ScriptedUpstream, judge: ScriptedUpstream, _ change: (inout JudgeSettings) -> Void = { _ in }
    ) async throws -> TestGateway {
        var settings = JudgeSettings(target: Target(provider: "spare", model: "judge-1"))
        (settings.share, settings.controlShare, settings.timeoutMs) = (1, 0, 500)
        change(&settings)
        return try await TestGateway(upstream: models.port) { options in
            options.spare = judge.port
            options.settings.judge = settings
            options.prices = ["spare/judge-1": TokenPrice(input: 1_000_000_000, output: 1_000_000_000)]
            options.edit = { entry in
                entry.stable.fallbacks = []
                entry.addCandidate(weight: 1, provider: "main")
                entry.pointer.mode = .mirror
            }
        }
    }

    private static func verdicts(_ gateway: TestGateway) -> [JudgeOutcome: Int] {
        gateway.server.judgeStatistics?.verdicts ?? [:]
    }

    /// What the user's answer is worth, by what the judge does.
    @Test(
        arguments: [
            (Play.prefersGood, JudgeOutcome.preferred, 1.0), (.prefersCopy, .preferred, 0), (.ties, .tie, 0.5),
            (.likesTheFirst, .inconsistent, 0.5),
        ] as [(Play, JudgeOutcome, Double)])
    private func bothSidesGetTheirFeedback(_ play: Play, _ outcome: JudgeOutcome, _ value: Double) async throws {
        let (models, judge) = (try await Self.models(), try await Self.judge(play))
        let gateway = try await Self.gateway(models, judge: judge)
        for (count, body) in [Wire.body, Wire.streamBody].enumerated() {
            let response = try await RawClient.ask(Wire.post(body), port: gateway.port)
            #expect(response.status == 200 && response.header("x-trimtab-arm") == "stable")
            await eventually("a verdict") { Self.verdicts(gateway) == [outcome: count + 1] }
            await eventually("its feedback") { gateway.sink.feedback.count == 2 * (count + 1) }
        }
        let records = gateway.sink.records
        #expect(records.count == 4)
        for shadow in records where shadow.arm == .shadow {
            let original = try #require(shadow.shadowOf)
            let mine = try #require(gateway.sink.feedback.first { $0.request == original })
            let others = try #require(gateway.sink.feedback.first { $0.request == shadow.id })
            #expect(
                mine.value == value && mine.pair == shadow.id && others.value == 1 - value && others.pair == original)
            #expect([mine, others].allSatisfy { $0.source == .judge && $0.name == Feedback.quality })
            #expect(mine.comment?.hasSuffix("longer_by:7") == true && mine.id != others.id)
            // The answers are texts, not JSON: that they were kept to be judged says nothing about a schema.
            #expect(shadow.checks?.schema == nil)
        }
        // Blind: the question names no model of ours but the one that it is put to, and no session or key.
        #expect(judge.requests.count == 4)
        for request in judge.requests {
            #expect(request.contains("judge-1") && !request.contains("model-a") && !request.contains("model-c"))
            #expect(!request.contains("stable") && !request.contains("candidate") && !request.contains(TestGateway.key))
        }
        #expect(gateway.server.judgeStatistics?.spent == NanoUSD(4 * 401_000))
        await gateway.stop()
    }

    /// Nothing usable is no feedback, and no user notices.
    @Test(
        arguments: [
            (Play.garbage, JudgeOutcome.unusable), (.refuses, .failed), (.noJSON, .failed), (.dead, .failed),
            (.slow, .failed),
        ] as [(Play, JudgeOutcome)])
    private func aJudgeThatIsNoUseChangesNothing(_ play: Play, _ outcome: JudgeOutcome) async throws {
        let (models, judge) = (try await Self.models(), try await Self.judge(play))
        let gateway = try await Self.gateway(models, judge: judge)
        for _ in 0..<6 {
            let response = try await RawClient.ask(Wire.post(Wire.body), port: gateway.port)
            #expect(response.status == 200 && response.isWhole)
        }
        await eventually("six ends") { Self.verdicts(gateway) == [outcome: 6] }
        #expect(gateway.sink.feedback.isEmpty)
        // Only users and copies leave records.
        #expect(gateway.sink.records.count == 12)
        await eventually("six requests") { gateway.server.statistics.requests == [.complete: 6] }
        await gateway.stop()
    }

    /// Users are answered while the judge hangs, and a stop does not wait for it.
    @Test func aHangingJudgeHoldsNobodyUp() async throws {
        let (models, judge) = (try await Self.models(), try await Self.judge(.slow))
        let gateway = try await Self.gateway(models, judge: judge) { $0.timeoutMs = 600_000 }
        for _ in 0..<10 {
            #expect(try await RawClient.ask(Wire.post(Wire.body), port: gateway.port).status == 200)
        }
        await eventually("as many questions as may be") { judge.requests.count == 4 }
        await gateway.server.stop(drain: .seconds(60))
        await eventually("their connections closed") { judge.closed == 4 }
        #expect(gateway.sink.feedback.isEmpty)
    }

    @Test func aJudgeThatFailsItsControlsIsSuspended() async throws {
        let (models, judge) = (try await Self.models(), try await Self.judge(.likesTheFirst))
        let gateway = try await Self.gateway(models, judge: judge) { $0.controlShare = 0.02 }
        for count in 1...30 {
            _ = try await RawClient.ask(Wire.post(Wire.body), port: gateway.port)
            await eventually("its end") {
                guard let now = gateway.server.judgeStatistics else { return false }
                return now.checks.values.reduce(0, +) + now.skipped.values.reduce(0, +) == count
            }
        }
        let statistics = try #require(gateway.server.judgeStatistics)
        #expect(statistics.isSuspended && gateway.sink.feedback.isEmpty)
        #expect((statistics.checks[.init(.control, passed: false)] ?? 0) >= 20)
        await gateway.stop()
    }

    @Test func theBudgetStopsTheQuestions() async throws {
        let (models, judge) = (try await Self.models(), try await Self.judge(.prefersGood))
        let gateway = try await Self.gateway(models, judge: judge) { $0.budgetPerDay = NanoUSD(1_000_000) }
        for count in 1...5 {
            _ = try await RawClient.ask(Wire.post(Wire.body), port: gateway.port)
            await eventually("its end") {
                let now = gateway.server.judgeStatistics
                return (now?.verdicts[.preferred] ?? 0) + (now?.skipped[.budget] ?? 0) == count
            }
        }
        let statistics = try #require(gateway.server.judgeStatistics)
        #expect(statistics.spent <= NanoUSD(1_000_000) && (1...4).contains(statistics.verdicts[.preferred] ?? 0))
        #expect(judge.requests.count == 2 * (statistics.verdicts[.preferred] ?? 0))
        await gateway.stop()
    }

    /// What is no pair of texts is not judged, and an answer that failed is no answer.
    @Test func onlyTextsAreJudged() async throws {
        let judge = try await Self.judge(.prefersGood)
        let models = try await ScriptedUpstream { request, _ in
            guard request.contains("model-c") else { return [Self.answer("good answer")] }
            if request.contains("tool please") {
                return [
                    Wire.response(
                        #"{"choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"t","#
                            + #""type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}"#
                    )
                ]
            }
            return [Wire.response(#"{"error":{}}"#, status: "500 Oops")]
        }
        let gateway = try await Self.gateway(models, judge: judge)
        let tool = #"{"model":"chat","messages":[{"role":"user","content":"tool please"}]}"#
        for body in [tool, Wire.body] {
            #expect(try await RawClient.ask(Wire.post(body), port: gateway.port).status == 200)
        }
        await eventually("all records") { gateway.sink.records.count == 4 }
        await eventually("the skipped one") { gateway.server.judgeStatistics?.skipped == [.unfit: 1] }
        #expect(judge.requests.isEmpty && gateway.sink.feedback.isEmpty)
        await gateway.stop()
    }

}

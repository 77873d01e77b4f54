import ControlLoop
import Core
import Foundation
import Policy
import Rollouts
import Simulation
import Statistics
import StreamProcessing
import Telemetry
import Testing

/// A shadow on the virtual clock: copies, their records and feedback, the stream's pairs, the verdict.
struct ShadowTests {
    private func shadow(_ candidate: SimulatedModel, seed: UInt64) async throws -> (VirtualReport, Rollout) {
        let stable = plainModel("a", ms: 300)
        var control = ControlSettings(engine: "test")
        (control.plan.minStepMs, control.plan.minStepRequests) = (8_000, 200)
        var route = Route(name: try #require(RouteName("chat")))
        (route.allowed, route.autonomy) = (["sim/*"], .observe)
        var settings = VirtualSettings(
            route: route, start: stable.key, models: [stable, candidate], control: control, seed: seed)
        settings.stream.windowMs = 5_000
        settings.partitions = 3
        var world = try await VirtualWorld(settings)
        _ = try await world.run(milliseconds: 30_000)
        try await world.startRollout(
            of: .simulated(route: route.name, model: candidate.key), goal: .neutral, kind: .shadow, reason: "test")
        let report = try await world.run(milliseconds: 300_000)
        return (report, try #require(await world.store.rollouts(PageQuery()).first))
    }

    @Test(arguments: [1, 2, 3] as [UInt64]) func aShadowIsJudgedByItsPairs(seed: UInt64) async throws {
        let (report, good) = try await shadow(plainModel("b", ms: 300), seed: seed)
        #expect(good.phase == .ended(.passed), "\(good.phase)")
        // Nobody sees an answer of it, and each copy that has ended makes a pair.
        #expect(report.served.keys.allSatisfy { $0.policy == 1 && $0.arm != "shadow" })
        let copies = good.evidence.totals.candidate.requests
        let checks = try #require(good.evidence.pairs(.refusals))
        let quality = try #require(good.evidence.pairs(.badAnswers))
        #expect(copies > 200 && checks.count == copies && quality.count == good.evidence.totals.candidate.quality.n)

        let (_, worse) = try await shadow(plainModel("b", quality: 0.7, ms: 300), seed: seed)
        #expect(worse.phase == .ended(.guardrail(.badAnswers)))
        #expect(try #require(worse.evidence.pairs(.badAnswers)).count < 300)
    }
}

/// Published upgrades, each prompt answered by both models: what a shadow would have said.
@Suite(.enabled(if: testData != nil, "needs the recorded data (TRIMTAB_TEST_DATA)"))
struct RecordedPairsTests {
    /// Pairs until each of 50 shadows, with the prompts in another order, is stopped at 1 %; `nil` for one that is not.
    private func stops(_ file: String, _ old: String, _ new: String) throws -> [Int?] {
        let folder = try #require(testData).appendingPathComponent("outcomes")
        let set = try OutcomeSet(path: folder.appendingPathComponent("\(file).csv.gz").path)
        let prompts = set.prompts(answeredBy: [old, new])
        return (0..<50 as Range<UInt64>).map { seed in
            var random = SplitMix64(seed: seed)
            var evidence = RolloutEvidence(
                thresholds: FrozenThresholds(
                    slowMs: nil, dearNanoUSD: nil, badBelow: 0.5, badAnswerRate: nil, answers: 0),
                guardrails: .init(only: [.badAnswers: 1]), isMirrored: true)
            for (index, prompt) in prompts.shuffled(using: &random).enumerated() {
                for (model, arm) in [(old, Arm.stable), (new, .shadow)] {
                    guard let score = set.cell(prompt: prompt, model: model)?.quality else { continue }
                    evidence.fold(
                        Trial(at: 0, pair: UInt32(index), .quality(score)), arm: arm, step: 0, weight: 0.2)
                }
                evidence.endBlock()
                if evidence.shownHarm(under: .neutral) != nil { return index + 1 }
            }
            return nil
        }
    }

    @Test func regressionsAreStoppedWithinAHandfulOfPairs() throws {
        for (file, old, new, most) in [
            ("bfcl_2024_08", "gpt-4o-2024-05-13", "gpt-4o-2024-08-06", 30),
            ("bfcl_2024_08", "mistral-medium-2312", "mistral-large-2407", 30),
            ("wildbench_judged", "Phi-3-mini-128k-instruct", "gemma-2b-it", 70),
            ("wildbench_judged", "gpt-3.5-turbo-0125", "gemma-7b-it", 100),
            ("wildbench_judged", "Qwen1.5-72B-Chat-greedy", "gpt-3.5-turbo-0125", 200),
        ] {
            let needed = try stops(file, old, new).compactMap(\.self).sorted()
            #expect(needed.count == 50 && needed[25] <= most, "\(old) to \(new): \(needed)")
        }
    }

    @Test func whatDidNotGetWorseIsLeftAlone() throws {
        for (file, old, new) in [
            ("bfcl_2024_08", "gemini-1.5-pro-preview-0409", "gemini-1.5-pro-preview-0514"),
            ("bfcl_2024_08", "meetkai_functionary-small-v3.1-FC", "meetkai_functionary-small-v3.2-FC"),
            ("bfcl_2024_08", "claude-3-opus-20240229", "claude-3-5-sonnet-20240620"),
            ("zeroeval_crux", "Llama-3.1-405B-Inst@sambanova", "Meta-Llama-3.1-405B-Instruct@hyperbolic"),
            ("wildbench_judged", "Qwen1.5-72B-Chat", "Qwen1.5-72B-Chat-greedy"),
        ] { #expect(try stops(file, old, new).allSatisfy { $0 == nil }, "\(old) to \(new)") }
    }
}

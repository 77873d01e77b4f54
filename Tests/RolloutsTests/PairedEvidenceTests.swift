import Core
import Foundation
import Policy
import Rollouts
import Statistics
import StreamProcessing
import Telemetry
import TestSupport
import Testing

/// A shadow is judged by its pairs: the answers to a request and to its copy.
@Suite struct PairedEvidenceTests {
    private static let thresholds = FrozenThresholds(
        slowMs: nil, dearNanoUSD: nil, badBelow: 0.5, badAnswerRate: 0.1, answers: 500)

    private func evidence(_ guardrails: Route.Guardrails = .init(only: [.badAnswers: 1])) -> RolloutEvidence {
        RolloutEvidence(thresholds: Self.thresholds, guardrails: guardrails, isMirrored: true)
    }

    private func shadow(
        _ guardrails: Route.Guardrails = .init(only: [.errors: 0.5, .badAnswers: 0.5]),
        goal: RolloutPlan.Goal = .neutral
    ) -> Rollout {
        var plan = RolloutPlan.quick.of(.shadow)
        plan.goal = goal
        var rollout = makeRollout(guardrails: guardrails, plan: plan)
        rollout.evidence = evidence(guardrails)
        return rollout
    }

    private func quality(_ pair: UInt32, _ value: Double) -> Trial { Trial(at: 0, pair: pair, .quality(value)) }

    private func request(_ pair: UInt32?, _ marks: Trial.Marks) -> Trial {
        Trial(at: 0, pair: pair, .request(Trial.Answer(marks)))
    }

    private func fold(_ trials: (control: Trial, candidate: Trial), _ evidence: inout RolloutEvidence) {
        evidence.fold(trials.control, arm: .stable, step: 0, weight: 0.2)
        evidence.fold(trials.candidate, arm: .shadow, step: 0, weight: 0.2)
    }

    @Test func whatScoresAnAnswerLooksAtPairsAndAlphaIsSpentOnce() {
        let mirrored = evidence(Route.Guardrails())
        let split = RolloutEvidence(thresholds: Self.thresholds, guardrails: Route.Guardrails())
        #expect(mirrored.findings == split.findings)
        #expect(abs(mirrored.findings.reduce(0) { $0 + $1.alpha } - 0.01) < 1e-12)
        for guardrail in Guardrail.allCases {
            let isPaired = [.badAnswers, .refusals, .schemaFailures].contains(guardrail)
            #expect((mirrored.pairs(guardrail) != nil) == isPaired)
            #expect(split.pairs(guardrail) == nil)
        }
    }

    @Test func eachPairCountsOnceWhicheverSideIsLate() {
        var evidence = evidence()
        // The copy's judgement first; more than one on a side; a request without a copy.
        evidence.fold(quality(1, 0.25), arm: .shadow, step: 0, weight: 0.2)
        evidence.fold(quality(1, 1), arm: .shadow, step: 0, weight: 0.2)
        #expect(evidence.pairs(.badAnswers)?.count == 0)
        evidence.fold(quality(2, 1), arm: .stable, step: 0, weight: 0.2)
        evidence.fold(quality(1, 0.75), arm: .stable, step: 0, weight: 0.2)
        for _ in 0..<3 { fold((quality(1, 0), quality(1, 1)), &evidence) }
        #expect(evidence.pairs(.badAnswers)?.count == 1)
        #expect(evidence.pairs(.badAnswers)?.mean == -0.5)
        // No number, and no pair.
        fold((quality(3, .nan), quality(3, 1)), &evidence)
        fold((Trial(at: 0, .quality(1)), Trial(at: 0, .quality(0))), &evidence)
        #expect(evidence.pairs(.badAnswers)?.count == 1)
        // All of it is shown, whether or not it is half of a pair.
        #expect(evidence.totals.candidate.quality.n == 7)
    }

    @Test func checksScoreAnswersAndWhatWasNotCheckedIsNotGood() throws {
        let passed: Trial.Marks = [.refusalChecked, .schemaChecked]
        let cases: [(Trial.Marks, Trial.Marks, refusals: Double?, schema: Double?)] = [
            (passed, passed, 0, 0), (passed, [passed, .refused], -1, 0), (passed, [passed, .malformed], 0, -1),
            ([passed, .refused], passed, 1, 0), (passed, .failed, -1, nil), (.failed, passed, 1, nil),
            ([.failed], [.failed], 0, nil), (passed, [], nil, nil), ([], passed, nil, nil), ([], [], nil, nil),
            (.refusalChecked, .refusalChecked, 0, nil), (passed, .schemaChecked, nil, 0),
        ]
        for (control, candidate, refusals, schema) in cases {
            var evidence = evidence(Route.Guardrails())
            fold((request(5, control), request(5, candidate)), &evidence)
            #expect(evidence.pairs(.refusals)?.mean == refusals, "\(control) \(candidate)")
            #expect(evidence.pairs(.schemaFailures)?.mean == schema, "\(control) \(candidate)")
        }
        // The neighbour's load is no fault of an answer.
        var shared = evidence(Route.Guardrails())
        shared.sharesQuota = true
        fold((request(5, passed), request(5, [.failed, .overQuota])), &shared)
        #expect(shared.pairs(.refusals)?.count == 0)
    }

    @Test func aShadowThatAnswersWorseIsStoppedByItsPairs() {
        for (guardrail, worse) in [
            (Guardrail.badAnswers, quality(0, 0.7)), (.refusals, request(0, [.refusalChecked, .refused])),
            (.schemaFailures, request(0, [.schemaChecked, .malformed])),
        ] {
            var rollout = shadow(.init(only: [guardrail: 1])), pairs: UInt32 = 0
            while pairs < 2_000, case .hold = rollout.evaluate(now: 1_000) {
                pairs += 1
                let isWorse = pairs % 3 == 0
                var control = request(pairs, [.refusalChecked, .schemaChecked]), candidate = control
                if guardrail == .badAnswers { (control, candidate) = (quality(pairs, 0.9), quality(pairs, 0.9)) }
                if isWorse { candidate.observation = worse.observation }
                fold((control, candidate), &rollout.evidence)
                rollout.evidence.endBlock()
            }
            #expect(rollout.evaluate(now: 1_000) == .end(.guardrail(guardrail)))
            #expect(pairs < (guardrail == .badAnswers ? 150 : 40), "\(guardrail): \(pairs)")
        }
    }

    /// What a shadow is to show is shown by the same pairs.
    @Test func aShadowPassesByItsPairsAndNotWithoutThem() {
        var rollout = shadow(), better = shadow(goal: .better)
        // Judgements on other requests than those that were copied tell nothing.
        rollout.evidence.fold(
            .requests(2_000, quality: .init(repeating: 0.9, count: 2_000), firstPair: 10_000), arm: .stable, step: 0,
            weight: 0.2)
        rollout.evidence.fold(
            .requests(400, quality: .init(repeating: 1, count: 400), firstPair: 0), arm: .shadow, step: 0, weight: 0.2)
        #expect(
            rollout.evaluate(now: 10_000)
                == .hold(
                    "Quality feedback on requests and on their copies is needed; an unknown is not treated as good."))
        rollout = shadow()
        for (count, passes) in [(100, false), (900, true)] as [(Int, Bool)] {
            for gain in [0, 0.1] {
                let scores = (0..<count).map { 0.5 + 0.01 * Double($0 % 20) }
                let (trials, first) = (Int64(count), UInt32(count * 2))
                let control = [Trial].requests(trials, quality: scores, firstPair: first)
                let candidate = [Trial].requests(trials, quality: scores.map { $0 + gain }, firstPair: first)
                func fold(_ rollout: inout Rollout) -> RolloutVerdict {
                    rollout.evidence.fold(control, arm: .stable, step: 0, weight: 0.2)
                    rollout.evidence.fold(.requests(4 * trials), arm: .stable, step: 0, weight: 0.2)
                    rollout.evidence.fold(candidate, arm: .shadow, step: 0, weight: 0.2)
                    rollout.evidence.endBlock()
                    return rollout.evaluate(now: 10_000)
                }
                if gain == 0 {
                    let verdict = fold(&rollout)
                    #expect((verdict == .end(.passed)) == passes, "\(count): \(verdict)")
                } else {
                    let verdict = fold(&better)
                    #expect((verdict == .end(.passed)) == passes, "\(count): \(verdict)")
                }
            }
        }
        // As good is not better.
        rollout.plan.goal = .better
        #expect(rollout.evaluate(now: 10_000) == .hold("Not yet shown to be better, in 1000 pairs."))
    }

    @Test func whatWaitsIsBoundedAndReadsBack() throws {
        var evidence = evidence()
        for pair in 0..<50_000 as Range<UInt32> {
            evidence.fold(quality(pair &* 2_654_435_761, 0.5), arm: .stable, step: 0, weight: 0.2)
        }
        let test = try #require(evidence.guardrails.first?.pairs)
        #expect(test.remembered <= RecentTable.limit && test.remembered >= RecentTable.limit / 2)
        // The newest wait, the oldest are forgotten: a side whose other side never came is no pair.
        evidence.fold(quality(49_999 &* 2_654_435_761, 0.25), arm: .shadow, step: 0, weight: 0.2)
        evidence.fold(quality(0, 0.25), arm: .shadow, step: 0, weight: 0.2)
        evidence.endBlock()
        #expect(evidence.pairs(.badAnswers)?.count == 1)
        let bytes = try JSONEncoder().encode(evidence)
        #expect(bytes.count < 100_000)
        #expect(try JSONDecoder().decode(RolloutEvidence.self, from: bytes) == evidence)
    }

    /// An ended rollout keeps what its pairs showed and not the sides.
    @Test func anEndedRolloutForgetsWhatWaits() throws {
        var rollout = shadow()
        for pair in 0..<100 as Range<UInt32> { fold((quality(pair, 0.5), quality(pair, 0.5)), &rollout.evidence) }
        rollout.apply(RolloutEvent.end(.aborted(by: "ann")), now: 1)
        let test = try #require(rollout.evidence.guardrails.first { $0.guardrail == .badAnswers }?.pairs)
        #expect(test.remembered == 0 && test.differences.count == 100)
    }

    /// Which panes come first does not matter, as long as no side has been forgotten.
    @Test(arguments: 0..<10 as Range<UInt64>) func orderDoesNotMatter(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var trials = (0..<400 as Range<UInt32>).flatMap { pair in
            let score = random.unit()
            return [(quality(pair, score), Arm.stable), (quality(pair, score * random.unit()), .shadow)]
        }
        var first = evidence(), second = evidence()
        for (trial, arm) in trials { first.fold(trial, arm: arm, step: 0, weight: 0.2) }
        trials.shuffle(using: &random)
        for (trial, arm) in trials { second.fold(trial, arm: arm, step: 0, weight: 0.2) }
        first.endBlock()
        second.endBlock()
        #expect(first.findings == second.findings && first.pairs(.badAnswers) == second.pairs(.badAnswers))
        #expect(first.logE(.badAnswers) > log(1_000.0))
    }

    /// 400 shadows of the policy against itself: of each request's two answers neither is better, and feedback comes late.
    @Test func harmlessShadowsAreLeftAlone() {
        var stopped: Int64 = 0
        for seed in 0..<400 as Range<UInt64> {
            var random = SplitMix64(seed: seed), late: [(Trial, Arm)] = []
            var evidence = evidence(.init(only: [.badAnswers: 1], alpha: 0.05)), isStopped = false
            for pair in 0..<2_000 as Range<UInt32> {
                let prompt = random.normal()
                for arm in [Arm.stable, .shadow] {
                    let score = min(max(0.6 + 0.25 * (0.77 * prompt + 0.63 * random.normal()), 0), 1)
                    late.append((quality(pair, score), arm))
                }
                guard late.count == 60 else { continue }
                late.shuffle(using: &random)
                for (trial, arm) in late.prefix(40) { evidence.fold(trial, arm: arm, step: 0, weight: 0.2) }
                late.removeFirst(40)
                evidence.endBlock()
                isStopped = isStopped || evidence.shownHarm(under: .neutral) != nil
            }
            stopped += isStopped ? 1 : 0
        }
        #expect(Proportion(events: stopped, trials: 400).clopperPearson().lowerBound <= 0.05, "\(stopped) of 400")
    }

    /// The same answers, once as pairs and once as those of two arms.
    @Test func pairsTellSoonerThanArms() {
        var needed = (paired: [Int](), split: [Int]())
        for seed in 0..<40 as Range<UInt64> {
            var random = SplitMix64(seed: seed), found = (paired: 0, split: 0)
            var paired = evidence()
            var split = makeRollout(guardrails: .init(only: [.badAnswers: 1])).evidence
            for pair in 1...4_000 as ClosedRange<UInt32> where found.paired == 0 || found.split == 0 {
                let prompt = random.normal()
                func score(_ mean: Double) -> Double {
                    min(max(mean + 0.25 * (0.775 * prompt + 0.632 * random.normal()), 0), 1)
                }
                let trials = (control: quality(pair, score(0.65)), candidate: quality(pair, score(0.6)))
                fold(trials, &paired)
                split.fold(trials.control, arm: .stable, step: 0, weight: 0.5)
                split.fold(trials.candidate, arm: .candidate, step: 0, weight: 0.5)
                guard pair % 20 == 0 else { continue }
                paired.endBlock()
                split.endBlock()
                if found.paired == 0, paired.shownHarm(under: .neutral) != nil { found.paired = Int(pair) }
                if found.split == 0, split.shownHarm(under: .neutral) != nil { found.split = Int(pair) }
            }
            needed.paired.append(found.paired == 0 ? 4_000 : found.paired)
            needed.split.append(found.split == 0 ? 4_000 : found.split)
        }
        let (few, many) = (needed.paired.sorted()[20], needed.split.sorted()[20])
        #expect(2 * few < many, "pairs \(few), answers of each arm \(many)")
    }

    /// A shadow that an earlier release began goes on without pairs.
    @Test func earlierShadowsAreRead() throws {
        let split = RolloutEvidence(thresholds: Self.thresholds, guardrails: .init(only: [.badAnswers: 1]))
        var object = try #require(
            JSONSerialization.jsonObject(with: JSONEncoder().encode(split)) as? [String: Any])
        object["mirrored"] = true
        var read = try JSONDecoder().decode(
            RolloutEvidence.self, from: JSONSerialization.data(withJSONObject: object))
        for pair in 0..<200 as Range<UInt32> { fold((quality(pair, 0.9), quality(pair, 0.1)), &read) }
        #expect(read.pairs(.badAnswers) == nil && read.logE(.badAnswers) > log(100.0))
    }
}

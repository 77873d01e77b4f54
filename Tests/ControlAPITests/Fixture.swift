import Analysis
import ControlAPI
import ControlLoop
import Core
import Decisions
import Policy
import Rollouts
import Statistics
import StreamProcessing
import Synchronization
import Telemetry
import TestSupport

/// Ten minutes of a route in the middle of a rollout, with the decision that led to it.
enum Fixture {
    static let start: Int64 = 1_763_650_020_000
    static let now = start + 600_000
    static let routeID = "support-chat"
    static let strong = Target(provider: "sim", model: "strong-1")
    static let cheap = Target(provider: "sim", model: "cheap-1")

    static func id(_ number: UInt64) -> UUIDv7 {
        var generator = SplitMix64(seed: number)
        return UUIDv7(milliseconds: start + Int64(number), using: &generator)
    }

    static func name(_ text: String = routeID) throws -> RouteName {
        guard let name = RouteName(text) else { throw Violation("", "'\(text)' is not a route name.") }
        return name
    }

    static func fill(_ store: FixtureStore) throws {
        let name = try name()
        var route = Route(name: name)
        route.allowed = ["sim/*"]
        route.baseline = 1
        route.autonomy = .auto
        let policies = try [policy(1, strong), policy(2, cheap)]
        var pointer = RoutePointer(route: name, stable: 1)
        (pointer.candidate, pointer.weight, pointer.epoch) = (2, 0.25, 7)
        let decision = try decision(route, policies[0])
        let rollout = try rollout()
        pointer.rollout = rollout.id
        let state = RouteState(
            route: route, pointer: pointer, policies: [1: policies[0], 2: policies[1]], rollout: rollout,
            latestVersion: 2)
        store.edit { content in
            content.states[name] = state
            content.policies[name] = policies
            content.rollouts = [rollout]
            content.panes = panes
            content.decisions = [decision]
            content.windows = windows()
            content.findings = [finding()]
            content.gateways = [GatewayStatus(id: "gw-1", epoch: 7, seenAt: now)]
            content.audit = [
                AuditEntry(
                    id: id(9), at: start, actor: "ada", action: "rollout.start", route: name,
                    subject: rollout.id.description, detail: "A try.")
            ]
            content.prices = PriceBook(
                id: "2026-01-01#1",
                prices: [
                    "sim/strong-1": TokenPrice(input: 2_500_000_000, output: 10_000_000_000),
                    "sim/cheap-1": TokenPrice(input: 150_000_000, output: 600_000_000),
                ])
        }
    }

    static func policy(_ version: Int, _ target: Target) throws -> RoutingPolicy {
        RoutingPolicy(
            route: try name(), version: version, parent: version > 1 ? version - 1 : nil, createdAt: start,
            createdBy: version > 1 ? id(1).description : "config",
            reason: version > 1 ? "For the test, which needs a reason that is longer than a column." : "For the test.",
            targets: [target])
    }

    /// Four steps, one pane each; the candidate gives more bad answers.
    static let panes = [0.01, 0.05, 0.1, 0.25].enumerated().flatMap { step, weight in
        [(Arm.candidate, 60, 1, 5, 260_000), (.stable, 600, 8, 28, 3_100_000)].map {
            (arm: Arm, requests: Int64, failures: Int64, bad: Int, cost: Int64) in
            EvidencePane(
                key: EvidenceKey(rollout: id(3), step: step, arm: arm), partition: 0, number: Int64(step),
                candidateWeight: weight,
                trials: .requests(
                    requests, failures: failures, costs: .init(repeating: cost, count: Int(requests)),
                    quality: (0..<Int(requests - 10)).map { $0 < bad ? 0.2 : 0.9 }, at: start + 60_000 * Int64(step)))
        }
    }

    static func rollout() throws -> Rollout {
        let thresholds = FrozenThresholds(
            slowMs: 820, dearNanoUSD: 4_000_000, badBelow: 0.5, badAnswerRate: 0.06, answers: 900)
        var evidence = RolloutEvidence(thresholds: thresholds, guardrails: Route.Guardrails())
        evidence.fold(panes)
        var rollout = Rollout(
            id: id(3), route: try name(), stable: 1, candidate: 2, salt: 1, createdAt: start + 300_000,
            createdBy: id(1).description, decision: id(1),
            reason: "sim/cheap-1 costs 92 % less and is non-inferior in quality.", plan: RolloutPlan(),
            evidence: evidence)
        rollout.phase = .progressing(step: 3)
        rollout.stepStartedAt = start + 520_000
        rollout.timeline = [
            TimelineEntry(at: start + 300_000, event: "started", detail: "Policy 2 against 1 at 1 %."),
            TimelineEntry(at: start + 380_000, event: "step", detail: "0.05"),
            TimelineEntry(at: start + 450_000, event: "step", detail: "0.1"),
            TimelineEntry(at: start + 520_000, event: "step", detail: "0.25"),
        ]
        return rollout
    }

    /// The same as a shadow, judged by 300 pairs of which the candidate's answers are a little worse.
    static func shadow() throws -> Rollout {
        var rollout = try rollout()
        rollout.plan = RolloutPlan().of(.shadow)
        rollout.phase = .progressing(step: 0)
        rollout.timeline = [TimelineEntry(at: start + 300_000, event: "started", detail: "Policy 2 against 1 at 20 %.")]
        rollout.evidence = RolloutEvidence(
            thresholds: rollout.evidence.thresholds, guardrails: Route.Guardrails(), isMirrored: true)
        rollout.evidence.fold(
            [(Arm.stable, 1_500, 0.05), (.shadow, 300, 0.08)].map { (arm: Arm, requests: Int64, loss: Double) in
                EvidencePane(
                    key: EvidenceKey(rollout: id(3), step: 0, arm: arm), partition: 0, number: 1, candidateWeight: 0.2,
                    trials: .requests(
                        requests, quality: (0..<300).map { 0.9 - loss * Double($0 % 4) }, at: start, firstPair: 0))
            })
        return rollout
    }

    private static func alternative(
        _ target: Target, quality: (Double, Double), cost: (Double, Double), p95: Double, front: Bool,
        verdict: Alternative.Verdict, reason: String
    ) -> Alternative {
        var forecast = Forecast()
        forecast.quality = Interval(estimate: quality.0, lower: quality.0 - quality.1, upper: quality.0 + quality.1)
        forecast.costPer1000 = Interval(estimate: cost.0, lower: cost.0 - cost.1, upper: cost.0 + cost.1)
        forecast.latencyP95Ms = p95
        forecast.answers = 400
        return Alternative(
            candidate: Candidate(
                strategy: "model_selection", modelKey: target.modelKey,
                edits: [.replaceTarget(from: strong.id, to: target)], forecast: forecast),
            onFront: front, verdict: verdict, reason: reason, probabilities: ["non_inferior": 0.97, "cheaper": 1])
    }

    static func decision(_ route: Route, _ stable: RoutingPolicy) throws -> Decision {
        let chosen = alternative(
            cheap, quality: (0.89, 0.013), cost: (0.26, 0.02), p95: 310, front: true, verdict: .chosen,
            reason: "92 % cheaper, quality 0.89 against 0.90: within 0.02 with P = 0.97.")
        let outcome = DecisionOutcome(
            action: .change(chosen.candidate), code: "better",
            rationale: "Move to sim/cheap-1: it costs 0.26 USD per 1,000 instead of 3.10, and its quality lies within "
                + "0.02 of the baseline with P = 0.97. A quality under 0.88 would change this.",
            alternatives: [
                alternative(
                    strong, quality: (0.9, 0.008), cost: (3.1, 0.1), p95: 640, front: true, verdict: .incumbent,
                    reason: "Serves now."), chosen,
                alternative(
                    Target(provider: "sim", model: "tiny-1"), quality: (0.71, 0.02), cost: (0.06, 0.01), p95: 190,
                    front: true, verdict: .inferior, reason: "Quality 0.71: within 0.02 with P = 0.00."),
                alternative(
                    Target(provider: "sim", model: "old-1"), quality: (0.82, 0.02), cost: (1.4, 0.08), p95: 700,
                    front: false, verdict: .dominated, reason: "sim/cheap-1 is better and cheaper."),
            ])
        let input = DecisionInput(
            now: start + 295_000, route: route, stable: stable, baseline: stable, catalog: [strong, cheap],
            prices: PriceBook(), statistics: [], history: [], settings: DecisionSettings(), seed: 1)
        var decision = Decision(
            id: id(1), route: route.name, at: start + 295_000, engine: "1 x86_64", status: .approved, input: input,
            outcome: outcome)
        (decision.policy, decision.rollout) = (2, id(3))
        return decision
    }

    static func rehearsal(of route: Route) -> RehearsalReport {
        let scores = RehearsalFault.allCases.map { fault in
            var score = RehearsalScore(fault: fault, outcome: .caught)
            switch fault {
            case .none:
                (score.outcome, score.candidateRequests, score.requests) = (.unharmed, 7_100, 60_000)
                (score.milliseconds, score.detail) = (30_000_000, "Not rolled back.")
            case .priceRise: (score.outcome, score.detail) = (.unseen, "No price of its models is known.")
            default:
                (score.candidateRequests, score.requests, score.extraFailures) = (154, 15_400, 6)
                (score.milliseconds, score.detail) = (7_700_000, "Rolled back: guardrail errors.")
            }
            if fault == .errorRise, route.guardrails[.errors] == 0 { score.outcome = .missed }
            return score
        }
        return RehearsalReport(
            id: id(11), route: route.name, at: now, engine: "1 x86_64", seed: 1, stable: 1, candidate: 2,
            terms: RehearsalTerms(route), traffic: "as measured over 9000 requests", scores: scores)
    }

    static func finding() -> Finding {
        Finding(
            Observation(
                .cost, "cost.dearer_model", .model("sim/strong-1"),
                "sim/cheap-1 would cost 92 % less than sim/strong-1 on this traffic.", severity: .warning,
                confidence: 0.99, magnitude: Interval(estimate: 0.92, lower: 0.9, upper: 0.93),
                window: Window(start: start, end: start + 290_000), evidence: ["requests": 2_400], objective: .cost,
                action: "Let the loop try sim/cheap-1."), id: id(2), route: routeID, at: start + 290_000)
    }

    /// 5 s windows; the candidate's share rises from five minutes on.
    static func windows() -> [MergedWindow] {
        var generator = SplitMix64(seed: 5)
        return (0..<120).flatMap { index -> [MergedWindow] in
            let window = Window(start: start + Int64(index) * 5_000, end: start + Int64(index + 1) * 5_000)
            let share = index < 60 ? 0 : index < 76 ? 0.01 : index < 90 ? 0.05 : index < 104 ? 0.1 : 0.25
            let total = 100 + Int(generator.unit() * 20)
            let canary = Int(Double(total) * share)
            var found = [measured(window, strong, .stable, 1, total - canary, 3.1e6, 420, 0.9, &generator)]
            if canary > 0 {
                found.append(measured(window, cheap, .candidate, 2, canary, 0.26e6, 210, 0.89, &generator))
            }
            return found
        }
    }

    private static func measured(
        _ window: Window, _ target: Target, _ arm: Arm, _ policy: Int, _ count: Int, _ cost: Double, _ latency: Double,
        _ quality: Double, _ generator: inout SplitMix64
    ) -> MergedWindow {
        var aggregate = WindowAggregate()
        var judged = Moments()
        for _ in 0..<count {
            aggregate.requests += 1
            aggregate.cost.add((cost * (1 + 0.2 * generator.normal())).rounded())
            _ = aggregate.latency.insert(latency * (1 + 0.5 * generator.unit()))
            judged.add(min(1, max(0, quality + 0.15 * generator.normal())))
        }
        return MergedWindow(
            window: window, key: WindowKey(route: routeID, modelKey: target.modelKey, arm: arm, policy: policy),
            aggregate: aggregate, feedback: ["quality": judged])
    }
}

/// Remembers what it was asked.
final class RecordingCommands: CommandHandling, FeedbackSink {
    let asked = Mutex<[(Command, RouteName, String)]>([])
    let judged = Mutex<[Feedback]>([])

    func handle(_ command: Command, route: RouteName, by actor: String) async throws -> CommandResult {
        asked.withLock { $0.append((command, route, actor)) }
        if case .resume = command {
            throw TrimtabError("rollout.not_paused", "The rollout is not paused.", remedy: "Pause it first.")
        }
        if case .startRollout = command {
            return CommandResult(changed: true, message: "Started.", rollout: Fixture.id(3))
        }
        return CommandResult(changed: true, message: "Done.")
    }

    func append(_ feedback: Feedback) async throws { judged.withLock { $0.append(feedback) } }
}

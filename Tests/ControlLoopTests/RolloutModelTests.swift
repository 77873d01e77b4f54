import ControlLoop
import Core
import Foundation
import Policy
import Rollouts
import StreamProcessing
import Telemetry
import TestSupport
import Testing

/// Every order of what can happen to a route's rollouts, eight deep; states that are alike are visited once.
@Suite struct RolloutModelTests {
    @Test func noOrderOfEventsBreaksAPromise() throws {
        var level = [ModelRoute(try #require(RouteName("chat")))]
        var seen: Set<String> = [level[0].likeness]
        for _ in 0..<8 {
            var next: [ModelRoute] = []
            for route in level {
                for event in ModelRoute.Event.allCases {
                    var after = route
                    try after.happen(event)
                    after.expectPromises(since: route, event)
                    if seen.insert(after.likeness).inserted { next.append(after) }
                }
            }
            level = next
        }
        #expect(seen.count > 500)
    }
}

/// A route with policies 1 to 3 under the pure loop; effects are applied as the store does.
struct ModelRoute {
    enum Event: CaseIterable {
        case start, supersede, pause, resume, skip, promote, abort, retry
        case idle, goodEvidence, badEvidence, restart
    }

    private(set) var state: RouteState
    private(set) var over: [Rollout] = []
    private(set) var result: CommandResult?
    private(set) var refusal: TrimtabError?
    private var now: Int64 = 1_000_000
    private var number: Int64 = 0
    private var generator = SplitMix64(seed: 7)
    private let loop: ControlLoop

    init(_ name: RouteName) {
        var settings = ControlSettings(engine: "model")
        settings.plan.steps = [0.1, 0.5, 1]
        (settings.plan.minStepMs, settings.plan.watchMs) = (1_000, 2_000)
        (settings.plan.minStepRequests, settings.plan.objectiveCycleMs) = (50, 0)
        settings.retryCooldownMs = 1_000
        loop = ControlLoop(settings: settings)
        var route = Route(name: name)
        route.guardrails = .init(only: [.errors: 1])
        let policies = (1...3).map {
            RoutingPolicy(
                route: name, version: $0, createdAt: 0, createdBy: "ann", reason: "",
                targets: [Target(provider: "sim", model: "m\($0)")])
        }
        state = RouteState(
            route: route, pointer: RoutePointer(route: name, stable: 1),
            policies: Dictionary(uniqueKeysWithValues: policies.map { ($0.version, $0) }), latestVersion: 3)
    }

    mutating func happen(_ event: Event) throws {
        now += 1_000
        (result, refusal) = (nil, nil)
        let id = state.rollout?.id ?? over.last?.id ?? UUIDv7(milliseconds: 1, using: &generator)
        let candidate = state.pointer.stable % 3 + 1
        switch event {
        case .start: command(.startRollout(RolloutRequest(policy: candidate, goal: .neutral, reason: "model")))
        case .supersede:
            command(
                .startRollout(RolloutRequest(policy: candidate, goal: .neutral, supersedes: true, reason: "model")))
        case .pause: command(.pause(rollout: id))
        case .resume: command(.resume(rollout: id))
        case .skip: command(.skip(rollout: id))
        case .promote: command(.promote(rollout: id))
        case .abort: command(.abort(rollout: id, reason: ""))
        case .retry: command(.retry(rollout: id, reason: ""))
        case .idle: look([])
        case .goodEvidence: look(panes(requests: 8_000, failing: 0))
        case .badEvidence: look(panes(requests: 1_000, failing: 0.9))
        case .restart:
            let kept = try JSONEncoder().encode(state.rollout)
            state.rollout = try JSONDecoder().decode(Rollout?.self, from: kept)
        }
    }

    private mutating func command(_ command: Command) {
        var surroundings = ControlLoop.Surroundings()
        surroundings.rollout = command.rollout.flatMap { id in over.first { $0.id == id } ?? state.rollout }
        surroundings.running = state.rollout == nil ? 0 : 1
        do {
            let (effects, result) = try loop.handle(
                command, by: "ann", state: state, surroundings, now: now, using: &generator)
            apply(effects)
            self.result = result
        } catch let error as TrimtabError {
            refusal = error
        } catch {
            Issue.record(error)
        }
    }

    private mutating func look(_ panes: [EvidencePane]) {
        var inputs = LoopInputs()
        inputs.panes = panes
        apply(loop.step(state, inputs, now: now, using: &generator))
    }

    /// Requests to both arms by the weight in force, of which a share of the candidate's fail.
    private mutating func panes(requests: Double, failing: Double) -> [EvidencePane] {
        guard let rollout = state.rollout, let step = rollout.phase.step else { return [] }
        number += 1
        return [Arm.stable, .candidate].map { arm in
            let count = requests * (arm == .candidate ? rollout.weight : 1 - rollout.weight)
            let failures = arm == .candidate ? count * failing : 0
            return EvidencePane(
                key: EvidenceKey(rollout: rollout.id, step: step, arm: arm), partition: 0, number: number,
                candidateWeight: rollout.weight,
                trials: .requests(Int64(count.rounded()), failures: Int64(failures.rounded())))
        }
    }

    private mutating func apply(_ effects: [ControlEffect]) {
        for effect in effects {
            switch effect {
            case .saveRollout(let rollout) where rollout.isActive: state.rollout = rollout
            case .saveRollout(let rollout):
                over.append(rollout)
                if state.rollout?.id == rollout.id { state.rollout = nil }
            case .setPointer(var pointer):
                pointer.epoch = state.pointer.epoch + 1
                state.pointer = pointer
            case .renewLease(let until): state.pointer.leaseUntil = until
            case .savePolicy, .saveDecision, .saveFinding, .saveAnalysis, .setBaseline, .audit: break
            }
        }
    }

    /// What decides how it can go on: times up to what the plan looks at, evidence up to what a step needs.
    var likeness: String {
        let rollout = state.rollout.map { rollout in
            let seen = rollout.evidence.steps.map { "\($0.step):\($0.candidate.requests > 0)" }
            let waited = min(5_000, now - rollout.stepStartedAt)
            return "\(rollout.phase) \(rollout.candidate) \(waited) \(seen) \(rollout.retryOf != nil)"
        }
        let last = over.last.map { "\($0.phase.name) \($0.candidate) \(min(2_000, now - ($0.endedAt ?? 0)))" }
        return "\(state.pointer.stable) \(rollout ?? "-") \(last ?? "-")"
    }
}

extension ModelRoute {
    func expectPromises(since before: ModelRoute, _ event: Event) {
        // The table says what the rollout says, and nothing is served of one that is over.
        #expect(state.pointer.candidate == state.rollout?.candidate, "\(event)")
        #expect(state.pointer.weight == state.rollout?.weight ?? 0)
        if let rollout = state.rollout { #expect(state.pointer.stable == rollout.stable) }
        // Over is over: nothing turns good, and nothing is forgotten.
        #expect(Array(over.prefix(before.over.count)) == before.over)
        let ended = over.dropFirst(before.over.count)
        // Stable changes by promotion only.
        let promoted = ended.contains { $0.phase == .promoted }
        #expect((state.pointer.stable != before.state.pointer.stable) == promoted)
        switch event {
        case .abort where before.state.rollout != nil:
            #expect(ended.map(\.phase.name) == ["aborted"] && state.pointer.weight == 0)
        case .abort:
            #expect(result?.changed == false || refusal?.code == "control.not_found")
            #expect(state == before.state)
        case .badEvidence where before.state.rollout != nil:
            #expect(ended.map(\.phase.name) == ["rolled_back"], "in \(String(describing: before.state.rollout?.phase))")
        case .pause where before.state.rollout != nil:
            // A pause stops progress, and asking again changes nothing.
            if case .paused = before.state.rollout?.phase { #expect(result?.changed == false) }
            guard case .paused = state.rollout?.phase else {
                Issue.record("not paused")
                return
            }
        case .idle, .goodEvidence:
            if case .paused = before.state.rollout?.phase {
                #expect(state.pointer.weight == before.state.pointer.weight)
            }
        case .supersede where before.state.rollout != nil:
            #expect(ended.map(\.phase.name) == ["superseded"])
            #expect(state.rollout?.salt != before.state.rollout?.salt)
            #expect(state.rollout?.evidence.steps == [])
        case .retry where state.rollout != before.state.rollout:
            #expect(state.rollout?.retryOf == before.over.last?.id)
            #expect(state.rollout?.salt != before.over.last?.salt)
            #expect(state.rollout?.evidence.steps == [])
        case .restart: #expect(state == before.state)
        default: break
        }
        // A refusal says what to do instead.
        if let refusal { #expect(!refusal.remedy.isEmpty) }
    }
}

import Analysis
import ControlLoop
import Core
import Decisions
import Foundation
import Policy
import Rollouts
import Testing

/// The examples in `docs/webhooks.md` are what is sent.
struct EventDocumentation {
    @Test func examplesAreInStep() async throws {
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../docs/webhooks.md")
        let marker = "<!-- examples: written by the tests with UPDATE_GOLDEN=1 -->\n"
        let kept = try String(contentsOf: file, encoding: .utf8)
        let prose = try #require(kept.range(of: marker), "The marker is missing.")
        let examples = try await Self.examples()
        #expect(examples.map(\.kind) == ControlEvent.Kind.allCases)
        let wanted = try kept[..<prose.upperBound] + examples.map(Self.text).joined()
        if ProcessInfo.processInfo.environment["UPDATE_GOLDEN"] == "1" {
            try String(wanted).write(to: file, atomically: true, encoding: .utf8)
        } else {
            #expect(kept == wanted, "Run the tests with UPDATE_GOLDEN=1 to write the examples anew.")
        }
    }

    private static func text(_ event: ControlEvent) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
        let data = String(decoding: try encoder.encode(event), as: UTF8.self)
            .replacing("\" : ", with: "\": ").replacing("\n", with: "\n  ")
        return """

            ### `\(event.kind.rawValue)`

            ```json
            {
              "type": "\(event.kind.rawValue)",
              "timestamp": "2025-11-20T14:51:00.123Z",
              "data": \(data)
            }
            ```

            """
    }

    private static func examples() async throws -> [ControlEvent] {
        let world = try await World()
        let state = try await world.state()
        var finding = ControlEventTests.finding(.warning)
        var events = state.events(of: [.saveFinding(.opened(finding))])
        finding.update(ControlEventTests.observation(.critical), at: 1_763_650_320_000)
        events += state.events(of: [.saveFinding(.raised(finding))])
        (finding.status, finding.closedAt) = (.closed, 1_763_651_400_000)
        events += state.events(of: [.saveFinding(.closed(finding))])

        var generator = SplitMix64(seed: 7)
        var decision = try ControlEventTests.decision(state, &generator)
        let rollout = UUIDv7(milliseconds: 1_763_650_400_000, using: &generator)
        decision.waitsFor = "The route has not been rehearsed."
        events += state.events(of: [.saveDecision(decision)])
        decision.waitsFor = nil
        (decision.decidedBy, decision.decidedAt) = ("ann", 1_763_650_400_000)
        var approved = decision
        (approved.status, approved.policy, approved.rollout) = (.approved, 2, rollout)
        events += state.events(of: [.saveDecision(approved)])
        decision.status = .rejected
        events += state.events(of: [.saveDecision(decision)])
        (decision.status, decision.decidedBy, decision.decidedAt) = (.superseded, nil, nil)
        events += state.events(of: [.saveDecision(decision)])

        let id = try await world.start(at: 1_763_650_400_000)
        var running = try await world.state()
        var canary = try #require(await world.store.rollout(id))
        events += state.events(of: [.saveRollout(canary)])
        /// What is told of the rollout after something has happened to it.
        func told(_ event: RolloutEvent, at now: Int64) -> [ControlEvent] {
            running.rollout = canary
            canary.apply(event, now: now)
            return running.events(of: [.saveRollout(canary)])
        }
        events += told(.stepPassed, at: 1_763_651_000_000)
        events += told(.pause(by: "ann"), at: 1_763_651_100_000)
        events += told(.resume, at: 1_763_651_200_000)
        for end in [RolloutEvent.promote, .end(.guardrail(.errors)), .end(.aborted(by: "ann: not today"))] {
            let before = canary
            events += told(end, at: 1_763_651_300_000)
            canary = before
        }
        return events
    }
}

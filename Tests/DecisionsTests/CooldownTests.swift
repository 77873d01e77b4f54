import Decisions
import Testing

struct CooldownTests {
    private static let minute: Int64 = 60_000
    private static let hour: Int64 = 3_600_000

    private func outcome(_ history: [RolloutHistory]) throws -> DecisionOutcome {
        try Fixture(models: [DecideTests.strong, DecideTests.cheap], tolerance: 0.05, history: history).outcome()
    }

    @Test("After a rollout of the loop, the route rests: 30 minutes, or twice the rollout's length")
    func rest() throws {
        let recent = try outcome([past("x", "strong", agoMs: 29 * Self.minute, promoted: true)])
        #expect(recent.chosen == nil && recent.code == "cooldown" && recent.verdict("cheap") == .cooldown)
        #expect(recent.rationale.contains("looks better"))
        #expect(try outcome([past("x", "strong", agoMs: 31 * Self.minute, promoted: true)]).chosen == "cheap")
        let long = past("x", "strong", agoMs: 50 * Self.minute, lengthMs: 30 * Self.minute, promoted: true)
        #expect(try outcome([long]).code == "cooldown")
    }

    @Test("After rollbacks of the same model the wait grows, and then a person decides")
    func rollbacks() throws {
        func tries(_ count: Int, agoMs: Int64) -> [RolloutHistory] {
            (0..<count).map { past("strong", "cheap", agoMs: agoMs + Int64($0) * Self.hour) }
        }
        for (count, wait) in [(1, Self.hour), (2, 4 * Self.hour), (3, 24 * Self.hour)] {
            #expect(try outcome(tries(count, agoMs: wait - 1)).code == "cooldown")
            #expect(try outcome(tries(count, agoMs: wait)).chosen == "cheap")
        }
        let last = try outcome(tries(4, agoMs: 1_000 * Self.hour))
        #expect(last.code == "cooldown" && last.rationale.contains("person"))
        // A promotion in between starts the count again.
        let promoted = past("strong", "cheap", agoMs: 30 * Self.hour, promoted: true)
        #expect(
            try outcome(tries(1, agoMs: Self.hour) + [promoted] + tries(3, agoMs: 40 * Self.hour)).chosen == "cheap")
        // Another model's rollbacks do not count.
        #expect(try outcome([past("strong", "other", agoMs: 40 * Self.minute)]).chosen == "cheap")
    }

    @Test("There and back again within a day locks the route")
    func oscillation() throws {
        let back = past("cheap", "strong", agoMs: 2 * Self.hour, promoted: true)
        let there = past("strong", "cheap", agoMs: 5 * Self.hour, promoted: true)
        let locked = try outcome([back, there])
        #expect(locked.chosen == nil && locked.code == "oscillation")
        let older = past("strong", "cheap", agoMs: 25 * Self.hour, promoted: true)
        #expect(try outcome([back, older]).chosen == "cheap")
    }

    @Test("People's own rollouts hold nothing back")
    func people() throws {
        #expect(try outcome([past("strong", "cheap", agoMs: 1_000, byDecision: false)]).chosen == "cheap")
    }
}

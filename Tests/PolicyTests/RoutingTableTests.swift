import Core
import Policy
import Testing

@Suite struct RoutingTableTests {
    static let strong = Target(provider: "sim", model: "strong")
    static let cheap = Target(provider: "sim", model: "cheap")

    static func entry(
        weight: Double = 0, holdout: Double = 0, explore: Double = 0, fallbacks: [String] = [],
        leaseUntil: Int64? = nil, _ change: (inout RoutePointer) -> Void = { _ in }
    ) throws -> RoutingTable.Entry {
        let name = try #require(RouteName("chat"))
        var route = Route(name: name)
        route.holdout = holdout
        route.exploration.share = explore
        route.allowed = ["sim/*"]
        route.sticky = .user
        func policy(_ version: Int, _ target: Target) -> RoutingPolicy {
            let extra = fallbacks.contains(cheap.id) && target != cheap ? [cheap] : []
            return RoutingPolicy(
                route: name, version: version, createdAt: 0, createdBy: "", reason: "", targets: [target] + extra,
                fallbacks: fallbacks)
        }
        var pointer = RoutePointer(route: name, stable: 1)
        pointer.candidate = 2
        pointer.weight = weight
        pointer.salt = 99
        pointer.leaseUntil = leaseUntil
        (pointer.rollout, pointer.step) = (UUIDv7(high: 1, low: 2), 1)
        change(&pointer)
        return RoutingTable.Entry(
            route: route, pointer: pointer, stable: policy(1, strong), candidate: policy(2, cheap),
            baseline: policy(1, strong),
            catalog: [strong, cheap])
    }

    static func select(
        _ entry: RoutingTable.Entry, user: Int, now: Int64 = 0, _ change: (inout RoutingRequest) -> Void = { _ in }
    ) throws -> RouteSelection {
        var generator = SplitMix64(seed: UInt64(user))
        var request = RoutingRequest(
            route: entry.route.name, id: UUIDv7(milliseconds: 0, using: &generator), user: "user-\(user)")
        change(&request)
        return try #require(RoutingTable(entries: [entry.route.name: entry]).select(request, random: 0.5, now: now))
    }

    /// Who is in at 5 % is still in at 25 %, and the share is what the weight says.
    @Test func assignmentIsMonotoneInTheWeight() throws {
        let (small, large) = (try Self.entry(weight: 0.05), try Self.entry(weight: 0.25))
        var inSmall = 0, inLarge = 0
        for user in 0..<20_000 {
            let first = try Self.select(small, user: user).arm, second = try Self.select(large, user: user).arm
            if first == .candidate { #expect(second == .candidate) }
            inSmall += first == .candidate ? 1 : 0
            inLarge += second == .candidate ? 1 : 0
        }
        #expect(abs(Double(inSmall) / 20_000 - 0.05) < 0.006)
        #expect(abs(Double(inLarge) / 20_000 - 0.25) < 0.012)
    }

    /// The recorded propensities are the true shares of the arms.
    @Test func propensitiesAreTheSharesOfTheArms() throws {
        let entry = try Self.entry(weight: 0.2, holdout: 0.1, explore: 0.3)
        var counts: [RouteSelection.SelectedArm: Int] = [:], stated: [RouteSelection.SelectedArm: Double] = [:]
        for user in 0..<20_000 {
            let selection = try Self.select(entry, user: user)
            counts[selection.arm, default: 0] += 1
            stated[selection.arm] = selection.propensity
        }
        #expect(abs(stated.values.reduce(0, +) - 1) < 1e-12)
        for (arm, share) in stated { #expect(abs(Double(counts[arm] ?? 0) / 20_000 - share) < 0.012, "\(arm)") }
    }

    @Test func aGatewayWhoseLeaseRanOutServesStable() throws {
        let entry = try Self.entry(weight: 0.99, leaseUntil: 1_000)
        #expect(try (0..<100).contains { try Self.select(entry, user: $0, now: 1_000).arm == .candidate })
        for user in 0..<100 { #expect(try Self.select(entry, user: user, now: 1_001).arm == .stable) }
    }

    /// A model that only helps out may be explored; the one that serves is not.
    @Test func exploresWhatIsAllowedAndDoesNotServe() throws {
        #expect(try Self.entry(fallbacks: ["sim/cheap"]).explore == [Self.cheap])
    }

    /// Who is not eligible is served by stable and is no control: nothing of the rollout is written down.
    @Test func whoIsNotEligibleIsOutsideTheRollout() throws {
        let entry = try Self.entry(weight: 1) { $0.eligibility = Eligibility(tags: ["tier": "gold"]) }
        for user in 0..<50 {
            let inside = try Self.select(entry, user: user) { $0.tags = ["tier": "gold"] }
            #expect(inside.arm == .candidate && inside.rollout != nil && inside.candidateWeight == 1)
            let outside = try Self.select(entry, user: user) { $0.tags = ["tier": "silver"] }
            #expect(outside.arm == .stable && outside.policy == 1 && outside.propensity == 1)
            #expect(outside.rollout == nil && outside.step == nil && outside.candidateWeight == nil)
        }
        #expect(try Self.select(entry, user: 1) { $0.forced = .candidate }.policy == 2)
    }

    @Test func evidenceIsOnlyWhatWasComparedInARollout() throws {
        let entry = try Self.entry(weight: 0.5, holdout: 0.1, explore: 0.3)
        for user in 0..<500 {
            let selection = try Self.select(entry, user: user)
            let compared = selection.arm == .candidate || selection.arm == .stable
            #expect((selection.candidateWeight != nil) == compared)
        }
    }
}

@Suite struct PolicyDocumentTests {
    static func policy() throws -> RoutingPolicy {
        RoutingPolicy(
            route: try #require(RouteName("chat")), version: 3, createdAt: 1, createdBy: "ann", reason: "because",
            targets: [Target(provider: "a", model: "x"), Target(provider: "b", model: "y")], fallbacks: ["b/y"])
    }

    @Test func theHashIsOfWhatThePolicyDoes() throws {
        var other = try Self.policy()
        (other.version, other.reason, other.createdBy) = (9, "another", "bob")
        #expect(try other.contentHash == Self.policy().contentHash)
        other.fallbacks = []
        #expect(try other.contentHash != Self.policy().contentHash)
    }

    @Test func replacingATargetKeepsThePolicyValid() throws {
        let policy = try Self.policy()
        for new in [Target(provider: "c", model: "z"), Target(provider: "b", model: "y")] {
            let next = policy.applying(
                [.replaceTarget(from: "a/x", to: new)], createdAt: 2, createdBy: "d", reason: "r")
            #expect(next.targets.first == new)
            #expect(next.parent == 3)
            #expect(next.violations { _ in true }.isEmpty, "\(next.violations { _ in true })")
        }
    }

    @Test func everyViolationNamesItsPlace() throws {
        var policy = try Self.policy()
        policy.targets.append(Target(provider: "nowhere", model: ""))
        policy.targets.append(policy.targets[0])
        policy.selector = .weighted(["q": -1])
        policy.fallbacks = ["gone"]
        policy.timeouts.idleMs = 0
        let pointers = policy.violations { $0 != "nowhere" }.map(\.pointer)
        #expect(
            Set(pointers) == [
                "/targets/2/model", "/targets/2/provider", "/targets/3/id", "/selector/weights/q", "/selector/weights",
                "/fallbacks/0", "/timeouts/idle_ms",
            ])
    }

    @Test(arguments: [
        ("sim/*", "sim/strong", true), ("*", "a/b", true), ("sim/s?rong", "sim/strong", true),
        ("sim/*-large", "sim/x-small", false),
        ("", "a", false), ("a*b*c", "axxbyyc", true), ("a*b*c", "axxbyy", false),
    ])
    func globs(pattern: String, text: String, expected: Bool) { #expect(globMatches(pattern, text) == expected) }
}

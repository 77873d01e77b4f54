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

    /// In a mirror rollout stable serves everyone, and who is copied at 5 % is still copied at 25 %.
    @Test func mirroredAreThoseWhomASplitWouldMove() throws {
        func table(_ weight: Double, _ mode: RoutePointer.Mode) throws -> RoutingTable.Entry {
            try Self.entry(weight: weight) { $0.mode = mode }
        }
        let (small, large, split) = (try table(0.05, .mirror), try table(0.25, .mirror), try table(0.25, .split))
        var copied = 0
        for user in 0..<20_000 {
            let few = try Self.select(small, user: user), many = try Self.select(large, user: user)
            #expect(many.arm == .stable && many.policy == 1 && many.target == Self.strong && many.propensity == 1)
            #expect(many.rollout != nil && many.step == 1 && many.candidateWeight == 0.25)
            if few.mirror != nil { #expect(many.mirror != nil) }
            #expect((many.mirror != nil) == (try Self.select(split, user: user).arm == .candidate))
            guard let mirror = many.mirror else { continue }
            #expect(mirror.policy == 2 && mirror.target == Self.cheap && mirror.propensity == 0.25)
            copied += 1
        }
        #expect(abs(Double(copied) / 20_000 - 0.25) < 0.012)
    }

    @Test func onlyTheRolloutsOwnRequestsAreMirrored() throws {
        let entry = try Self.entry(weight: 1, holdout: 0.2, explore: 0.3, leaseUntil: 1_000) { $0.mode = .mirror }
        for user in 0..<500 {
            let selection = try Self.select(entry, user: user)
            #expect((selection.mirror != nil) == (selection.arm == .stable))
            #expect(try Self.select(entry, user: user, now: 1_001).mirror == nil)
            #expect(try Self.select(entry, user: user) { $0.forced = .candidate }.mirror == nil)
        }
        let rollout = entry.pointer.rollout
        #expect(entry.mirrors(rollout, to: 2, now: 1_000))
        #expect(!entry.mirrors(rollout, to: 2, now: 1_001) && !entry.mirrors(rollout, to: 3, now: 0))
        #expect(!entry.mirrors(nil, to: 2, now: 0))
        #expect(!(try Self.entry(weight: 1)).mirrors(rollout, to: 2, now: 0))
    }

    /// Whatever the table: over everything that can happen to one unit the probabilities that are recorded add up to
    /// one, shares are what they say, and a larger weight takes nobody back.
    @Test(arguments: 0..<20 as Range<UInt64>)
    func anyTableIsMonotoneAndItsPropensitiesAddUp(_ seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        func share(_ most: Double) -> Double { random.unit() < 0.3 ? 0 : random.unit() * most }
        let (weight, holdout, explore) = (share(1), share(0.5), share(0.5))
        let mode: RoutePointer.Mode = random.unit() < 0.5 ? .split : .mirror
        func make(_ weight: Double) throws -> RoutingTable.Entry {
            try Self.entry(weight: weight, holdout: holdout, explore: explore) {
                $0.mode = mode
                $0.eligibility = Eligibility(tags: ["tier": "gold"])
            }
        }
        let (less, more) = (try make(weight), try make(weight + (1 - weight) * random.unit()))
        for tier in ["gold", "silver"] {
            var stated: [RouteSelection.SelectedArm: Double] = [:]
            for user in 0..<2_000 {
                func tag(_ request: inout RoutingRequest) { request.tags = ["tier": tier] }
                let low = try Self.select(less, user: user, tag), high = try Self.select(more, user: user, tag)
                #expect(stated.updateValue(low.propensity, forKey: low.arm).map { $0 == low.propensity } ?? true)
                if low.arm == .candidate { #expect(high.arm == .candidate) }
                if low.mirror != nil { #expect(high.mirror != nil) }
                if low.arm == .holdout || low.arm == .explore { #expect(high.arm == low.arm) }
                if tier == "silver" { #expect(low.arm != .candidate && low.mirror == nil && low.rollout == nil) }
                if mode == .mirror { #expect(low.arm != .candidate) }
            }
            // An arm of a tiny share may have got nobody.
            let sum = stated.values.reduce(0, +)
            #expect(sum < 1 + 1e-12 && sum > 0.99)
        }
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

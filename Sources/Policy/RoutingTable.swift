package import Core

/// One route's pointer: which policy versions it serves, and with what weight. The only thing a rollout changes.
package struct RoutePointer: Codable, Sendable, Equatable {
    package var route: RouteName
    package var stable: Int
    package var candidate: Int?
    /// The candidate's share of eligible traffic, 0...1.
    package var weight = 0.0
    package var salt: UInt64 = 0
    package var rollout: UUIDv7?
    package var step: Int?
    /// Past this (milliseconds since the epoch) a gateway serves stable only.
    package var leaseUntil: Int64?
    /// Rises with every change.
    package var epoch: Int64 = 0
    /// Who takes part in the rollout; `nil` is everyone.
    package var eligibility: Eligibility?
    package var mode = Mode.split

    /// What the candidate's share means.
    package enum Mode: String, Codable, Sendable, CaseIterable {
        /// That share is served by the candidate.
        case split
        /// Everyone is served by stable; of that share a copy goes to the candidate too, and no user sees its answer.
        case mirror
    }

    package init(route: RouteName, stable: Int) {
        self.route = route
        self.stable = stable
    }

    enum CodingKeys: String, CodingKey {
        case route, stable, candidate, weight, salt, rollout, step, epoch, eligibility, mode
        case leaseUntil = "lease_until"
    }
}

extension RoutePointer {
    package init(from decoder: any Decoder) throws {
        let c = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            route: try c.decode(RouteName.self, forKey: .route), stable: try c.decode(Int.self, forKey: .stable))
        candidate = try c.decodeIfPresent(Int.self, forKey: .candidate)
        weight = try c.decode(Double.self, forKey: .weight)
        salt = try c.decode(UInt64.self, forKey: .salt)
        rollout = try c.decodeIfPresent(UUIDv7.self, forKey: .rollout)
        step = try c.decodeIfPresent(Int.self, forKey: .step)
        leaseUntil = try c.decodeIfPresent(Int64.self, forKey: .leaseUntil)
        epoch = try c.decode(Int64.self, forKey: .epoch)
        eligibility = try c.decodeIfPresent(Eligibility.self, forKey: .eligibility)
        mode = try c.decodeIfPresent(Mode.self, forKey: .mode) ?? .split
    }
}

/// All current routes and policies, compiled for the hot path. Immutable; swapped whole.
package struct RoutingTable: Codable, Sendable, Equatable {
    package var entries: [RouteName: Entry] = [:]

    package init(entries: [RouteName: Entry] = [:]) { self.entries = entries }

    /// The largest epoch of any route.
    package var epoch: Int64 { entries.values.map(\.pointer.epoch).max() ?? 0 }

    /// One route. Shared by reference, so that assigning a request retains one object and not each of its parts, whose
    /// counts all event loops would fight over.
    package final class Entry: Codable, Sendable {
        package let route: Route
        package let pointer: RoutePointer
        package let stable: RoutingPolicy
        package let candidate: RoutingPolicy?
        package let baseline: RoutingPolicy?
        /// Allowed targets that the stable policy does not serve from, sorted by id; a mere fallback may be explored.
        package let explore: [Target]

        package init(
            route: Route, pointer: RoutePointer, stable: RoutingPolicy, candidate: RoutingPolicy? = nil,
            baseline: RoutingPolicy? = nil, catalog: [Target] = []
        ) {
            self.route = route
            self.pointer = pointer
            self.stable = stable
            self.candidate = candidate
            self.baseline = baseline
            let used = Set(stable.servingTargets.map(\.modelKey))
            explore = catalog.filter { target in
                !used.contains(target.modelKey) && route.allowed.contains { globMatches($0, target.modelKey) }
            }.sorted { $0.id < $1.id }
        }
    }
}

extension RoutingTable.Entry: Equatable {
    package static func == (a: RoutingTable.Entry, b: RoutingTable.Entry) -> Bool {
        (a.route, a.pointer, a.stable, a.candidate, a.baseline) == (
            b.route, b.pointer, b.stable, b.candidate, b.baseline
        )
            && a.explore == b.explore
    }
}

/// What assignment needs to know of a request.
package struct RoutingRequest: Sendable {
    package var route: RouteName
    package var id: UUIDv7
    package var session: String?
    package var user: String?
    package var key: String?
    /// By name in lower case; only those that the route's eligibility asks for.
    package var headers: [String: String] = [:]
    package var tags: [String: String] = [:]
    /// Asked for by a tester; such requests are recorded as `forced` and left out of evidence.
    package var forced: Arm?

    /// The arms a tester can ask for.
    package enum Arm: String, Sendable { case stable, candidate, holdout }

    package init(
        route: RouteName, id: UUIDv7, session: String? = nil, user: String? = nil, key: String? = nil,
        forced: Arm? = nil
    ) {
        self.route = route
        self.id = id
        self.session = session
        self.user = user
        self.key = key
        self.forced = forced
    }
}

/// The outcome of assignment.
package struct RouteSelection: Sendable, Equatable {
    package var arm: SelectedArm
    /// The policy's version.
    package var policy: Int
    package var timeouts: RoutingPolicy.Timeouts
    package var target: Target
    /// Tried in order, once each, before the first byte.
    package var fallbacks: [Target]
    package var rollout: UUIDv7?
    package var step: Int?
    package var candidateWeight: Double?
    /// Hash of what assignment in a rollout sticks to; `nil` where each request is assigned by itself.
    package var unit: UInt32?
    /// The probability with which this target was chosen, given everything.
    package var propensity: Double
    /// Where a copy of the request goes, beside the request itself.
    package var mirror: Mirror?

    package struct Mirror: Sendable, Equatable {
        /// The candidate's version.
        package var policy: Int
        package var timeouts: RoutingPolicy.Timeouts
        package var target: Target
        /// The probability with which a copy goes to this target, given everything.
        package var propensity: Double
    }

    package enum SelectedArm: String, Sendable { case stable, candidate, holdout, explore, forced }
}

extension RoutingTable {
    /// Assigns a request to an arm and a target. Pure: the gateway and the simulation call the same function.
    ///
    /// Order: forced, holdout, explore, candidate, stable; each draw has a salt of its own. All but the choice among
    /// weighted targets is a salted hash of the sticky unit, so it is monotone: who is in at 5 % is still in at 25 %.
    ///
    /// - Parameters:
    ///   - random: uniform on 0..<1, for the choice among weighted targets.
    ///   - now: milliseconds since the epoch.
    /// - Returns: `nil` if the route is not in the table.
    package func select(_ request: RoutingRequest, random: Double, now: Int64) -> RouteSelection? {
        guard let entry = entries[request.route] else { return nil }
        return entry.select(request, random: random, now: now)
    }
}

extension RoutingTable.Entry {
    /// The candidate, while there is one and this gateway's lease on it lasts.
    private func liveCandidate(now: Int64) -> RoutingPolicy? {
        guard let candidate, pointer.candidate != nil else { return nil }
        if let until = pointer.leaseUntil, now > until { return nil }
        return candidate
    }

    /// Whether copies of a rollout's requests still go to a policy.
    package func mirrors(_ rollout: UUIDv7?, to policy: Int, now: Int64) -> Bool {
        pointer.mode == .mirror && pointer.rollout == rollout && liveCandidate(now: now)?.version == policy
    }

    /// As `RoutingTable.select`, where the route has been found.
    package func select(_ request: RoutingRequest, random: Double, now: Int64) -> RouteSelection {
        let candidate = liveCandidate(now: now)
        if let forced = request.forced {
            let policy: RoutingPolicy =
                switch forced {
                case .stable: stable
                case .candidate: candidate ?? stable
                case .holdout: baseline ?? stable
                }
            return make(.forced, policy, random: random, probability: 1)
        }
        var rest = 1.0
        if let baseline, route.holdout > 0 {
            if unit(request, salt: Self.holdoutSalt) < route.holdout {
                return make(.holdout, baseline, random: random, probability: route.holdout)
            }
            rest -= route.holdout
        }
        if !explore.isEmpty, route.exploration.share > 0 {
            let share = route.exploration.share
            if unit(request, salt: Self.exploreSalt) < share {
                let index = Int(unit(request, salt: Self.exploreTargetSalt) * Double(explore.count))
                return RouteSelection(
                    arm: .explore, policy: stable.version, timeouts: stable.timeouts,
                    target: explore[min(index, explore.count - 1)],
                    fallbacks: stable.targets.first.map { [$0] } ?? [],
                    propensity: rest * share / Double(explore.count))
            }
            rest *= 1 - share
        }
        guard let candidate, pointer.eligibility?.admits(request) ?? true else {
            return make(.stable, stable, random: random, probability: rest)
        }
        return compare(stable, candidate, request, random: random, rest: rest)
    }

    /// Assigns to the rollout's arms what nothing else took.
    private func compare(
        _ stable: RoutingPolicy, _ candidate: RoutingPolicy, _ request: RoutingRequest, random: Double, rest: Double
    ) -> RouteSelection {
        let weight = pointer.weight
        let (hash, isSticky) = hash(request, salt: pointer.salt)
        let chosen = Hash64.unit(hash) < weight
        var selection: RouteSelection
        if pointer.mode == .mirror {
            selection = make(.stable, stable, random: random, probability: rest)
            if chosen {
                let (target, share) = candidate.choose(random: random)
                selection.mirror = .init(
                    policy: candidate.version, timeouts: candidate.timeouts, target: target,
                    propensity: rest * weight * share)
            }
        } else if chosen {
            selection = make(.candidate, candidate, random: random, probability: rest * weight)
        } else {
            selection = make(.stable, stable, random: random, probability: rest * (1 - weight))
        }
        selection.rollout = pointer.rollout
        selection.step = pointer.step
        selection.candidateWeight = weight
        // Assignment goes by the upper bits, so the lower ones tell nothing of the arm.
        if isSticky { selection.unit = UInt32(truncatingIfNeeded: hash) }
        return selection
    }

    private func make(
        _ arm: RouteSelection.SelectedArm, _ policy: RoutingPolicy, random: Double, probability: Double
    ) -> RouteSelection {
        let (target, share) = policy.choose(random: random)
        return RouteSelection(
            arm: arm, policy: policy.version, timeouts: policy.timeouts, target: target,
            fallbacks: policy.fallbacks.compactMap(policy.target).filter { $0.id != target.id },
            propensity: probability * share)
    }

    private func unit(_ request: RoutingRequest, salt: UInt64) -> Double {
        Hash64.unit(hash(request, salt: salt).hash)
    }

    private func hash(_ request: RoutingRequest, salt: UInt64) -> (hash: UInt64, isSticky: Bool) {
        let named: String? =
            switch route.sticky {
            case .session: request.session ?? request.user
            case .user: request.user ?? request.session
            case .key: request.key
            case .request: nil
            }
        let routeSalt = Hash64.hash(route.name.description, salt: salt)
        return (Hash64.hash(named ?? request.id.description, salt: routeSalt), named != nil)
    }

    // Arbitrary, frozen: a change would move every unit.
    private static let holdoutSalt: UInt64 = 0x686f_6c64_6f75_7401
    private static let exploreSalt: UInt64 = 0x6578_706c_6f72_6502
    private static let exploreTargetSalt: UInt64 = 0x6578_7461_7267_6503
}

extension RoutingPolicy {
    /// The targets that a request may be sent to first.
    package var servingTargets: [Target] {
        guard case .weighted(let weights) = selector else { return Array(targets.prefix(1)) }
        return targets.filter { weights[$0.id] ?? 0 > 0 }
    }

    /// The target for one request and the probability of that choice. `targets` is never empty in a valid policy.
    func choose(random: Double) -> (Target, Double) {
        guard case .weighted(let weights) = selector else { return (targets[0], 1) }
        let total = targets.reduce(0) { $0 + (weights[$1.id] ?? 0) }
        guard total > 0 else { return (targets[0], 1) }
        var left = random * total
        var last = (targets[0], 1.0)
        for target in targets {
            guard let weight = weights[target.id], weight > 0 else { continue }
            last = (target, weight / total)
            left -= weight
            if left < 0 { break }
        }
        return last
    }
}

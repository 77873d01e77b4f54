package import ControlLoop
package import Core
package import Policy
import Rollouts

/// Tries a route's guardrails before anything depends on them: its own policy change, plan, control loop and stream on
/// the virtual clock, with traffic like the route's own, once with a healthy candidate and once with each fault.
///
/// The candidate behaves as stable does, so that the fault is all that differs; fallbacks are left out, because a fault
/// is what users still meet after them. The same seed gives the same scores.
package struct Rehearsal: Sendable {
    package var route: Route
    package var stable: RoutingPolicy
    /// `nil` rehearses a copy of stable.
    package var candidate: RoutingPolicy?
    package var traffic: RehearsalTraffic
    /// As of the live loop.
    package var control: ControlSettings
    package var seed: UInt64
    package var limits = Limits()

    package init(
        route: Route, stable: RoutingPolicy, candidate: RoutingPolicy?, traffic: RehearsalTraffic,
        control: ControlSettings, seed: UInt64
    ) {
        self.route = route
        self.stable = stable
        self.candidate = candidate
        self.traffic = traffic
        self.control = control
        self.seed = seed
    }

    package struct Limits: Sendable, Equatable {
        /// Requests of one rollout, of both arms.
        package var requests = 60_000
        /// The candidate's.
        package var candidateRequests = 3_000
        package init() {}
    }

    /// Requests a second on the virtual clock: many for each tick, so that ticks cost little, and few for each of the
    /// candidate's, so that a look comes soon after each. Times are told at the route's own rate.
    static let ratePerS = 100.0
    /// Traffic before the rollout, milliseconds, from which its thresholds are frozen.
    static let historyMs: Int64 = 30_000
    /// A step takes at most so long on the virtual clock, milliseconds: the rest is proven by its requests.
    static let longestStepMs: Int64 = 60_000

    /// The candidate's share of the first step, at least.
    static let smallestShare = 0.01

    package func run(id: UUIDv7, at: Int64) async throws -> RehearsalReport {
        var scores: [RehearsalScore] = []
        for (index, fault) in RehearsalFault.allCases.enumerated() {
            var score = try await score(fault, seed: seed &+ UInt64(index))
            // One healthy candidate in 1 / `guardrails.alpha` may be rolled back by chance, hardly two in a row.
            if score.outcome == .falseAlarm {
                let first = score.detail
                score = try await self.score(fault, seed: seed &+ UInt64(RehearsalFault.allCases.count))
                score.detail = "\(first) Tried again: \(score.detail)"
            }
            scores.append(score)
        }
        return RehearsalReport(
            id: id, route: route.name, at: at, engine: control.engine, seed: seed, stable: stable.version,
            candidate: candidate?.version, terms: RehearsalTerms(route), traffic: traffic.source, scores: scores)
    }

    private func score(_ fault: RehearsalFault, seed: UInt64) async throws -> RehearsalScore {
        let share = steps.first ?? 1
        let answers = min(Double(limits.candidateRequests), Double(limits.requests) * share) * traffic.feedbackShare
        if let reason = fault.unseen(on: route, traffic, answers: answers) {
            var score = RehearsalScore(fault: fault, outcome: .unseen)
            score.detail = reason
            return score
        }
        let play = try play(fault, seed: seed)
        var world = try await VirtualWorld(play.settings)
        _ = try await world.run(milliseconds: Self.historyMs)
        try await world.startRollout(of: play.candidate, goal: .neutral, reason: "rehearsal")
        var count = Count()
        while count.requests < limits.requests, count.candidate.requests < limits.candidateRequests || fault == .none {
            count.add(try await world.run(milliseconds: play.settings.tickMs))
            if await world.store.state(of: route.name)?.rollout == nil { break }
        }
        let phase = await world.store.rollouts(PageQuery(limit: 1)).first?.phase
        return score(fault, phase ?? .ended(.noData), count)
    }

    private func score(_ fault: RehearsalFault, _ phase: RolloutPhase, _ count: Count) -> RehearsalScore {
        let isRolledBack = phase.name == "rolled_back"
        let outcome: RehearsalScore.Outcome =
            fault == .none ? (isRolledBack ? .falseAlarm : .unharmed) : (isRolledBack ? .caught : .missed)
        var score = RehearsalScore(fault: fault, outcome: outcome)
        (score.candidateRequests, score.requests) = (count.candidate.requests, count.requests)
        score.extraFailures = count.extraFailures
        if let rate = traffic.ratePerS, rate > 0 { score.milliseconds = Int64(Double(count.requests) / rate * 1000) }
        if case .ended(let reason) = phase { score.endedBy = reason.detail }
        let spent = "\(count.candidate.requests) requests of the candidate, \(count.requests) in all"
        score.detail =
            switch outcome {
            case .caught, .falseAlarm: "Rolled back after \(spent): \(score.endedBy ?? phase.name)."
            case .missed: "Not rolled back within \(spent)."
            case .unharmed, .unseen: "Not rolled back within \(spent); it is \(phase.name)."
            }
        return score
    }

    private struct Count {
        var requests = 0
        var candidate = ServedStatistics()
        var control = ServedStatistics()

        mutating func add(_ report: VirtualReport) {
            requests += report.total.requests
            for (key, served) in report.served {
                switch key.arm {
                case "candidate": candidate.merge(served)
                case "stable": control.merge(served)
                default: break
                }
            }
        }

        var extraFailures: Int {
            let rate = control.requests == 0 ? 0 : Double(control.failures) / Double(control.requests)
            return max(0, candidate.failures - Int((rate * Double(candidate.requests)).rounded()))
        }
    }
}

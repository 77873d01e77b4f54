import Core
import Foundation
package import Statistics

/// Many runs of scenarios, in which every rule sees the very same trials.
package struct RolloutStudy: Sendable {
    /// A rule that joins. One more rule is one more entry.
    package struct Entry: Sendable {
        package var name: String
        /// What it has a metric for.
        package var watches: Set<Harm>
        package var make: @Sendable (RolloutScenario) -> any RolloutRule

        package init(
            _ name: String, watches: Set<Harm>, _ make: @escaping @Sendable (RolloutScenario) -> any RolloutRule
        ) {
            (self.name, self.watches, self.make) = (name, watches, make)
        }
    }

    package var entries: [Entry]
    package var runs: Int
    package var seed: UInt64
    /// Requests to the control before the start, for rules that freeze thresholds.
    package var historyRequests = 10_000

    package init(_ entries: [Entry], runs: Int, seed: UInt64 = 1) {
        (self.entries, self.runs, self.seed) = (entries, runs, seed)
    }

    /// One result for each entry, in their order; the same whatever the number of cores.
    package func run(_ scenario: RolloutScenario) async -> [StudyResult] {
        var seeds = SplitMix64(seed: seed)
        let all = (0..<runs).map { _ in seeds.next() }
        let lanes = max(1, ProcessInfo.processInfo.activeProcessorCount)
        let tallies = await withTaskGroup(of: [StudyTally].self) { group in
            for lane in 0..<lanes {
                let mine = stride(from: lane, to: all.count, by: lanes).map { all[$0] }
                group.addTask {
                    var tallies = entries.map { _ in StudyTally() }
                    for seed in mine { one(scenario, seed: seed, into: &tallies) }
                    return tallies
                }
            }
            return await group.reduce(into: entries.map { _ in StudyTally() }) { total, part in
                for index in total.indices { total[index].merge(part[index]) }
            }
        }
        return zip(entries, tallies).map {
            StudyResult(
                rule: $0.name, scenario: scenario.name, isHarmful: scenario.isHarmful,
                isBlind: scenario.isHarmful && $0.watches.isDisjoint(with: scenario.traffic.effect.harms), tally: $1)
        }
    }

    /// One run: rules that have decided see nothing more.
    private func one(_ scenario: RolloutScenario, seed: UInt64, into tallies: inout [StudyTally]) {
        var traffic = RolloutTraffic(scenario.traffic, seed: seed)
        let history = traffic.history(historyRequests)
        var rules = entries.map { $0.make(scenario) }
        for index in rules.indices { rules[index].prepare(history: history) }
        var undecided = Array(rules.indices)
        var held = rules.map { _ in false }
        var canaryRequests = 0
        while !undecided.isEmpty, let trial = traffic.next() {
            canaryRequests += trial.isCandidate ? 1 : 0
            var someDecided = false
            for index in undecided {
                let verdict = rules[index].observe(trial)
                guard verdict != .carryOn else { continue }
                held[index] = true
                guard verdict.isFinal else { continue }
                tallies[index].end(verdict, canaryRequests: canaryRequests, extraFailures: traffic.extraFailures)
                held[index] = false
                someDecided = true
                rules[index] = Decided()
            }
            if someDecided { undecided.removeAll { rules[$0] is Decided } }
        }
        for index in undecided {
            let verdict = rules[index].finish()
            tallies[index].end(
                verdict == .carryOn && held[index] ? .hold : verdict, canaryRequests: canaryRequests,
                extraFailures: traffic.extraFailures)
        }
    }

    private struct Decided: RolloutRule {
        mutating func observe(_ trial: RolloutTraffic.Trial) -> RuleVerdict { .carryOn }
    }
}

/// How one rule's runs ended.
package struct StudyTally: Sendable, Equatable {
    package private(set) var runs: Int64 = 0
    package private(set) var rolledBack: Int64 = 0
    package private(set) var promoted: Int64 = 0
    /// Undecided at the end, after a hold.
    package private(set) var held: Int64 = 0
    /// Canary requests of each run that was rolled back, until then; ascending.
    package private(set) var canaryRequests: [Int] = []
    /// Candidate failures the control would not have had, of each run until its end; ascending.
    package private(set) var extraFailures: [Int] = []

    package init() {}

    package mutating func end(_ verdict: RuleVerdict, canaryRequests: Int, extraFailures: Int) {
        runs += 1
        self.extraFailures.append(extraFailures)
        switch verdict {
        case .rollBack:
            rolledBack += 1
            self.canaryRequests.append(canaryRequests)
        case .promote: promoted += 1
        case .hold: held += 1
        case .carryOn: break
        }
    }

    package mutating func merge(_ other: StudyTally) {
        runs += other.runs
        rolledBack += other.rolledBack
        promoted += other.promoted
        held += other.held
        canaryRequests = (canaryRequests + other.canaryRequests).sorted()
        extraFailures = (extraFailures + other.extraFailures).sorted()
    }
}

/// One rule in one scenario.
package struct StudyResult: Sendable {
    package let rule: String
    package let scenario: String
    package let isHarmful: Bool
    /// Whether the rule has no metric for what is worse: then what it rolls back is a false alarm that happens to help.
    package let isBlind: Bool
    package let tally: StudyTally

    /// Runs that ended wrong: rolled back where nothing was worse; not rolled back, or by mere accident, where something
    /// was.
    package var wrong: Proportion {
        guard isHarmful else { return rolledBack }
        return Proportion(events: isBlind ? tally.runs : tally.runs - tally.rolledBack, trials: tally.runs)
    }

    package var rolledBack: Proportion { Proportion(events: tally.rolledBack, trials: tally.runs) }

    /// Harmful changes that went on to all traffic.
    package var falsePromotion: Proportion {
        Proportion(events: isHarmful ? tally.promoted : 0, trials: tally.runs)
    }

    /// Of the canary requests until rollback, of those runs that were; `nil` if none was.
    package func canaryRequests(quantile q: Double) -> Double? {
        quantile(q, ofSorted: tally.canaryRequests.map(Double.init))
    }

    /// Of the candidate's extra failures until the end, of all runs; `nil` without a run.
    package func extraFailures(quantile q: Double) -> Double? {
        quantile(q, ofSorted: tally.extraFailures.map(Double.init))
    }
}

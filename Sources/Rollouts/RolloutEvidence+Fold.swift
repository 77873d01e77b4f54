import Policy
import Statistics
package import StreamProcessing
package import Telemetry

extension RolloutEvidence {
    /// Folds panes as the store gives them. A pane that was folded before changes nothing, so panes may come again.
    package mutating func fold(_ panes: [EvidencePane]) {
        let fresh = panes.filter { $0.number > cursor[$0.partition] ?? -1 }
        for (index, pane) in fresh.enumerated() {
            for trial in pane.trials {
                fold(trial, arm: pane.key.arm, step: pane.key.step, weight: pane.candidateWeight)
            }
            // A number may cover several arms and steps: it is done when all of them are.
            let next = index + 1 < fresh.count ? fresh[index + 1] : nil
            guard next?.number != pane.number || next?.partition != pane.partition else { continue }
            cursor[pane.partition] = max(pane.number, cursor[pane.partition] ?? -1)
            endBlock()
        }
    }

    /// Ends what the tests of frequent events compare with each other: trials of about the same time.
    package mutating func endBlock() {
        for test in guardrails.indices { guardrails[test].endBlock() }
    }

    /// Of all that both arms get, the candidate's part; a copy comes on top of the request that it repeats.
    private func share(_ weight: Double) -> Double { isMirrored == true ? weight / (1 + weight) : weight }
}

extension RolloutEvidence {
    /// Requests the fast lane looks at.
    package static let fastLaneRequests: Int64 = 20
    /// A new policy begins with a cold prompt cache at the provider: costs count from its so many-th request on, or after
    /// so long, milliseconds. Errors count from the first.
    package static let coldRequests: Int64 = 200
    package static let coldMs: Int64 = 5 * 60_000

    /// Folds one trial of an arm, while the candidate had `weight` of the requests; 0...1.
    ///
    /// But for which request of a unit came first and when costs became warm, the result does not depend on the order.
    package mutating func fold(_ trial: Trial, arm: Arm, step: Int, weight: Double) {
        let isCandidate = arm == .candidate || arm == .shadow
        let share = share(weight)
        guard isCandidate || arm == .stable, share > 0, share < 1 else { return }
        let place = Place(index: index(of: step, weight: weight), isCandidate: isCandidate, share: share)
        switch trial.observation {
        case .request(let answer): fold(answer, of: trial, place)
        case .quality(let value):
            note(.badAnswers, value < thresholds.badBelow, trial, place)
            note(.badAnswers, score: value, trial, place)
            quality.add(value, isCandidate: isCandidate, share: share, unit: trial.unit)
            steps[place.index].update(isCandidate) { $0.quality.add(value) }
        }
    }

    /// Where a trial counts.
    private struct Place {
        let index: Int
        let isCandidate: Bool
        let share: Double
    }

    private mutating func index(of step: Int, weight: Double) -> Int {
        if let last = steps.last, last.step == step { return steps.count - 1 }
        if let index = steps.firstIndex(where: { $0.step == step }) { return index }
        let index = steps.firstIndex { $0.step > step } ?? steps.count
        steps.insert(StepEvidence(step: step, weight: weight), at: index)
        return index
    }

    private mutating func fold(_ answer: Trial.Answer, of trial: Trial, _ place: Place) {
        let (isCandidate, share) = (place.isCandidate, place.share)
        let failed = answer.marks.contains(.failed)
        let contended = failed && sharesQuota == true && answer.marks.contains(.overQuota)
        let isNew = trial.unit.map { seen.isNew($0, step: steps[place.index].step) } ?? true
        steps[place.index].update(isCandidate) { arm in
            arm.requests += 1
            if failed { arm.failures += 1 }
            if contended { arm.contended += 1 }
            if isNew { arm.units += 1 }
        }
        if isCandidate { noteFirst(failed: failed, at: trial.at) }
        if !contended {
            note(.errors, failed, trial, place)
            failures.add(failed ? 1 : 0, isCandidate: isCandidate, share: share, unit: trial.unit)
        }
        note(.timeouts, answer.marks.contains(.timedOut), trial, place)
        if answer.marks.contains(.refusalChecked) {
            note(.refusals, answer.marks.contains(.refused), trial, place)
        }
        if answer.marks.contains(.schemaChecked) {
            note(.schemaFailures, answer.marks.contains(.malformed), trial, place)
        }
        if !contended {
            note(.refusals, score: Guardrail.refusals.score(answer.marks), trial, place)
            note(.schemaFailures, score: Guardrail.schemaFailures.score(answer.marks), trial, place)
        }
        if let latency = answer.latencyMs {
            if let slow = thresholds.slowMs { note(.slow, Double(latency) > slow, trial, place) }
            if let median = thresholds.medianMs { note(.slowMedian, Double(latency) > median, trial, place) }
        }
        if let ttft = answer.ttftMs, let slow = thresholds.ttftMs {
            note(.slowFirstToken, Double(ttft) > slow, trial, place)
        }
        if let cost = answer.cost { fold(cost: Double(cost), of: trial, place) }
        if let tokens = answer.tokens {
            self.tokens.add(Double(tokens), isCandidate: isCandidate, share: share, unit: trial.unit)
        }
    }

    private mutating func fold(cost: Double, of trial: Trial, _ place: Place) {
        let isCandidate = place.isCandidate
        steps[place.index].update(isCandidate) { $0.cost.add(cost) }
        if isCandidate { spend.add(cost, at: trial.at) }
        guard let warmAt, trial.at >= warmAt else { return }
        if let dear = thresholds.dearNanoUSD { note(.dear, cost > dear, trial, place) }
        self.cost.add(cost, isCandidate: isCandidate, share: place.share, unit: trial.unit)
    }

    private mutating func noteFirst(failed: Bool, at: Int64) {
        candidateRequests += 1
        if candidateRequests <= Self.fastLaneRequests {
            firstRequests.requests += 1
            if failed { firstRequests.failures += 1 }
        }
        if candidateRequests == Self.coldRequests {
            warmAt = min(warmAt ?? at, at)
        } else if warmAt == nil {
            warmAt = at + Self.coldMs
        }
    }

    /// Counts a trial of a guardrail: whole for display, and for its test once for each unit.
    private mutating func note(_ guardrail: Guardrail, _ isEvent: Bool, _ trial: Trial, _ place: Place) {
        steps[place.index].update(place.isCandidate) { $0.counts.add(guardrail, events: isEvent ? 1 : 0) }
        guard let test = indexOfTest(guardrail), guardrails[test].pairs == nil else { return }
        if let unit = trial.unit {
            guard isEvent || guardrails[test].countsEveryTrial, units.isFirst(unit, guardrail.ordinal) else { return }
        }
        guardrails[test].addTrial(isEvent: isEvent, isCandidate: place.isCandidate, share: place.share)
    }

    /// Counts one side of a pair. What is peculiar to its unit is in both sides, so each pair of a unit counts.
    private mutating func note(_ guardrail: Guardrail, score: Double?, _ trial: Trial, _ place: Place) {
        guard isMirrored == true, let pair = trial.pair, let score, let test = indexOfTest(guardrail) else { return }
        guardrails[test].addScore(score, pair: pair, isCandidate: place.isCandidate)
    }
}

extension StepEvidence {
    fileprivate mutating func update(_ isCandidate: Bool, _ change: (inout ArmEvidence) -> Void) {
        if isCandidate { change(&candidate) } else { change(&control) }
    }
}

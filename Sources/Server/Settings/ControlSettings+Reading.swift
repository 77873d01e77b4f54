import ControlLoop
import Core
import Decisions
import Rollouts

extension DecisionSettings {
    init(_ reader: SettingsReader) throws {
        self.init()
        lookbackMs = try reader.seconds(
            "lookback_s", defaultMs: lookbackMs, 10...2_592_000, "Span of traffic that decisions look back on.")
        minAnswers = try reader.int(
            "min_answers", default: minAnswers, 2...1_000_000,
            "Answers with quality feedback a model needs to be chosen.")
        nonInferiorProbability = try reader.double(
            "non_inferior_probability", default: nonInferiorProbability, 0.5...0.9999,
            "P(quality within tolerance) needed to move.")
        betterProbability = try reader.double(
            "better_probability", default: betterProbability, 0.5...0.9999,
            "P(better in the objective sought) needed to move.")
        minCostGain = try reader.double(
            "min_cost_gain", default: minCostGain, 0...1, "Cost gain worth a move, lower bound, as a share.")
        minQualityGain = try reader.double(
            "min_quality_gain", default: minQualityGain, 0...1, "Quality gain worth a move, lower bound, in points.")
        latencySlack = try reader.double(
            "latency_slack", default: latencySlack, 0...10, "Share by which latency may rise within a tier.")
        cooldownMs = try reader.seconds(
            "cooldown_s", defaultMs: cooldownMs, 0...2_592_000, "Rest after a rollout, at least twice its length.")
        let waits = try reader.doubles(
            "rollback_cooldowns_s", default: rollbackCooldownsMs.map { Double($0) / 1000 },
            "Waits after the first, second, … rollback to the same model; then a person decides.")
        rollbackCooldownsMs = waits.map { Int64($0 * 1000) }
        oscillationMs = try reader.seconds(
            "oscillation_s", defaultMs: oscillationMs, 0...2_592_000, "A to B to A within this locks the route.")
    }
}

extension RolloutPlan {
    init(_ reader: SettingsReader) throws {
        self.init()
        steps = try reader.doubles("steps", default: steps, "Candidate shares, rising; 1 is promotion.")
        guard !steps.isEmpty, steps.count <= 20, steps.last == 1, zip(steps, steps.dropFirst()).allSatisfy(<),
            steps.allSatisfy({ $0 > 0 })
        else {
            throw TrimtabError(
                "config.out_of_range",
                "\(reader.path).steps = \(steps) (\(reader.origin("steps"))) is not a rising list that ends with 1.",
                remedy: "For example [0.01, 0.05, 0.1, 0.25, 0.5, 1].")
        }
        minStepMs = try reader.seconds("min_step_s", defaultMs: minStepMs, 0...604_800, "Shortest time of a step.")
        minStepRequests = Int64(
            try reader.int(
                "min_step_requests", default: Int(minStepRequests), 1...10_000_000, "Candidate requests a step needs."))
        deadlineMs = try reader.seconds(
            "deadline_s", defaultMs: deadlineMs, 1...31_536_000,
            "A rollout that has not ended by then ends as inconclusive or no data.")
        objectiveCycleMs = try reader.seconds(
            "objective_cycle_s", defaultMs: objectiveCycleMs, 0...604_800, "Time at 25 % or more before promotion.")
        watchMs = try reader.seconds(
            "watch_s", defaultMs: watchMs, 0...604_800,
            "Watch at 100 % before the candidate becomes stable; 0 for none.")
        watchControl = try reader.double(
            "watch_control", default: watchControl, 0.001...0.5, "Share that stays on the old policy during the watch.")
        shadowShare = try reader.double(
            "shadow_share", default: shadowShare, 0.001...1, "Share of requests that a shadow gets copies of.")
        freeze = try reader.list(
            "freeze", default: [], "When nothing starts and no step is taken, in UTC: 'Fri 16:00 - Mon 08:00'."
        ).map { text in
            guard let window = FreezeWindow(text) else {
                throw TrimtabError(
                    "config.invalid", "\(reader.path).freeze has '\(text)' (\(reader.origin("freeze"))).",
                    remedy: "Write it like 'Fri 16:00 - Mon 08:00', in UTC.")
            }
            return window
        }
        margins.failureRate = try reader.double(
            "max_failure_rate_rise", default: margins.failureRate, 0...1,
            "Points of failure rate the candidate may be worse by.")
    }
}

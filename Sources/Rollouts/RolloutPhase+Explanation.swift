package import Policy

extension RolloutPhase {
    /// One sentence on how far it has come.
    package var explanation: String {
        switch self {
        case .progressing(let step): "Step \(step + 1) is gathering evidence."
        case .paused(let step, let by): "Paused in step \(step + 1) by \(by); guardrails go on."
        case .promoted: "The candidate became stable."
        case .ended(.guardrail(let guardrail)): "Rolled back: \(guardrail.statement)."
        case .ended(.fastLane(let failures, let first)):
            "Rolled back: \(failures) of the first \(first) requests failed."
        case .ended(.overspent(let usd, let budget)):
            "Rolled back: the candidate alone spent \(usd) USD in a minute, of \(budget) that the route may."
        case .ended(.aborted(let by)): "Aborted by \(by)."
        case .ended(.passed): "It showed what it promised, and changed nothing; a canary may follow."
        case .ended(.superseded(let by)): "Made way for rollout \(by)."
        case .ended(.inconclusive): "Ended at its deadline without proof of the promised gain."
        case .ended(.noData): "Ended at its deadline without enough requests to judge."
        }
    }
}

extension Guardrail {
    /// What its evidence says when it passes the limit.
    package var statement: String {
        switch self {
        case .errors: "the candidate fails more often"
        case .badAnswers: "the candidate gives more bad answers"
        case .slow: "the candidate is slow more often"
        case .cost: "the candidate costs more"
        case .timeouts: "the candidate times out more often"
        case .slowFirstToken: "the candidate's first token is late more often"
        case .slowMedian: "the candidate's usual answer takes longer"
        case .refusals: "the candidate refuses or gives nothing more often"
        case .schemaFailures: "the candidate fails to give the JSON that was asked for more often"
        case .dear: "the candidate is dear more often"
        }
    }
}

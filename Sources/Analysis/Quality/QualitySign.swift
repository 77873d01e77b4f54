import Statistics
import StreamProcessing

/// What answers themselves show of their quality: the share of them that is bad in some way.
enum QualitySign: String, Codable, Sendable, CaseIterable, CodingKeyRepresentable {
    case schema, tools, refusals, truncation, empty, repetition, regenerated

    /// How many were bad, and of how many; `nil` where none was looked at.
    func count(in users: WindowAggregate) -> (bad: Int64, of: Int64)? {
        let answers = users.requests - users.failures
        let (bad, of) =
            switch self {
            case .schema: (users.count(of: .badSchema), users.count(of: .schemaChecked))
            case .tools: (users.count(of: .badTools), users.count(of: .toolsChecked))
            case .refusals: (users.count(of: .refused), answers)
            case .truncation: (users.count(of: .truncated), answers)
            case .empty: (users.count(of: .empty), answers)
            case .repetition: (users.count(of: .repetitive), answers)
            case .regenerated: (users.count(of: .regenerated), users.requests)
            }
        return of > 0 ? (min(bad, of), of) : nil
    }

    var code: String { "quality.\(rawValue)" }

    /// `… of the answers of openai/gpt-4o …`
    fileprivate var words: String {
        switch self {
        case .schema: "do not fit the schema that was asked for"
        case .tools: "call a tool in a way that cannot work"
        case .refusals: "are refusals"
        case .truncation: "stop at their limit of length"
        case .empty: "are empty"
        case .repetition: "repeat themselves"
        case .regenerated: "are to a prompt that was sent again at once"
        }
    }

    fileprivate var action: String {
        switch self {
        case .schema, .tools: "Look at the answers that failed the check, and at what changed: model, prompt or schema."
        case .refusals: "Look at the prompts that are refused; another model or wording may answer them."
        case .truncation: "Raise the limit of output tokens, or ask for shorter answers."
        case .empty, .repetition: "Send traffic to another model until the cause is known."
        case .regenerated: "People ask again where an answer was of no use: compare answers before and after."
        }
    }

    func statement(_ watch: ShareRise, of modelKey: String, now: Int64) -> Observation? {
        guard let found = watch.found, let rate = found.seen.rate else { return nil }
        let range = found.seen.wilson()
        return Observation(
            .quality, code, .model(modelKey),
            "\(rate.percent) of the answers of \(modelKey) \(words), \(found.past.percent) did before.",
            severity: .warning, confidence: found.confidence,
            magnitude: Interval(
                estimate: rate - found.past, lower: range.lowerBound - found.past,
                upper: range.upperBound - found.past),
            window: Window(start: min(found.since, now), end: now),
            evidence: [
                "bad": Double(found.seen.events), "answers": Double(found.seen.trials), "share": rate,
                "share_before": found.past, "share_tolerated": found.border,
            ], objective: .quality, action: action)
    }
}

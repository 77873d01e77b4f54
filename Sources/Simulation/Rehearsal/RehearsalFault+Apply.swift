import ControlLoop
import Core
import Policy

extension RehearsalFault {
    /// The failure rate that errors rise from, at least; 0...1.
    static let healthyFailureRate = 0.01
    /// Candidate answers with feedback below which a drop of quality cannot be told within a rehearsal.
    static let neededAnswers = 100.0

    /// Makes a candidate that is as good as stable ill.
    ///
    /// - Parameters:
    ///   - ratePerS: what the candidate gets of the traffic at first, requests a second.
    ///   - inTime: what the route's objective allows.
    func strike(_ model: inout SimulatedModel, ratePerS: Double, inTime: Objective.Latency) {
        switch self {
        case .none: break
        case .rateLimitStorm: model.rateLimitPerS = ratePerS / 5
        case .errorRise: model.errorRate = min(0.9, 5 * model.errorRate)
        case .slowFirstToken:
            // The first token takes ten times as long, and twice what is in time; the rest takes as long as before.
            let usual = model.latency.medianMs * model.latency.ttftShare
            let first = max(10 * usual, 2 * max(inTime.p95Ms ?? 0, inTime.ttftP95Ms ?? 0))
            model.latency.medianMs += first - usual
            model.latency.ttftShare = first / model.latency.medianMs
        case .qualityDrop: model.quality.mean -= 0.3
        case .priceRise:
            model.price = model.price.map { TokenPrice(input: 2 * $0.input, output: 2 * $0.output) }
        }
    }

    /// Why the route has nothing to see this fault by, and what to add; `nil` if it has.
    ///
    /// - Parameter answers: the candidate's answers with feedback that a rehearsal has time for.
    func unseen(on route: Route, _ traffic: RehearsalTraffic, answers: Double) -> String? {
        func off(_ guardrails: Guardrail...) -> String? {
            guard guardrails.allSatisfy({ route.guardrails[$0] == 0 }) else { return nil }
            return "Its guardrail is switched off: give `guardrails.\(guardrails[0].rawValue)` a weight."
        }
        switch self {
        case .none, .rateLimitStorm, .errorRise: return nil
        case .slowFirstToken: return off(.slowFirstToken, .slow)
        case .priceRise:
            if let off = off(.cost, .dear) { return off }
            return traffic.cost == nil ? "No price of its models is known: set them with `trimtab prices set`." : nil
        case .qualityDrop:
            if let off = off(.badAnswers) { return off }
            guard traffic.quality != nil else {
                return "No answer has had quality feedback: send some to `/v1/feedback`."
            }
            return answers >= Self.neededAnswers
                ? nil : "Too few answers get quality feedback: send more to `/v1/feedback`."
        }
    }
}

/// What a rollout may not make worse than the concurrent control. Each is a one-sided test that holds at every look.
package enum Guardrail: String, Codable, Sendable, CaseIterable, CodingKeyRepresentable {
    case errors
    case badAnswers = "bad_answers"
    case slow
    case cost
    case timeouts
    case slowFirstToken = "slow_first_token"
    case slowMedian = "slow_median"
    case refusals
    case schemaFailures = "schema_failures"
    case dear

    /// Its share of the rollout's alpha unless the route says otherwise. Errors get most: they are what hurts users at
    /// once. A mean of skewed costs needs more than counts do.
    package var defaultWeight: Double {
        switch self {
        case .errors: 0.4
        case .cost: 0.3
        case .badAnswers: 0.1
        case .slowMedian: 0.05
        case .slow: 0.04
        case .slowFirstToken, .timeouts: 0.03
        case .refusals, .schemaFailures: 0.02
        case .dear: 0.01
        }
    }

    /// What it counts or measures, in words for people.
    package var subject: String {
        switch self {
        case .errors: "failed requests"
        case .badAnswers: "answers with quality feedback under 'bad_below'"
        case .slow: "answers slower than the objective and the control's 95th percentile before"
        case .cost: "mean cost of a request"
        case .timeouts: "requests that timed out"
        case .slowFirstToken: "first tokens later than the objective and the control's 95th percentile before"
        case .slowMedian: "answers slower than the control's median before"
        case .refusals: "answers that refuse or are empty"
        case .schemaFailures: "answers that are not the JSON that was asked for"
        case .dear: "requests dearer than the control's 95th percentile before"
        }
    }
}

extension Route {
    /// The tests of a route's rollouts, and how the probability of a false alarm is spent on them.
    package struct Guardrails: Codable, Sendable, Equatable {
        /// Probability that a harmless change is rolled back, over all guardrails and all looks of one rollout.
        package var alpha = 0.01
        /// Share of `alpha` for each guardrail; normalised over those that a rollout can test, and 0 switches one off.
        package var weights = Dictionary(uniqueKeysWithValues: Guardrail.allCases.map { ($0, $0.defaultWeight) })

        package init() {}

        /// Only these, for tests and comparisons.
        package init(only weights: [Guardrail: Double], alpha: Double = 0.01) {
            self.alpha = alpha
            self.weights = Dictionary(uniqueKeysWithValues: Guardrail.allCases.map { ($0, weights[$0] ?? 0) })
        }

        package subscript(_ guardrail: Guardrail) -> Double {
            get { weights[guardrail] ?? 0 }
            set { weights[guardrail] = newValue }
        }

        // In JSON the weights stand beside alpha.

        private struct Key: CodingKey {
            static let alpha = Key(stringValue: "alpha")
            let stringValue: String
            var intValue: Int? { nil }
            init(stringValue: String) { self.stringValue = stringValue }
            init?(intValue: Int) { nil }
            init(_ guardrail: Guardrail) { stringValue = guardrail.rawValue }
        }

        /// A weight that is not given is the default.
        package init(from decoder: any Decoder) throws {
            let c = try decoder.container(keyedBy: Key.self)
            alpha = try c.decodeIfPresent(Double.self, forKey: .alpha) ?? alpha
            for guardrail in Guardrail.allCases {
                guard let weight = try c.decodeIfPresent(Double.self, forKey: Key(guardrail)) else { continue }
                self[guardrail] = weight
            }
        }

        package func encode(to encoder: any Encoder) throws {
            var c = encoder.container(keyedBy: Key.self)
            try c.encode(alpha, forKey: .alpha)
            for guardrail in Guardrail.allCases { try c.encode(self[guardrail], forKey: Key(guardrail)) }
        }
    }
}

package import Policy
package import Statistics

/// What the two arms showed in one step.
package struct StepEvidence: Codable, Sendable, Equatable {
    package var step: Int
    /// Candidate share, 0...1.
    package var weight: Double
    package var control = ArmEvidence()
    package var candidate = ArmEvidence()

    package init(step: Int, weight: Double) {
        self.step = step
        self.weight = weight
    }

    /// Whether units fell to the arms by the weight in force.
    package var sampleRatio: SampleRatioTest {
        SampleRatioTest(counts: [control.units, candidate.units], weights: [1 - weight, weight])
    }
}

/// What one arm showed in one step: everything, for display. The tests keep their own counts of what is independent.
package struct ArmEvidence: Codable, Sendable, Equatable {
    package var requests: Int64 = 0
    package var failures: Int64 = 0
    /// Failures by a rate limit or quota that both arms share: the neighbour's load, and no fault of this arm.
    package var contended: Int64 = 0
    /// Sessions, keys or users at their first sight in the step, and requests that were assigned by themselves.
    package var units: Int64 = 0
    /// Nano-dollars, over requests with a known cost.
    package var cost = Moments()
    /// Quality feedback, 0...1.
    package var quality = Moments()
    package var counts = GuardrailCounts()

    package init() {}

    package mutating func merge(_ other: ArmEvidence) {
        requests += other.requests
        failures += other.failures
        contended += other.contended
        units += other.units
        cost.merge(other.cost)
        quality.merge(other.quality)
        counts.merge(other.counts)
    }

    /// Evidence that was stored before there were so many guardrails reads as what both have.
    package init(from decoder: any Decoder) throws {
        let c = try decoder.container(keyedBy: CodingKeys.self)
        requests = try c.decode(Int64.self, forKey: .requests)
        failures = try c.decode(Int64.self, forKey: .failures)
        contended = try c.decodeIfPresent(Int64.self, forKey: .contended) ?? 0
        units = try c.decodeIfPresent(Int64.self, forKey: .units) ?? 0
        cost = try c.decode(Moments.self, forKey: .cost)
        quality = try c.decode(Moments.self, forKey: .quality)
        counts = try c.decodeIfPresent(GuardrailCounts.self, forKey: .counts) ?? counts
    }
}

/// Events and trials of every guardrail that counts.
package struct GuardrailCounts: Codable, Sendable, Equatable {
    private var events = [Int64](repeating: 0, count: Guardrail.allCases.count)
    private var trials = [Int64](repeating: 0, count: Guardrail.allCases.count)

    package init() {}

    package subscript(_ guardrail: Guardrail) -> (events: Int64, trials: Int64) {
        (events[guardrail.ordinal], trials[guardrail.ordinal])
    }

    package mutating func add(_ guardrail: Guardrail, events added: Int64, trials: Int64 = 1) {
        events[guardrail.ordinal] += added
        self.trials[guardrail.ordinal] += trials
    }

    mutating func merge(_ other: GuardrailCounts) {
        for guardrail in Guardrail.allCases {
            add(guardrail, events: other[guardrail].events, trials: other[guardrail].trials)
        }
    }

    package init(from decoder: any Decoder) throws {
        for (guardrail, pair) in try decoder.singleValueContainer().decode([Guardrail: [Int64]].self)
        where pair.count == 2 { add(guardrail, events: pair[0], trials: pair[1]) }
    }

    package func encode(to encoder: any Encoder) throws {
        let seen = Guardrail.allCases.filter { self[$0].trials > 0 }
        var c = encoder.singleValueContainer()
        try c.encode(Dictionary(uniqueKeysWithValues: seen.map { ($0, [self[$0].events, self[$0].trials]) }))
    }
}

extension Guardrail {
    /// Its place in `allCases`.
    var ordinal: Int {
        switch self {
        case .errors: 0
        case .badAnswers: 1
        case .slow: 2
        case .cost: 3
        case .timeouts: 4
        case .slowFirstToken: 5
        case .slowMedian: 6
        case .refusals: 7
        case .schemaFailures: 8
        case .dear: 9
        }
    }
}

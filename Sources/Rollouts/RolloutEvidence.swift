package import Policy
package import Statistics

/// The folded evidence of one rollout: counts for display and tests for deciding, from the same trials.
package struct RolloutEvidence: Codable, Sendable, Equatable {
    package let thresholds: FrozenThresholds
    /// Whether the candidate gets copies of the control's requests, beside them; `nil` is no.
    package private(set) var isMirrored: Bool?
    /// Whether both arms draw on one rate limit, so that a refusal by it says nothing about either; `nil` is no.
    package var sharesQuota: Bool?
    /// One entry a step that had traffic, in order.
    package internal(set) var steps: [StepEvidence] = []
    /// Those that count events; `.cost` is tested by `cost`.
    package internal(set) var guardrails: [GuardrailEvidence] = []
    /// The share of alpha of the test of mean cost; `nil` where it is off.
    package internal(set) var costAlpha: Double?
    /// Candidate against control: nano-dollars a request, output tokens, share of failures, points of quality.
    package internal(set) var cost: MeanEvidence
    package internal(set) var tokens = MeanEvidence(history: nil, isCapped: true)
    package internal(set) var failures: MeanDifference
    package internal(set) var quality: MeanEvidence
    /// Last folded pane of each partition: partition to pane number. A pane is folded once.
    package internal(set) var cursor: [Int: Int64] = [:]
    /// The first candidate requests, for the fast lane: how many, and how many of them failed.
    package internal(set) var firstRequests = FirstRequests()
    /// What the candidate spent in its dearest minute so far.
    package internal(set) var spend = Spend()
    var units = RecentTable()
    var seen = SeenUnits()
    /// Candidate requests so far.
    var candidateRequests: Int64 = 0
    /// For each guardrail its place in `guardrails`; -1 for none.
    private var places: [Int] = []
    /// When costs begin to count; `nil` before the first candidate request.
    var warmAt: Int64?

    enum CodingKeys: String, CodingKey {
        case thresholds, steps, guardrails, cost, tokens, failures, quality, cursor, spend, units, seen
        case isMirrored = "mirrored"
        case sharesQuota = "shares_quota"
        case costAlpha = "cost_alpha"
        case firstRequests = "first_requests"
        case candidateRequests = "candidate_requests"
        case warmAt = "warm_at"
    }

    package struct FirstRequests: Codable, Sendable, Equatable {
        package var requests: Int64 = 0
        package var failures: Int64 = 0
        package init() {}
    }

    /// By the minute in which requests ended.
    package struct Spend: Codable, Sendable, Equatable {
        private var minute: Int64 = 0
        private var nanoUSD = 0.0
        package private(set) var dearestMinuteNanoUSD = 0.0

        package init() {}

        mutating func add(_ cost: Double, at: Int64) {
            if at / 60_000 > minute { (minute, nanoUSD) = (at / 60_000, 0) }
            guard at / 60_000 == minute else { return }
            nanoUSD += cost
            dearestMinuteNanoUSD = max(dearestMinuteNanoUSD, nanoUSD)
        }
    }

    /// Empty evidence with a test for every guardrail that the route gives a weight and that can be tested here.
    ///
    /// - Parameter isMirrored: whether the candidate gets copies of the control's requests.
    package init(thresholds: FrozenThresholds, guardrails settings: Route.Guardrails, isMirrored: Bool = false) {
        let active = Guardrail.allCases.filter { settings[$0] > 0 && thresholds.allow($0) }
        let total = active.reduce(0) { $0 + settings[$1] }
        func alpha(_ guardrail: Guardrail) -> Double { settings.alpha * settings[guardrail] / total }
        self.init(
            thresholds: thresholds, isMirrored: isMirrored ? true : nil,
            costAlpha: active.contains(.cost) ? alpha(.cost) : nil,
            guardrails: active.filter { $0 != .cost }.map {
                GuardrailEvidence(
                    guardrail: $0, alpha: alpha($0), controlRate: thresholds.controlRate(for: $0),
                    isMirrored: isMirrored)
            })
    }

    init(
        thresholds: FrozenThresholds, isMirrored: Bool? = nil, sharesQuota: Bool? = nil, costAlpha: Double?,
        guardrails: [GuardrailEvidence]
    ) {
        self.thresholds = thresholds
        self.isMirrored = isMirrored
        self.sharesQuota = sharesQuota
        self.costAlpha = costAlpha
        self.guardrails = guardrails
        cost = MeanEvidence(history: thresholds.cost, isCapped: true)
        failures = MeanDifference(centre: thresholds.failureRate ?? 0, kind: .share)
        quality = MeanEvidence(history: thresholds.quality)
        places = Self.places(of: guardrails)
    }

    private static func places(of guardrails: [GuardrailEvidence]) -> [Int] {
        Guardrail.allCases.map { one in guardrails.firstIndex { $0.guardrail == one } ?? -1 }
    }

    func indexOfTest(_ guardrail: Guardrail) -> Int? {
        let place = places[guardrail.ordinal]
        return place >= 0 ? place : nil
    }

    /// Of what was stored in an earlier form the counts are read; its tests begin anew.
    package init(from decoder: any Decoder) throws {
        let c = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            thresholds: try c.decode(FrozenThresholds.self, forKey: .thresholds), guardrails: .init(only: [:]))
        isMirrored = try c.decodeIfPresent(Bool.self, forKey: .isMirrored)
        sharesQuota = try c.decodeIfPresent(Bool.self, forKey: .sharesQuota)
        steps = try c.decode([StepEvidence].self, forKey: .steps)
        guardrails = try c.decode([GuardrailEvidence].self, forKey: .guardrails)
        costAlpha = try c.decodeIfPresent(Double.self, forKey: .costAlpha)
        cost = try c.decodeIfPresent(MeanEvidence.self, forKey: .cost) ?? cost
        tokens = try c.decodeIfPresent(MeanEvidence.self, forKey: .tokens) ?? tokens
        failures = try c.decodeIfPresent(MeanDifference.self, forKey: .failures) ?? failures
        quality = try c.decodeIfPresent(MeanEvidence.self, forKey: .quality) ?? quality
        cursor = try c.decode([Int: Int64].self, forKey: .cursor)
        firstRequests = try c.decode(FirstRequests.self, forKey: .firstRequests)
        spend = try c.decodeIfPresent(Spend.self, forKey: .spend) ?? spend
        units = try c.decodeIfPresent(RecentTable.self, forKey: .units) ?? units
        seen = try c.decodeIfPresent(SeenUnits.self, forKey: .seen) ?? seen
        candidateRequests = try c.decodeIfPresent(Int64.self, forKey: .candidateRequests) ?? 0
        warmAt = try c.decodeIfPresent(Int64.self, forKey: .warmAt)
        places = Self.places(of: guardrails)
    }

    /// All steps together, for display and for the fast lane's look at the control.
    package var totals: (control: ArmEvidence, candidate: ArmEvidence) {
        steps.reduce(into: (ArmEvidence(), ArmEvidence())) { total, step in
            total.0.merge(step.control)
            total.1.merge(step.candidate)
        }
    }

    /// How the answers to requests and to their copies compare by a guardrail; `nil` where it does not look at pairs.
    package func pairs(_ guardrail: Guardrail) -> PairedDifferences? {
        indexOfTest(guardrail).flatMap { guardrails[$0].pairs?.differences }
    }

    /// What an ended rollout does not need: the units that it saw, and the sides that wait for their other side.
    mutating func forgetUnits() {
        (units, seen) = (RecentTable(), SeenUnits())
        for test in guardrails.indices { guardrails[test].forgetSides() }
    }
}

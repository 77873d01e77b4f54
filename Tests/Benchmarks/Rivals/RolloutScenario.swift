/// Traffic with a name, and whether its candidate ought to be stopped.
package struct RolloutScenario: Sendable {
    package var name: String
    package var traffic: RolloutTraffic.Settings

    package init(_ name: String, _ traffic: RolloutTraffic.Settings) { (self.name, self.traffic) = (name, traffic) }

    package var isHarmful: Bool { traffic.effect.isHarmful }

    /// The usual traffic: 100,000 requests in about an hour, a tenth of the units in the candidate's arm.
    package static let usual = RolloutTraffic.Settings(steps: [.init(share: 0.1, requests: 100_000)])

    package static let harmless: [RolloutScenario] = {
        var low = usual, sparse = usual, high = usual, drift = usual, ramp = usual
        (low.ratePerS, low.steps) = (10, [.init(share: 0.1, requests: 36_000)])
        (sparse.ratePerS, sparse.steps) = (2, [.init(share: 0.1, requests: 28_800)])
        (high.ratePerS, high.steps) = (100, [.init(share: 0.1, requests: 360_000)])
        drift.drift = 0.3
        ramp.drift = 0.3
        ramp.steps = [0.01, 0.05, 0.1, 0.25, 0.5].map { .init(share: $0, requests: 20_000) }
        let keys = [20, 200, 2_000, 20_000].map { count in
            var traffic = usual
            traffic.sticky = .init(keys: count)
            return RolloutScenario("A/A, \(count) keys", traffic)
        }
        return [
            .init("A/A, canary 0.2/s, 4 h", sparse), .init("A/A, canary 1/s, 1 h", low),
            .init("A/A, canary 2.8/s, 1 h", usual), .init("A/A, canary 10/s, 1 h", high),
            .init("A/A, drift +30 %", drift), .init("A/A, ramp 1-50 %, drift", ramp),
        ] + keys
    }()

    package static let harmful: [RolloutScenario] = {
        func scenario(_ name: String, _ effect: CandidateEffect) -> RolloutScenario {
            var traffic = usual
            traffic.effect = effect
            return .init(name, traffic)
        }
        var sparse = harmless[0]
        sparse.name = "errors 1→5 %, canary 0.2/s"
        sparse.traffic.effect = .init(errors: 5)
        return [
            scenario("errors 1→2 %", .init(errors: 2)), scenario("errors 1→5 %", .init(errors: 5)), sparse,
            scenario("total failure", .init(failsAlways: true)),
            scenario("latency +20 %", .init(latency: 1.2)), scenario("latency +50 %", .init(latency: 1.5)),
            scenario("2 % of calls 5× slower", .init(tailShare: 0.02)),
            scenario("cost +20 %", .init(cost: 1.2)), scenario("cost +50 %", .init(cost: 1.5)),
            scenario("quality −10 %", .init(qualityLoss: 0.08)),
        ]
    }()
}

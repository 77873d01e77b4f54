import Foundation
package import Policy

extension RolloutStudy.Entry {
    /// What a route has without a setting: ten guardrails, looked at after every request.
    package static let ours = RolloutStudy.Entry("ours, ten guardrails", watches: Set(Harm.allCases)) {
        EvidenceRule(isSticky: $0.traffic.sticky != nil)
    }

    /// A single guardrail with all of alpha.
    package static func ours(only guardrail: Guardrail) -> RolloutStudy.Entry {
        .init("ours, \(guardrail.rawValue) alone", watches: Set(Harm.allCases)) {
            EvidenceRule(.init(only: [guardrail: 1]), isSticky: $0.traffic.sticky != nil)
        }
    }

    /// The rules of other products, each as documented, and where its documented limit does not fit the traffic also
    /// with limits that an operator who knows the traffic would set.
    package static let rivals: [RolloutStudy.Entry] = [
        .init("fixed limit 99 %, no failure", watches: [.errors]) { _ in
            FixedThresholdRule([.init(.errorRate, atMost: 0.01)])
        },
        .init("fixed limits, tuned, no failure", watches: [.errors, .latency, .cost]) { FixedThresholdRule(tuned($0)) },
        .init("5 failed checks, 99 %", watches: [.errors]) { _ in
            FailedCheckCountRule([.init(.errorRate, atMost: 0.01)])
        },
        .init("5 failed checks, tuned", watches: [.errors, .latency, .cost]) { FailedCheckCountRule(tuned($0)) },
        .init("ranks of minutes", watches: [.errors, .latency, .cost]) { _ in
            RankComparisonRule([
                .init(.errorRate, replacesNoData: true), .init(.latency(0.95)), .init(.meanCost),
            ])
        },
        .init("worse and z > 2.576", watches: [.errors, .latency]) { _ in
            RepeatedTestRule([.errors, .latency], limit: 2.576)
        },
        .init("z-test at 5 %", watches: [.errors, .latency, .cost]) { _ in
            RepeatedTestRule([.errors, .latency, .cost], limit: 1.96)
        },
    ]

    /// Three times the usual errors; one and a half times the usual p95 and mean cost.
    private static func tuned(_ scenario: RolloutScenario) -> [MinuteCheck] {
        let traffic = scenario.traffic
        let slow = traffic.latencyMedianMs * exp(1.645 * traffic.latencySigma)
        let cost = traffic.costMedianNanoUSD * exp(traffic.costSigma * traffic.costSigma / 2)
        return [
            .init(.errorRate, atMost: 3 * traffic.errorRate), .init(.latency(0.95), atMost: 1.5 * slow),
            .init(.meanCost, atMost: 1.5 * cost),
        ]
    }
}

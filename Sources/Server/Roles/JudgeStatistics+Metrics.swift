import Core
import Gateway
import Observability

extension JudgeStatistics {
    /// For the registry, at each scrape.
    func samples() -> [MetricSample] {
        var samples = [
            MetricSample(.judgeSpend, spent.dollars), MetricSample(.judgeSuspended, isSuspended ? 1 : 0),
            MetricSample(.judgeLength, Double(preferredLonger), [.kind: "longer"]),
            MetricSample(.judgeLength, Double(preferredShorter), [.kind: "shorter"]),
        ]
        samples += JudgeOutcome.allCases.map {
            MetricSample(
                .judgeVerdicts, Double(verdicts[$0] ?? 0), [.version: version, .outcome: $0.rawValue])
        }
        samples += JudgeSkip.allCases.map {
            MetricSample(.judgeSkipped, Double(skipped[$0] ?? 0), [.reason: $0.rawValue])
        }
        for kind in JudgeCheck.allCases {
            for passed in [true, false] {
                samples.append(
                    MetricSample(
                        .judgeChecks, Double(checks[.init(kind, passed: passed)] ?? 0),
                        [.version: version, .kind: kind.rawValue, .result: passed ? "passed" : "failed"]))
            }
        }
        return samples
    }
}

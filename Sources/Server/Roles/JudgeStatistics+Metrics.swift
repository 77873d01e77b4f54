import Core
import Gateway
import Observability
import Statistics

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
        for (route, seen) in sides {
            samples.append(MetricSample(.judgePreferred, Double(seen.user), [.route: route, .kind: "user"]))
            samples.append(MetricSample(.judgePreferred, Double(seen.copy), [.route: route, .kind: "copy"]))
            guard let better = copyIsBetter(on: route) else { continue }
            let shown = [
                "estimate": better.share, "lower": better.interval.lowerBound, "upper": better.interval.upperBound,
            ]
            samples += shown.map { MetricSample(.judgeCopyBetter, $1, [.route: route, .kind: $0]) }
        }
        return samples
    }
}

import Analysis
import ControlLoop
import Core
import Observability

extension AnalysisNews {
    func record(in metrics: MetricRegistry) {
        switch self {
        case .failed(let route): metrics.add(.analysisFailures, 1, [.route: route.description])
        case .analyzed(let route, let changes, let open, let lagMs):
            metrics.set(.analysisLag, Double(lagMs) / 1_000, [.route: route.description])
            for severity in Finding.Severity.allCases {
                let count = open.count { $0.severity == severity }
                metrics.set(
                    .findingsOpen, Double(count), [.route: route.description, .severity: severity.rawValue])
            }
            for case .opened(let finding) in changes {
                metrics.add(
                    .findingsOpened, 1,
                    [.route: route.description, .analyzer: finding.analyzer.rawValue, .code: finding.code])
            }
        }
    }
}

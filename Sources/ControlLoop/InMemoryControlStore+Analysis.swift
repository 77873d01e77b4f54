package import Analysis
package import Core
import StreamProcessing

extension InMemoryControlStore: AnalysisStore {
    package func measuredThrough() -> Int64? { watermark }

    package func measuredSince(_ route: RouteName) -> Int64? {
        partials[route]?.keys.lazy.filter { $0.key.window == WindowDefinition.requests }.map(\.window.start).min()
    }

    package func results(of definition: String, route: RouteName, endingIn range: Range<Int64>) -> [MergedWindow] {
        merged(route) { $0.key.window == definition && range.contains($0.window.end) }
    }

    package func probes(of models: [String], in range: Range<Int64>) -> [StoredProbe] {
        probes.filter { models.contains($0.modelKey) && range.contains($0.at) }
            .sorted { ($0.at, $0.modelKey, $0.result.probe) < ($1.at, $1.modelKey, $1.result.probe) }
    }

    package func keep(_ probe: StoredProbe) {
        func isSame(_ other: StoredProbe) -> Bool {
            (other.modelKey, other.at, other.result.probe) == (probe.modelKey, probe.at, probe.result.probe)
        }
        if !probes.contains(where: isSame) { probes.append(probe) }
    }

    package func analysis(of route: RouteName) -> StoredAnalysis? { records[route]?.analysis }

    package func findings(_ query: FindingQuery) -> [Finding] {
        func fits(_ finding: Finding) -> Bool {
            let before = query.before.map { finding.id < $0 } ?? true
            return before && (query.route.map { $0.description == finding.route } ?? true)
                && (query.analyzer.map { $0 == finding.analyzer } ?? true)
                && (query.code.map { $0 == finding.code } ?? true)
                && (query.status.map { $0 == finding.status } ?? true)
                && (query.severity.map { $0 == finding.severity } ?? true)
        }
        let found = records.values.flatMap(\.findings.values).filter(fits).sorted { $0.id > $1.id }
        return Array(found.prefix(min(max(query.limit, 1), 500)))
    }

    package func finding(_ id: UUIDv7) -> Finding? {
        records.values.lazy.compactMap { $0.findings[id] }.first
    }
}

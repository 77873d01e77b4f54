package import Statistics

/// A study's results as one Markdown table: a row for each scenario, a column for each rule.
///
/// A cell begins with the share of runs that ended wrong and its 95 % interval (Clopper and Pearson). Where something was
/// worse there follow the median and 95th percentile of canary requests until rollback, the median of extra failed
/// requests, and the false promotions if any. A rule without a metric for what is worse misses it; what it rolled back by
/// accident is told apart. A rule that rolls back most of the same traffic without a harm has not found one, either: read
/// its column downwards.
package struct StudyTable: Sendable {
    package let results: [StudyResult]

    package init(_ results: [StudyResult]) { self.results = results }

    package var markdown: String {
        let rules = unique(results.map(\.rule))
        var lines = [
            "| scenario (wrong: false rollback, or miss) | " + rules.joined(separator: " | ") + " |",
            "|---|" + rules.map { _ in "---|" }.joined(),
        ]
        for scenario in unique(results.map(\.scenario)) {
            let row = results.filter { $0.scenario == scenario }
            let cells = rules.map { rule in row.first { $0.rule == rule }.map(Self.cell) ?? "–" }
            lines.append("| \(scenario) | " + cells.joined(separator: " | ") + " |")
        }
        return lines.joined(separator: "\n")
    }

    /// Names in the order of their first appearance.
    private func unique(_ names: [String]) -> [String] {
        var seen: Set<String> = []
        return names.filter { seen.insert($0).inserted }
    }

    private static func cell(_ result: StudyResult) -> String {
        var parts = [share(result.wrong)]
        guard result.isHarmful else { return parts[0] }
        guard !result.isBlind else { return "no metric; by accident \(share(result.rolledBack))" }
        if let median = result.canaryRequests(quantile: 0.5), let late = result.canaryRequests(quantile: 0.95) {
            parts.append("\(whole(median)) / \(whole(late))")
        }
        if let extra = result.extraFailures(quantile: 0.5) { parts.append("+\(whole(extra))") }
        if result.falsePromotion.events > 0 { parts.append("promoted \(percent(result.falsePromotion.rate ?? 0)) %") }
        return parts.joined(separator: "; ")
    }

    /// A proportion in percent with its exact 95 % interval: `13 % (11–15)`.
    package static func share(_ proportion: Proportion) -> String {
        let bounds = proportion.clopperPearson()
        return
            "\(percent(proportion.rate ?? 0)) % (\(percent(bounds.lowerBound))–\(percent(bounds.upperBound)))"
    }

    /// One decimal below 10 %, none above.
    private static func percent(_ share: Double) -> String {
        let value = share * 100
        if value >= 9.95 || value < 0.05 { return whole(value) }
        let tenths = Int((value * 10).rounded())
        return tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths / 10).\(tenths % 10)"
    }

    private static func whole(_ value: Double) -> String { "\(Int(value.rounded()))" }
}

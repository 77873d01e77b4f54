import Core
import StreamProcessing

/// One entry of `stream.windows`.
struct WindowSettings {
    let definition: WindowDefinition

    private enum Kind: String, CaseIterable { case tumbling, sliding, session }

    /// - Throws: `TrimtabError` `config.…` naming the key.
    init(_ reader: SettingsReader, name: String, latenessMs: Int64) throws {
        let key = try reader.list(
            "key", default: ["route"],
            "What results are grouped by: \(WindowDimension.allCases.map(\.rawValue).joined(separator: ", ")).")
        let kind: Kind = try reader.choice("kind", default: .tumbling, "Which windows there are.")
        let size = try reader.seconds(
            "size_s", defaultMs: 60_000, 0.001...2_592_000, "Length; of tumbling and sliding.")
        let hop = try reader.seconds(
            "hop_s", defaultMs: 10_000, 0.001...2_592_000, "From one start to the next; of sliding.")
        let offset = try reader.seconds(
            "offset_s", defaultMs: 0, -2_592_000...2_592_000, "Where windows start, counted from the epoch.")
        let gap = try reader.seconds(
            "gap_s", defaultMs: 1_800_000, 0.001...86_400, "Silence that ends a session; of session.")
        let lateness = try reader.seconds(
            "lateness_s", defaultMs: latenessMs, 0...604_800, "How long a window takes late records after it fired.")
        let count = try reader.optionalDouble(
            "early_count", 1...1e9, "Shows a window early after so many new records.")
        let clock = try reader.optionalDouble(
            "early_s", 0.05...86_400, "Shows a window early so long after the first new record; instead of early_count."
        )
        let discarding = try reader.bool(
            "discarding", default: false, "Whether each result holds only what is new since the one before.")
        let counters = try reader.int(
            "top_counters", default: 100, 1...1_000,
            "Counters kept by top(…): counts are at most requests / counters too high.")
        let aggregates = try reader.list(
            "aggregates", default: ["cost_nano_usd", "total_ms", "errors"], Self.aggregatesSummary)
        let assigner: WindowAssigner =
            switch kind {
            case .tumbling: .tumbling(size: size, offset: offset)
            case .sliding: .sliding(size: size, hop: hop, offset: offset)
            case .session: .session(gap: gap)
            }
        var definition = WindowDefinition(
            name: name, key: try key.map { try Self.dimension($0, reader) }, assigner: assigner, latenessMs: lateness,
            discarding: discarding, aggregates: try Self.selection(aggregates, counters, reader))
        if let count, clock != nil {
            throw reader.malformed(
                "early_s", "\(count)", reader.origin("early_s"), "allowed beside early_count",
                remedy: "Give one of them.")
        }
        definition.early = count.map { .count(Int64($0)) } ?? clock.map { .clock(Int64(($0 * 1_000).rounded())) }
        self.definition = definition
        try reader.finish()
        guard !reader.isTemplate else { return }
        if let problem = definition.problem {
            throw TrimtabError(
                "config.malformed", "\(reader.path) (\(reader.origin())): \(problem)", remedy: "Correct it.")
        }
        if WindowDefinition.reserved.contains(name) {
            throw reader.wrong(
                "", "is the name of a window that Trimtab declares itself", remedy: "Choose another name.")
        }
    }

    private static let aggregatesSummary = """
        What is added up beside requests and failures: \(Measured.allCases.map(\.rawValue).joined(separator: ", ")) \
        (each with count, sum, mean, variance, smallest, largest), quantiles(…) of one of them, errors by class, \
        signals (truncated, abandoned, retried and the like), feedback, distinct(…) and top(…) of \(CountedItem.allCases.map(\.rawValue).joined(separator: ", ")).
        """

    private static func dimension(_ text: String, _ reader: SettingsReader) throws -> WindowDimension {
        guard let dimension = WindowDimension(rawValue: text) else {
            throw reader.malformed(
                "key", text, reader.origin("key"), "a dimension",
                remedy: "Use \(WindowDimension.allCases.map(\.rawValue).joined(separator: ", ")).")
        }
        return dimension
    }

    private static func selection(
        _ texts: [String], _ counters: Int, _ reader: SettingsReader
    ) throws -> AggregateSelection {
        var selection = AggregateSelection(measures: [], errors: false)
        for text in texts {
            let parts = text.split(whereSeparator: { "()".contains($0) }).map(String.init)
            let item = parts.count == 2 ? CountedItem(rawValue: parts[1]) : nil
            let measure = parts.last.flatMap(Measured.init(rawValue:))
            switch (parts.first, measure, item) {
            case ("errors", _, _) where parts.count == 1: selection.errors = true
            case ("signals", _, _) where parts.count == 1: selection.signals = true
            case ("feedback", _, _) where parts.count == 1: selection.feedback = true
            case ("distinct", _, let item?): selection.distinct.append(item)
            case ("top", _, let item?): selection.top.append(.init(item: item, counters: counters))
            case ("quantiles", let measure?, _):
                selection.quantiles.insert(measure)
                if !selection.measures.contains(measure) { selection.measures.append(measure) }
            case (_, let measure?, _) where parts.count == 1:
                if !selection.measures.contains(measure) { selection.measures.append(measure) }
            default:
                throw reader.malformed(
                    "aggregates", text, reader.origin("aggregates"), "something that can be added up",
                    remedy:
                        "Use a measure, quantiles(total_ms), errors, signals, feedback, distinct(user) or top(model).")
            }
        }
        return selection
    }
}

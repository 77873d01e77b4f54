import Analysis
import Core

extension AnalyzerSettings {
    /// - Throws: `TrimtabError` `config.…` naming the key.
    init(_ reader: SettingsReader) throws {
        self.init()
        for (name, choice) in try [String: AnalyzerChoices](reader) {
            if let kind = AnalyzerKind(rawValue: name) { choices[kind] = choice }
        }
        closeAfterMs = try reader.seconds(
            "close_after_s", defaultMs: closeAfterMs, 60...604_800,
            "A finding that nothing repeats this long is closed.")
        feedbackDelayMs = try reader.seconds(
            "feedback_delay_s", defaultMs: feedbackDelayMs, 0...604_800,
            "How old requests are when their feedback is counted; what comes later, quality findings miss.")
    }
}

extension [String: AnalyzerChoices] {
    /// What is chosen of each analyzer. The reference lists every threshold there is.
    init(_ reader: SettingsReader) throws {
        self = [:]
        for kind in AnalyzerKind.allCases {
            let section = try reader.section(kind.rawValue)
            var choice = AnalyzerChoices()
            choice.enabled = try section.optionalBool("enabled", shownDefault: true, "Whether it runs.")
            for threshold in kind.thresholds {
                choice.thresholds[threshold.name] = try section.optionalDouble(
                    threshold.name, shownDefault: "\(threshold.standard)", threshold.range, threshold.summary)
            }
            try section.finish()
            if choice != AnalyzerChoices() { self[kind.rawValue] = choice }
        }
    }
}

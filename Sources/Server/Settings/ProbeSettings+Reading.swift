import Analysis
import Core

extension ProbeSettings {
    /// `analyzers.probes`.
    ///
    /// - Throws: `TrimtabError` `config.…` naming the key.
    init(_ reader: SettingsReader) throws {
        self.init()
        enabled = try reader.bool(
            "enabled", default: enabled,
            "Whether fixed prompts are sent to the models that routes serve from, to notice one that was changed.")
        everyMs = try reader.seconds(
            "every_s", defaultMs: everyMs, 1...86_400, "Between two prompts to one model.")
        let dollars = try reader.double(
            "budget_day_usd", default: budgetPerDay.dollars, 0...1e6,
            "US dollars that all prompts together may cost in a day (UTC).")
        budgetPerDay = NanoUSD(Int64((dollars * 1e9).rounded()))
        if let path = try reader.optionalString(
            "prompts", "JSON Lines file of {name, prompt}, asked one after the other; absent: eight short ones.")
        {
            prompts = try Self.prompts(path, reader)
        }
        try reader.finish()
    }

    private static func prompts(_ path: String, _ reader: SettingsReader) throws -> [ProbePrompt] {
        let shape =
            "{\"name\": …, \"prompt\": …}, with a name of at most \(ProbePrompt.mostNameBytes) bytes that no line before "
            + "has, and a prompt of at most \(ProbePrompt.mostBytes)"
        var names: Set<String> = []
        return try reader.jsonLines("prompts", path, of: "prompt", most: ProbeWatch.mostProbes, shape: shape) {
            (one: ProbePrompt) in
            (1...ProbePrompt.mostNameBytes).contains(one.name.utf8.count)
                && (1...ProbePrompt.mostBytes).contains(one.prompt.utf8.count) && names.insert(one.name).inserted
        }
    }
}

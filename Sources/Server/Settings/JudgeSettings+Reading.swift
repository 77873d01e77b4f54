import Core
import Gateway
import Policy

extension JudgeSettings {
    /// `gateway.judge`; `nil` without a target.
    static func read(_ reader: SettingsReader) throws -> JudgeSettings? {
        let target = try reader.optionalString(
            "target", "provider/model that compares the answers of a shadow's pairs; absent: nothing is judged.")
        var settings = JudgeSettings(target: Target(provider: "", model: ""))
        settings.share = try reader.double(
            "share", default: settings.share, 0...1, "Share of the pairs that are judged.")
        let dollars = try reader.double(
            "budget_day_usd", default: settings.budgetPerDay.dollars, 0...1e6,
            "US dollars that the judge may cost this gateway in a day (UTC).")
        settings.budgetPerDay = NanoUSD(Int64((dollars * 1e9).rounded()))
        settings.minAccuracy = try reader.double(
            "min_accuracy", default: settings.minAccuracy, 0...1,
            "A judge whose accuracy in checks may be lower is not listened to.")
        settings.controlShare = try reader.double(
            "control_share", default: settings.controlShare, 0...1,
            "Share of sampled pairs in which an answer that says nothing takes the place of one side.")
        settings.goldShare = try reader.double(
            "gold_share", default: settings.goldShare, 0...1, "Share of sampled pairs replaced by a question of gold.")
        if let path = try reader.optionalString(
            "gold", "JSON Lines file of {prompt, better, worse}: questions whose better answer is known.")
        {
            settings.gold = try goldQuestions(path, reader)
        }
        settings.maxInFlight = try reader.int(
            "max_in_flight", default: settings.maxInFlight, 1...64, "Questions to the judge at a time.")
        settings.timeoutMs = Int(
            try reader.seconds("timeout_s", defaultMs: Int64(settings.timeoutMs), 0.1...600, "For one question."))
        try reader.finish()
        guard settings.controlShare + settings.goldShare <= 1 else {
            throw reader.wrong(
                "control_share", "and gold_share are more than 1 together", remedy: "Leave pairs to be judged.")
        }
        guard let target else { return nil }
        guard let parsed = Target(parsing: target) else {
            throw reader.malformed(
                "target", target, reader.origin("target"), "a model", remedy: "Write provider/model.")
        }
        settings.target = parsed
        return settings
    }

    private static func goldQuestions(_ path: String, _ reader: SettingsReader) throws -> [GoldQuestion] {
        let shape =
            "{\"prompt\": …, \"better\": …, \"worse\": …}, all texts, \(GoldQuestion.mostBytes) bytes at most"
        return try reader.jsonLines("gold", path, of: "question", most: GoldQuestion.most, shape: shape) { question in
            question.better != question.worse
                && question.prompt.utf8.count + question.better.utf8.count + question.worse.utf8.count
                    <= GoldQuestion.mostBytes
        }
    }
}

import Foundation
import StreamProcessing

extension CostMoment {
    /// A changed price is told for a day, one that changes every day as long as it does.
    func prices(_ name: String, _ model: ModelCost) -> [Observation] {
        let schedule = model.price.schedule(now: now)
        var seen: [Observation] = []
        if let schedule { seen.append(byHour(name, schedule)) }
        guard let change = model.price.changes.last, now - change.at <= SpendHistory.dayMs,
            schedule.map({ PriceTrack.belongs(change, to: $0) }) != true
        else { return seen }
        let former = model.price.changes.dropLast().last
        let isBack = former.map { change.at - $0.at < SpendHistory.dayMs && abs(log($0.ratio * change.ratio)) < 0.02 }
        seen.append(changed(name, change, isBack: isBack == true))
        return seen
    }

    private func changed(_ name: String, _ change: PriceTrack.Change, isBack: Bool) -> Observation {
        let share = change.ratio - 1, direction = share > 0 ? "rose" : "fell"
        var evidence = ["price_ratio": change.ratio, "changed_at_ms": Double(change.at)]
        var statement: String
        if let before = change.before, let after = change.after {
            // Micro-dollars a token are dollars a million tokens.
            evidence["input_usd_per_mtok_before"] = before.input
            evidence["input_usd_per_mtok"] = after.input
            evidence["output_usd_per_mtok_before"] = before.output
            evidence["output_usd_per_mtok"] = after.output
            statement =
                "The listed price of \(name) \(direction) from \(before.input.dollars) and \(before.output.dollars) to "
                + "\(after.input.dollars) and \(after.output.dollars) a million input and output tokens: the same "
                + "requests cost \(abs(share).percent) \(share > 0 ? "more" : "less")."
        } else {
            let list = model(name) ? ", though its listed price did not change" : ""
            statement = "What \(name) charges for a token \(direction) by \(abs(share).percent)\(list)"
            statement += isBack ? ": it is back at what it was." : "."
        }
        let isDearer = share > 0 && !isBack
        return observation(
            "cost.price_change", .model(name), statement,
            !isDearer ? .info : share > 0.5 && change.before == nil ? .critical : .warning, 0.999,
            Interval(estimate: share, lower: share, upper: share), over: max(0, now - change.at), evidence,
            action: isDearer
                ? "Compare it with other models at the new price."
                : share < 0 ? "Let it answer more, if it is good enough." : "")
    }

    private func model(_ name: String) -> Bool { context.prices[name] != nil }

    private func byHour(_ name: String, _ schedule: PriceTrack.Schedule) -> Observation {
        let saving = 1 - schedule.ratio
        func time(_ minute: Int) -> String {
            let (hour, rest) = (minute / 60, minute % 60)
            return "\(hour < 10 ? "0" : "")\(hour):\(rest < 10 ? "0" : "")\(rest)"
        }
        return observation(
            "cost.price_by_hour", .model(name),
            "\(name) costs \(saving.percent) less from \(time(schedule.from)) to \(time(schedule.to)) UTC, seen on "
                + "\(schedule.days) days.",
            .info, 0.99, Interval(estimate: -saving, lower: -saving, upper: -saving), over: 2 * SpendHistory.dayMs,
            [
                "price_ratio": schedule.ratio, "from_minute_of_day": Double(schedule.from),
                "to_minute_of_day": Double(schedule.to), "days": Double(schedule.days),
            ],
            action: "Move what can wait into these hours.")
    }
}

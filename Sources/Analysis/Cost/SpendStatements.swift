import Core
import Foundation
import Statistics
import StreamProcessing

extension CostMoment {
    /// Deviation of a day's spend from its rate while no other day is known, as a share.
    private static let unknownRhythm = 0.25

    /// What the month will have cost, and whether a budget will hold.
    func forecast(_ spend: SpendHistory) -> [Observation] {
        let month = spend.month(now), date = CivilDate(milliseconds: now - 1)
        guard let forecast = spend.forecast(now) else { return [rateAgainstBudget(spend)].compactMap { $0 } }
        let interval = forecast.interval(0.9)
        let evidence = [
            "usd": interval.estimate, "usd_lower_90": interval.lower, "usd_upper_90": interval.upper,
            "usd_so_far": month.dollars, "usd_today": forecast.today, "days_seen": Double(month.daysSeen),
        ]
        let isWhole = month.daysSeen >= date.day
        let said = observation(
            "cost.forecast", .route,
            "The route will have cost \(interval.estimate.dollars) at the end of the month "
                + "\(date.description.prefix(7)) (90 % interval \(interval.lower.dollars) to \(interval.upper.dollars))"
                + (isWhole ? "." : ", not counting \(date.day - month.daysSeen) days that were not seen."),
            .info, 0.9, interval, over: SpendHistory.dayMs * Int64(date.day), evidence, action: "")
        return [said, monthBudget(forecast, evidence), dayBudget(forecast, spend.today.dollars)].compactMap { $0 }
    }

    private func monthBudget(_ forecast: MonthForecast, _ evidence: [String: Double]) -> Observation? {
        let chosen = threshold(.budgetMonth), days = Double(SpendHistory.daysInMonth(now))
        guard let budget = chosen > 0 ? chosen : context.objective.budgetDayUSD.map({ $0 * days }), budget > 0 else {
            return nil
        }
        let risk = forecast.probability(above: budget)
        guard risk >= threshold(.budgetRisk) else { return nil }
        let interval = forecast.interval(0.95)
        return observation(
            "cost.budget_month", .route,
            forecast.spent > budget
                ? "The route has spent \(forecast.spent.dollars) this month, above its budget of \(budget.dollars)."
                : "The route will have spent \(interval.estimate.dollars) at the end of the month, above its budget of "
                    + "\(budget.dollars), with a probability of \(risk.percent).",
            forecast.spent > budget || interval.lower > 1.2 * budget ? .critical : .warning, risk, interval,
            over: SpendHistory.dayMs,
            evidence.merging(["budget_usd": budget, "probability": risk]) { _, new in new },
            action: "Lower the route's spend, or raise its budget.")
    }

    private func dayBudget(_ forecast: MonthForecast, _ spent: Double) -> Observation? {
        guard let budget = context.objective.budgetDayUSD, budget > 0 else { return nil }
        let half = studentQuantile(0.975, degrees: forecast.degrees) * forecast.todayDeviation
        return dayBudget(
            budget, spent: spent, risk: forecast.probabilityToday(above: budget, spentToday: spent),
            Interval(
                estimate: forecast.today, lower: max(spent, forecast.today - half), upper: forecast.today + half))
    }

    /// Before there are days to forecast from: the present rate.
    private func rateAgainstBudget(_ spend: SpendHistory) -> Observation? {
        let seen = spend.lastDay
        guard let budget = context.objective.budgetDayUSD, budget > 0, seen.minutes >= 60 else { return nil }
        let rate = seen.dollars * 1_440 / seen.minutes, deviation = max(1e-12, rate * Self.unknownRhythm)
        let half = normalQuantile(0.975) * deviation, spent = spend.today.dollars
        return dayBudget(
            budget, spent: spent, risk: spent > budget ? 1 : 1 - normalCDF((budget - rate) / deviation),
            Interval(estimate: rate, lower: max(spent, rate - half), upper: rate + half))
    }

    private func dayBudget(_ budget: Double, spent: Double, risk: Double, _ day: Interval) -> Observation? {
        guard risk >= threshold(.budgetRisk) else { return nil }
        return observation(
            "cost.budget", .route,
            spent > budget
                ? "The route has spent \(spent.dollars) today, above its daily budget of \(budget.dollars)."
                : "At its present rate the route spends \(day.estimate.dollars) a day, above its daily budget of "
                    + "\(budget.dollars), with a probability of \(risk.percent).",
            day.lower > 1.5 * budget ? .critical : .warning, risk, day, over: SpendHistory.dayMs,
            ["usd_per_day": day.estimate, "usd_today": spent, "budget_usd_per_day": budget, "probability": risk],
            action: "Lower the route's spend, or raise its budget.")
    }

    /// Keys or projects that spend more today than on any day of the week before.
    func spenders(_ book: SpenderBook, _ kind: Subject.Kind) -> [Observation] {
        book.days.sorted { $0.key < $1.key }.compactMap { name, days in
            let all = days.newest(days.capacity), today = all.last?.dollars ?? 0
            let before = all.dropLast().map(\.dollars).filter { $0 > 0 }
            guard before.count >= 3, let most = before.max(), today >= threshold(.wasteDay),
                today > (1 + threshold(.spenderRise)) * most
            else { return nil }
            var moments = Moments()
            for day in before { moments.add(day) }
            guard let mean = moments.mean, mean > 0, let error = moments.standardError else { return nil }
            let half = studentQuantile(0.975, degrees: Double(before.count - 1)) * error
            let ratio = today / mean
            return observation(
                "cost.spender", Subject(kind, name),
                "The \(kind.rawValue) \(name) has spent \(today.dollars) today, \((today / most).fixed(1)) times as "
                    + "much as on its dearest day of the week before.",
                .warning, 0.99,
                Interval(
                    estimate: ratio - 1, lower: today / (mean + half) - 1,
                    upper: mean > half ? today / (mean - half) - 1 : ratio * 10),
                over: SpendHistory.dayMs,
                ["usd_today": today, "usd_dearest_day": most, "usd_per_day_before": mean],
                action: "Ask whose it is whether that is meant, or set a limit for it.")
        }
    }
}

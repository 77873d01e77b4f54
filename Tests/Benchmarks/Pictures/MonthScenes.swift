import Analysis
import Core
import Foundation
import Statistics
import StreamProcessing

extension PictureScene {
    // MARK: Cost

    private static let daysBefore = 21, daysOfMonth = 31, forecastAfter = 15, dearerAfter = 7

    static func cost(_ traffic: PictureTraffic) -> FindingChart {
        var told = ToldFindings(route: "chat", seed: 7), random = SplitMix64(seed: 8)
        told.context.prices[traffic.model] = traffic.prices.before
        var days: [FindingChart.Point] = [], month: [FindingChart.Point] = [], forecast: Interval?
        var spent = 0.0
        for date in -daysBefore..<daysOfMonth {
            let busy = exp(0.08 * random.normal()), before = spent, from = PictureTraffic.milliseconds(date * day)
            if date == 0 { spent = 0 }
            let price = date < dearerAfter ? traffic.prices.before : traffic.prices.after
            told.context.prices[traffic.model] = price
            var today = 0.0
            for index in date * day..<(date + 1) * day {
                let minute = priced(traffic, index, busy, price, &random)
                told.observe(minute)
                today += minute.total.cost.sum / 1e9
            }
            guard date >= 0 else { continue }
            spent = (date == 0 ? 0 : before) + today
            let to = PictureTraffic.milliseconds((date + 1) * day)
            days += [.init(at: from, value: today), .init(at: to, value: today)]
            if date == 0 { month.append(.init(at: from, value: 0)) }
            month.append(.init(at: to, value: spent))
            if date == forecastAfter - 1 {
                forecast = told.analysis.book.open.first { $0.code == "cost.forecast" }?.magnitude
            }
        }
        let shown = span(0..<daysOfMonth * day)
        return FindingChart(
            title: "Cost, \(traffic.name): another price on 8 July, the month's end forecast on 16 July", span: shown,
            panels: [
                sum(month, forecast, spent),
                .init(unit: "USD", curves: [.init(name: "spent by day", points: days)]),
            ],
            findings: told.findings(.cost, in: shown, without: ["cost.forecast"]))
    }

    private static func sum(_ month: [FindingChart.Point], _ forecast: Interval?, _ spent: Double) -> FindingChart.Panel
    {
        let middle = PictureTraffic.milliseconds(forecastAfter * day)
        let end = PictureTraffic.milliseconds(daysOfMonth * day), known = month[forecastAfter].value ?? 0
        var panel = FindingChart.Panel(unit: "USD", curves: [.init(name: "spent in the month", points: month)])
        panel.marks = [.init(at: end, value: spent, text: "\(spent.fixed(0)) USD in the end")]
        guard let forecast else { return panel }
        panel.curves.append(
            .init(
                name: "forecast on 16 July: \(forecast.estimate.fixed(0))",
                points: [.init(at: middle, value: known), .init(at: end, value: forecast.estimate)], isDashed: true))
        panel.band = .init(
            name: "90 %: \(forecast.lower.fixed(0)) to \(forecast.upper.fixed(0))",
            points: [(middle, known, known), (end, forecast.lower, forecast.upper)])
        return panel
    }

    /// A fifth of the requests, each with a prompt and an answer of log-normal length that are charged by the token.
    private static func priced(
        _ traffic: PictureTraffic, _ index: Int, _ busy: Double, _ price: TokenPrice, _ random: inout SplitMix64
    ) -> RouteMinute {
        let start = PictureTraffic.milliseconds(index)
        var minute = RouteMinute(Window(start: start, end: start + 60_000))
        guard let expected = traffic.expected(index) else {
            minute.isGap = true
            return minute
        }
        var model = ModelMinute(traffic.model)
        model.users.requests = Int64(Variate.count(expected / 5 * busy, traffic.week.dispersion, &random))
        for _ in 0..<model.users.requests {
            let input = Int(400 * exp(0.8 * random.normal())), output = Int(200 * exp(0.8 * random.normal()))
            model.users.inputTokens.add(Double(input))
            model.users.outputTokens.add(Double(output))
            model.users.cost.add(Double(price.cost(input: input, output: output).value))
        }
        minute.models = model.users.requests > 0 ? [model] : []
        return minute
    }

    // MARK: Pattern

    static func pattern(_ traffic: PictureTraffic) -> FindingChart {
        let week = 7 * day, shown = 3 * week..<4 * week + 2 * day, burst = 4 * week - 5 * day + 840
        var told = ToldFindings(route: "chat", seed: 9), random = SplitMix64(seed: 10)
        var means: [Double?] = [], peaks: [Double?] = [], counts: [Double] = []
        for index in 0..<shown.upperBound {
            var factor = index >= 3 * week ? 1.3 : 1
            if (burst..<burst + 40).contains(index), index % 8 < 2 { factor *= 3 }
            let start = PictureTraffic.milliseconds(index)
            var minute = RouteMinute(Window(start: start, end: start + 60_000))
            if let expected = traffic.expected(index) {
                var model = ModelMinute(traffic.model)
                model.users.requests = Int64(
                    Variate.count(expected * factor, traffic.week.dispersion, &random))
                counts.append(Double(model.users.requests))
                minute.models = model.users.requests > 0 ? [model] : []
            } else {
                minute.isGap = true
            }
            told.observe(minute)
            guard index % 60 == 59 else { continue }
            means.append(counts.isEmpty ? nil : counts.reduce(0, +) / Double(counts.count))
            peaks.append(counts.max())
            counts = []
        }
        func points(_ hours: [Double?]) -> [FindingChart.Point] {
            hours.enumerated().map { .init(at: PictureTraffic.milliseconds($0 * 60 + 30), value: $1) }
        }
        return FindingChart(
            title: "Pattern, \(traffic.name): 30 % more from 22 July on, and bursts of forty minutes on 24 July",
            span: span(shown),
            panels: [
                .init(
                    unit: "requests a minute",
                    curves: [
                        .init(name: "mean of an hour", points: points(means)),
                        .init(name: "its busiest minute", points: points(peaks)),
                    ],
                    band: .init(name: "the same hour of the weeks before", points: before(means)))
            ],
            findings: told.findings(.pattern, in: span(shown)))
    }

    /// The least and the greatest mean of each hour in the first three weeks, which are alike.
    private static func before(_ means: [Double?]) -> [(at: Int64, lower: Double, upper: Double)] {
        let hours = 7 * 24
        return means.indices.compactMap { hour in
            let same = (0..<3).compactMap { means[hour % hours + $0 * hours] }
            guard let lower = same.min(), let upper = same.max() else { return nil }
            return (PictureTraffic.milliseconds(hour * 60 + 30), lower, upper)
        }
    }
}

import Analysis
import Core
import Foundation
import Statistics
import StreamProcessing
import Telemetry
import Testing

/// What a month will have cost, and whether a budget holds.
struct CostForecastTests {
    @Test func theIntervalHoldsWhatItSays() throws {
        var random = SplitMix64(seed: 7), held = 0
        let months = 1_000
        for _ in 0..<months {
            // Weeks with a quiet weekend, days that differ, and a level that wanders a little.
            var level = 100.0
            let days = (0..<70).map { day in
                level *= exp(0.01 * random.normal())
                return level * (day % 7 < 5 ? 1.1 : 0.75) * exp(0.15 * random.normal())
            }
            let passed = 5 + Int(random.next() % 20), now = 40 + passed
            let spent = days[40..<now].reduce(0, +)
            let forecast = try #require(
                MonthForecast(
                    days: Array(days[..<now]), spent: spent, spentToday: 0, passed: 0, daysLeft: 70 - now - 1))
            let interval = forecast.interval(0.9), total = days[40...].reduce(0, +)
            if interval.lower <= total, total <= interval.upper { held += 1 }
        }
        #expect((850...950).contains(held), "\(held) of \(months)")
    }

    @Test func whatIsSpentIsSpent() throws {
        let days = [10.0, 12, 9, 11, 10, 13]
        let forecast = try #require(
            MonthForecast(days: days, spent: 65, spentToday: 0, passed: 0, daysLeft: 0))
        #expect(forecast.interval(0.9).lower >= 65)
        #expect(forecast.probability(above: 64) == 1)
        #expect(forecast.probability(above: 90) < 0.01)
        let over = try #require(MonthForecast(days: days, spent: 75, spentToday: 10, passed: 1, daysLeft: 0))
        #expect(over.estimate == 75 && over.deviation == 0)
        #expect(over.probability(above: 75.1) < 1e-9)
    }

    @Test func fewDaysAreNoForecast() {
        #expect(MonthForecast(days: [1, 2, 3], spent: 6, spentToday: 0, passed: 0, daysLeft: 20) == nil)
        #expect(MonthForecast(days: [1, nil, 2, nil, 3], spent: 6, spentToday: 0, passed: 0, daysLeft: 20) == nil)
    }

    /// Of dollars a day: 60 requests a minute at 0.0012.
    private static let dollarsADay = 0.0012 * 60 * 1_440

    @Test func aRouteSaysWhatItsMonthWillCost() throws {
        var route = CostRoute()
        let traffic = CostTraffic(failureRate: 0)
        route.run(6 * 1_440 + 700, [traffic])
        let found = try #require(route.step([traffic]).first { $0.code == "cost.forecast" })
        #expect(found.severity == .info && found.statement.contains("2026-07"))
        #expect(found.magnitude.lower < 31 * Self.dollarsADay && found.magnitude.upper > 31 * Self.dollarsADay)
        #expect(abs(found.magnitude.estimate / (31 * Self.dollarsADay) - 1) < 0.05, "\(found.statement)")
    }

    @Test(arguments: [(1.3, false), (0.7, true)]) func aBudgetIsToldWhenItWillNotHold(share: Double, isTold: Bool) {
        var route = CostRoute()
        route.context.objective.budgetDayUSD = Self.dollarsADay * share
        let told = route.run(6 * 1_440, [CostTraffic()]).filter { $0.severity > .info }
        #expect(told.codes == (isTold ? ["cost.budget", "cost.budget_month"] : []))
    }

    @Test func aBudgetOfTheMonthCanBeChosen() {
        var route = CostRoute()
        route.context.settings.choices[.cost] = AnalyzerChoices(thresholds: [
            "budget_month_usd": 31 * Self.dollarsADay * 0.8
        ])
        #expect(route.run(6 * 1_440, [CostTraffic()]).news == ["cost.budget_month"])
    }

    @Test func aNewRouteIsMeasuredByItsRate() {
        var route = CostRoute()
        route.context.objective.budgetDayUSD = Self.dollarsADay * 0.5
        #expect(route.run(180, [CostTraffic(rhythm: 0)]).news == ["cost.budget"])
    }

    @Test func aKeyThatSpendsFarMoreThanEverIsTold() throws {
        var route = CostRoute()
        func spent(_ dollars: Double, _ minute: inout RouteMinute) {
            guard minute.window.start % 3_600_000 == 0 else { return }
            for (key, amount) in [("steady", 1.0), ("wild", dollars)] {
                var aggregate = WindowAggregate()
                aggregate.cost = Moments(n: 1, sum: amount * 1e9, sumOfSquares: 0)
                let key = WindowKey(
                    window: "spend", route: "chat", modelKey: "sim/a", arm: .stable, policy: 0, others: ["shop", key])
                minute.results.append(
                    MergedWindow(window: minute.window, key: key, aggregate: aggregate, feedback: [:]))
            }
        }
        #expect(route.run(4 * 1_440, [CostTraffic(rate: 20)]) { spent(2, &$0) }.news == [])
        let found = route.run(1_200, [CostTraffic(rate: 20)]) { spent(10, &$0) }
        #expect(found.news == ["cost.spender", "cost.spender"])
        #expect(Set(found.map(\.subject)).isSuperset(of: [Subject(.key, "wild"), Subject(.project, "shop")]))
    }
}

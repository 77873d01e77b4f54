import Analysis
import Core
import Foundation

/// How often the interval of a month's forecast holds what the month then costs, on months made of recorded days.
///
/// A month is drawn in blocks of consecutive days (Künsch, "The jackknife and the bootstrap for general stationary
/// observations", 1989; the blocks run on from the last day to the first), four weeks of history before it likewise, and
/// is forecast at midnight after 3 to 25 of its 30 days. Costs are 1 and 4 USD a million input and output tokens.
enum MonthStudy {
    private static let services = ["m-large", "m-mid", "m-small"]
    private static let months = 1_000
    private static let blocks = [1, 3, 5, 7]
    /// The block of the published figure.
    private static let block = 3
    private static let history = 28
    private static let length = 30

    static func run() -> [Figure] {
        let folder = NABCorpus.dataFolder.map { $0 + "/workload" }
        let recorded = services.compactMap { service in folder.flatMap { days(of: service, in: $0) } }
        guard recorded.count == services.count else {
            print("forecasts of months skipped: no workload/servegen_*.csv (set TRIMTAB_TEST_DATA)")
            return []
        }
        print("| days in a block | held by the 90 % interval, of \(months) months | half its width |")
        print("|---|---|---|")
        var published = (held: 0, width: 0.0)
        for block in blocks {
            let found = coverage(recorded, block: block)
            if block == Self.block { published = found }
            print("| \(block) | \(found.held) | \(text(100 * found.width)) % |")
        }
        print("| recorded days 6 to 8, forecast from days 0 to 5 | spent | 90 % interval |")
        print("|---|---|---|")
        for (service, days) in zip(services, recorded) {
            let known = days.prefix(6).map { Optional($0) }, total = days.reduce(0, +)
            guard
                let forecast = MonthForecast(
                    days: known, spent: days.prefix(6).reduce(0, +), spentToday: 0, passed: 0,
                    daysLeft: days.count - 7)
            else { continue }
            let interval = forecast.interval(0.9)
            print("| \(service) | \(text(total)) USD | \(text(interval.lower)) to \(text(interval.upper)) USD |")
        }
        let settings = "blocks of \(block) days, \(history) days of history, goal 85 to 95"
        return [
            Figure(
                name: "analyzers.forecast.coverage", value: 100 * Double(published.held) / Double(months),
                unit: "% of \(months) months in the 90 % interval (\(settings))"),
            Figure(
                name: "analyzers.forecast.half_width", value: 100 * published.width,
                unit: "% of the month's cost, mean"),
        ]
    }

    private static func coverage(_ recorded: [[Double]], block: Int) -> (held: Int, width: Double) {
        var random = SplitMix64(seed: UInt64(block)), held = 0, width = 0.0
        for month in 0..<months {
            let source = recorded[month % recorded.count]
            var days: [Double] = []
            while days.count < history + length {
                let start = Int(random.next() % UInt64(source.count))
                days += (0..<block).map { source[(start + $0) % source.count] }
            }
            days = Array(days.prefix(history + length))
            let passed = 3 + Int(random.next() % 23), now = history + passed
            guard
                let forecast = MonthForecast(
                    days: days[..<now].map { Optional($0) }, spent: days[history..<now].reduce(0, +), spentToday: 0,
                    passed: 0, daysLeft: length - passed - 1)
            else { continue }
            let interval = forecast.interval(0.9), total = days[history...].reduce(0, +)
            if interval.lower <= total, total <= interval.upper { held += 1 }
            width += (interval.upper - interval.lower) / 2 / interval.estimate / Double(months)
        }
        return (held, width)
    }

    /// USD of each complete day; a window near zero is a gap of the recording and counts as the day's others.
    private static func days(of service: String, in folder: String) -> [Double]? {
        guard let rates = table("\(folder)/servegen_\(service)_rate10m.csv"),
            let tokens = table("\(folder)/servegen_\(service)_tokens6h.csv")
        else { return nil }
        var days: [[Double]] = []
        let usual = rates.map { $0[1] }.sorted()[rates.count / 2]
        for row in rates where row.count > 1 {
            let day = Int(row[0] / 86_400), quarter = min(Int(row[0] / 21_600), tokens.count - 1)
            while days.count <= day { days.append([]) }
            // Columns 3 and 12: mean input and output tokens.
            if row[1] > 0.01 * usual { days[day].append(row[1] * (tokens[quarter][3] + 4 * tokens[quarter][12]) / 1e6) }
        }
        return days.filter { $0.count > 72 }.map { $0.reduce(0, +) / Double($0.count) * 86_400 }
    }

    /// The rows of numbers below the header.
    private static func table(_ path: String) -> [[Double]]? {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return nil }
        return text.split(whereSeparator: \.isNewline).dropFirst().map {
            $0.split(separator: ",", omittingEmptySubsequences: false).map { Double($0) ?? .nan }
        }
    }

    private static func text(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }
}

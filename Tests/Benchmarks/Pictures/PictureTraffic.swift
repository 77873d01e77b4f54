import Core
import Foundation

/// What the pictures show: a week of a route, over and over, and a price that changes.
struct PictureTraffic {
    /// For the titles.
    let name: String
    /// Its course is a week from `start` on.
    let week: RouteTraffic
    /// `provider/model`, and its prices before and after.
    let model: String
    let prices: (before: TokenPrice, after: TokenPrice)
    /// What could not be had, and of which no picture is made, with the reason.
    var missing: [(scene: PictureScene, reason: String)] = []

    static let minutesPerDay = 1_440
    /// Wednesday, 1 July 2026, 00:00 UTC, minutes since the epoch: midnight begins a week of the course.
    static let start = 29_714_400

    /// A daily rhythm, and weekends with two thirds of the requests.
    static let simulated: PictureTraffic = {
        var week = RouteTraffic.simulated(swing: 0.4)
        let day = week.course
        week.course = (0..<7 * minutesPerDay).map { minute in
            day[(minute + 900) % minutesPerDay].map { $0 * ((minute / minutesPerDay + 2) % 7 < 5 ? 1 : 2.0 / 3) }
        }
        return PictureTraffic(
            name: "simulated traffic", week: week, model: RouteTraffic.model,
            prices: (price(0.5, 2), price(0.75, 3)))
    }()

    /// Arrivals and, where they are there, times of calls and a changed price, from the folder of test data.
    static func recorded(in folder: String) throws -> PictureTraffic {
        let service = "m-mid", data = folder + "/data"
        let arrivals = try RecordedTraffic.service(service, in: data + "/workload")
        var missing: [(scene: PictureScene, reason: String)] = []
        var times = RouteTraffic.simulated(swing: 0).times, model = RouteTraffic.model
        if let calls = try? RecordedTraffic.calls(data + "/latency/llmperf_2023-12.csv"),
            let first = calls.min(by: { $0.key < $1.key })
        {
            times = first.value
        } else {
            missing.append((.performance, "no latency/llmperf_2023-12.csv"))
        }
        var prices = simulated.prices
        let changes = (try? RecordedTraffic.rows(data + "/prices/price_changes.csv")) ?? []
        if let change = changes.first(where: { $0.count >= 7 }) {
            let dollars = change[3...6].map { Double($0) ?? 0 }
            model = "\(change[0])/\(change[1])"
            prices = (price(dollars[0], dollars[1]), price(dollars[2], dollars[3]))
        } else {
            missing.append((.cost, "no prices/price_changes.csv"))
        }
        let course = Array(arrivals.course.prefix(7 * minutesPerDay))
        return PictureTraffic(
            name: "weekly repeated servegen_\(service)",
            week: RouteTraffic(times: times, course: course, dispersion: arrivals.dispersion), model: model,
            prices: prices, missing: missing)
    }

    private static func price(_ input: Double, _ output: Double) -> TokenPrice {
        TokenPrice(input: Int64((input * 1e9).rounded()), output: Int64((output * 1e9).rounded()))
    }

    private init(
        name: String, week: RouteTraffic, model: String, prices: (before: TokenPrice, after: TokenPrice),
        missing: [(scene: PictureScene, reason: String)] = []
    ) {
        (self.name, self.model, self.prices, self.missing) = (name, model, prices, missing)
        var turned = week
        let turn = Self.start % week.course.count
        turned.course = Array(week.course.suffix(turn) + week.course.dropLast(turn))
        self.week = turned
    }

    /// Requests to be expected in a minute, counted from `start`; `nil` where telemetry is missing.
    func expected(_ minute: Int) -> Double? { week.expected(Self.start + minute..<Self.start + minute + 1) }

    /// Milliseconds since the epoch of a minute counted from `start`.
    static func milliseconds(_ minute: Int) -> Int64 { Int64(start + minute) * 60_000 }
}

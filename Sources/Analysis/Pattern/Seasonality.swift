import Core
import Statistics

/// The rhythm of a route's traffic over the week, and what it leads one to expect of the next day.
struct Seasonality: Codable, Sendable, Equatable {
    /// Hours in the rhythm: 168 from two weeks on, 24 before.
    var period: Int
    var hours: Int
    /// Share of the variance of the logarithm of hourly requests that the rhythm explains, adjusted for its hours, with
    /// the bounds of its 95 % interval.
    var share: Interval
    /// Probability of as much without a rhythm.
    var p: Double
    var forecast: Forecast

    /// The hour of the next 24 that is expected to be the busiest.
    struct Forecast: Codable, Sendable, Equatable {
        /// Start, milliseconds since the epoch.
        var peakAt: Int64
        /// Requests a minute, 95 % prediction interval.
        var peak: Interval
        /// Requests of the 24 hours.
        var total: Double
    }

    private static let fewestDays = 7

    /// `nil` before a week is known, and for a route that stands still.
    init?(_ hours: [HourRate]) {
        guard let last = hours.last, let first = hours.first,
            hours.count >= Self.fewestDays * HourRate.hoursOfDay * 9 / 10
        else { return nil }
        let weeks = Int(last.hour - first.hour + 1) / HourRate.hoursOfWeek
        let period = weeks >= 2 ? HourRate.hoursOfWeek : HourRate.hoursOfDay
        let values = hours.map { (phase: $0.phase(period), value: logarithm(1 + $0.rate)) }
        var groups = [Moments](repeating: Moments(), count: period), all = Moments()
        for (phase, value) in values {
            groups[phase].add(value)
            all.add(value)
        }
        guard let mean = all.mean, let variance = all.variance, variance > 1e-12 else { return nil }
        let used = groups.count { $0.n > 0 }, n = Double(all.n)
        let total = variance * (n - 1)
        let within = values.reduce(0.0) { sum, one in
            let off = one.value - (groups[one.phase].mean ?? mean)
            return sum + off * off
        }
        let degrees = (between: Double(used - 1), within: n - Double(used))
        guard degrees.between > 0, degrees.within > 0 else { return nil }
        let residual = max(within / degrees.within, 1e-12)
        (self.period, self.hours) = (period, hours.count)
        p = Self.fSurvival((total - within) / degrees.between / residual, degrees.between, degrees.within)
        share = Self.shareInterval(1 - residual / variance, n: n)
        let sigma = residual.squareRoot()
        let level =
            hours.suffix(HourRate.hoursOfDay).reduce(0.0) { sum, hour in
                sum + logarithm(1 + hour.rate) - (groups[hour.phase(period)].mean ?? mean)
            } / Double(min(HourRate.hoursOfDay, hours.count))
        let t = studentQuantile(0.975, degrees: degrees.within)
        forecast = Self.forecast(after: last.hour, period, means: groups.map { $0.mean ?? mean }, level, t * sigma)
    }

    /// The adjusted share, with the interval of Fisher's transformation of its root.
    private static func shareInterval(_ share: Double, n: Double) -> Interval {
        let kept = min(max(share, 0), 1 - 1e-9), root = kept.squareRoot()
        let z = 0.5 * logarithm((1 + root) / (1 - root)), half = normalQuantile(0.975) / max(1, n - 3).squareRoot()
        func back(_ z: Double) -> Double {
            let e = exponential(2 * max(0, z)), r = (e - 1) / (e + 1)
            return r * r
        }
        return Interval(estimate: kept, lower: back(z - half), upper: back(z + half))
    }

    /// The upper tail of F, by the incomplete beta function.
    private static func fSurvival(_ f: Double, _ d1: Double, _ d2: Double) -> Double {
        f <= 0 ? 1 : regularizedBeta(d2 / (d2 + d1 * f), d2 / 2, d1 / 2)
    }

    /// Each hour's usual value, shifted by how far the last day was off.
    private static func forecast(
        after hour: Int64, _ period: Int, means: [Double], _ level: Double, _ half: Double
    ) -> Forecast {
        let next = (1...Int64(HourRate.hoursOfDay)).map { hour + $0 }
        let expected = next.map { means[HourRate.phase($0, period)] + level }
        let place = expected.indices.max { expected[$0] < expected[$1] } ?? 0
        func rate(_ value: Double) -> Double { max(0, exponential(value) - 1) }
        return Forecast(
            peakAt: next[place] * HourlyRequests.hourMs,
            peak: Interval(
                estimate: rate(expected[place]), lower: rate(expected[place] - half),
                upper: rate(expected[place] + half)),
            total: expected.reduce(0) { $0 + rate($1) * 60 })
    }
}

/// The change of a route's traffic from one week to the next.
struct WeeklyGrowth: Codable, Sendable, Equatable {
    /// Relative change with its 95 % interval.
    var change: Interval
    /// Of "there is a change", 0...1.
    var confidence: Double
    /// Requests a minute, over the hours that both weeks know.
    var before: Double
    var now: Double

    private static let fewestHours = 18

    /// Pairs the days of the last seven with those before, hour by hour; `nil` unless all of them are known and had
    /// requests.
    init?(_ hours: [HourRate]) {
        guard let last = hours.last?.hour else { return nil }
        let week = Int64(HourRate.hoursOfWeek)
        let byHour = Dictionary(hours.map { ($0.hour, $0.rate) }, uniquingKeysWith: { $1 })
        var ratios = Moments(), sums = (before: 0.0, now: 0.0), paired = 0.0
        for day in 0..<7 {
            var now = 0.0, before = 0.0, known = 0
            for hour in 0..<Int64(HourRate.hoursOfDay) {
                let at = last - Int64(day * HourRate.hoursOfDay) - hour
                guard let new = byHour[at], let old = byHour[at - week] else { continue }
                now += new
                before += old
                known += 1
            }
            guard known >= Self.fewestHours, now > 0, before > 0 else { return nil }
            ratios.add(logarithm(now / before))
            sums = (sums.before + before, sums.now + now)
            paired += Double(known)
        }
        guard let mean = ratios.mean, let error = ratios.standardError.map({ max($0, 1e-6) }) else { return nil }
        let half = studentQuantile(0.975, degrees: 6) * error
        func relative(_ x: Double) -> Double { exponential(x) - 1 }
        change = Interval(estimate: relative(mean), lower: relative(mean - half), upper: relative(mean + half))
        // Twice the tail of Student's t with 6 degrees of freedom.
        let t = mean / error
        confidence = 1 - regularizedBeta(6 / (6 + t * t), 3, 0.5)
        (before, now) = (sums.before / paired, sums.now / paired)
    }
}

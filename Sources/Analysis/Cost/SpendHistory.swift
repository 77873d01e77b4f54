import Core
import Statistics
import StreamProcessing

/// What a route spends, by the hour for nine days and by the day for ten weeks.
struct SpendHistory: Codable, Sendable, Equatable {
    static let dayMs: Int64 = 86_400_000
    /// Of a day that must have been seen for it to count, and is then scaled to a whole one.
    private static let seenShare = 0.9
    /// Days that a forecast looks back on.
    private static let lookBack = 56

    /// Dollars, and the minutes that were seen.
    struct Sums: PackedSums {
        var sums = SIMD2<Float>()
        var dollars: Double { value(0) }
        var minutes: Double { value(1) }

        init() {}
        init(dollars: Double, minutes: Double) {
            put(0, dollars)
            put(1, minutes)
        }
    }

    private var hours = TimeRing<Sums>(slotMs: 3_600_000, capacity: 216)
    private var days = TimeRing<Sums>(slotMs: dayMs, capacity: 70)

    init() {}

    mutating func add(_ minute: RouteMinute) {
        var nano = 0.0
        for model in minute.models { nano += model.users.cost.sum + model.shadow.cost.sum }
        let sums = Sums(dollars: nano / 1e9, minutes: minute.isGap ? 0 : Double(minute.length) / 60_000)
        hours.add(sums, at: minute.window.start)
        days.add(sums, at: minute.window.start)
    }

    /// Of today, UTC.
    var today: Sums { days.sum(1) }
    /// Of the last 24 hours.
    var lastDay: Sums { hours.sum(24) }

    /// Dollars of the complete days before today, the oldest first; `nil` for one of which too little was seen.
    var complete: [Double?] {
        let all = days.newest(days.capacity).dropLast().suffix(Self.lookBack).map { day -> Double? in
            day.minutes >= Self.seenShare * 1_440 ? day.dollars * 1_440 / day.minutes : nil
        }
        return Array(all.drop { $0 == nil })
    }

    /// What came of this month until `now`, and how many days of it were seen in part at least.
    func month(_ now: Int64) -> (dollars: Double, daysSeen: Int) {
        let passed = days.newest(CivilDate(milliseconds: now - 1).day)
        return (passed.reduce(0) { $0 + $1.dollars }, passed.count { $0.minutes > 0 })
    }

    /// The share of a day's spend that comes before the time of day `now`, from the days before.
    func passed(_ now: Int64) -> Double {
        let all = hours.newest(hours.capacity), hour = Int((now - 1) % Self.dayMs / 3_600_000)
        let within = Double((now - 1) % 3_600_000 + 1) / 3_600_000
        var before = 0.0, total = 0.0
        // Whole days that end with the last midnight.
        let midnight = all.count - 1 - hour
        for place in max(0, midnight - 168)..<midnight {
            let ofDay = (place - midnight + 168) % 24
            total += all[place].dollars
            before += all[place].dollars * (ofDay < hour ? 1 : ofDay == hour ? within : 0)
        }
        return total > 0 ? before / total : Double((now - 1) % Self.dayMs + 1) / Double(Self.dayMs)
    }

    func forecast(_ now: Int64) -> MonthForecast? {
        MonthForecast(
            days: complete, spent: month(now).dollars, spentToday: today.dollars, passed: passed(now),
            daysLeft: Self.daysLeft(now))
    }

    /// Of the month of `now`, after its day.
    static func daysLeft(_ now: Int64) -> Int {
        (0...31).first { CivilDate(milliseconds: now - 1 + Int64($0 + 1) * dayMs).day == 1 } ?? 0
    }

    static func daysInMonth(_ now: Int64) -> Int { CivilDate(milliseconds: now - 1).day + daysLeft(now) }
}

/// What each key or project of a route spends by the day.
struct SpenderBook: Codable, Sendable, Equatable {
    /// Those that spend the most.
    static let most = 48

    /// Dollars, and the requests behind them.
    struct Sums: PackedSums {
        var sums = SIMD4<Float>()
        var dollars: Double { value(0) }
        var requests: Double { value(1) }
        /// Requests that nobody seems to have waited for.
        var unattended: Double { value(2) }

        init() {}

        init(_ aggregate: WindowAggregate) {
            put(0, aggregate.cost.sum / 1e9)
            put(1, Double(aggregate.requests))
            put(2, Double(aggregate.count(of: .unattended)))
        }
    }

    private(set) var days: [String: TimeRing<Sums>] = [:]

    init() {}

    /// Moves on to the day of `ms`, also for those that spend nothing any more.
    mutating func advance(to ms: Int64) {
        for name in days.keys { days[name]?.advance(to: ms) }
    }

    mutating func add(_ name: String, _ aggregate: WindowAggregate, at ms: Int64) {
        let new = Sums(aggregate), dollars = new.dollars
        guard !name.isEmpty, dollars > 0 else { return }
        if days[name] == nil, days.count >= Self.most {
            guard let least = days.min(by: { ($0.value.sum(8).dollars, $0.key) < ($1.value.sum(8).dollars, $1.key) }),
                least.value.sum(8).dollars < dollars
            else { return }
            days[least.key] = nil
        }
        days[name, default: TimeRing(slotMs: SpendHistory.dayMs, capacity: 8)]
            .add(new, at: ms)
    }
}

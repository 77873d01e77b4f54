import Statistics

/// Requests of one hour, and for how much of it they are known.
struct HourlyCount: Summable {
    private static let hourMs = 3_600_000.0
    var requests = 0.0
    var knownMs = 0.0

    mutating func merge(_ other: HourlyCount) {
        requests += other.requests
        knownMs += other.knownMs
    }

    /// A minute's requests on average; `nil` for an hour that is not known well.
    var rate: Double? { knownMs >= 0.8 * Self.hourMs ? requests * 60_000 / knownMs : nil }

    init() {}

    init(requests: Double, knownMs: Double) {
        self.requests = requests
        self.knownMs = knownMs
    }

    /// Two numbers, since there are hundreds of these.
    init(from decoder: any Decoder) throws {
        var container = try decoder.unkeyedContainer()
        requests = try container.decode(Double.self)
        knownMs = try container.decode(Double.self)
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.unkeyedContainer()
        try container.encode(requests)
        try container.encode(knownMs)
    }
}

/// An hour's requests a minute, and which hour since the epoch it was.
struct HourRate: Equatable {
    var hour: Int64
    var rate: Double

    static let hoursOfDay = 24, hoursOfWeek = 168

    /// Hour of the week, 0 on Thursday at midnight UTC, as the epoch began; or of the day where `period` is 24.
    func phase(_ period: Int) -> Int { Self.phase(hour, period) }

    static func phase(_ hour: Int64, _ period: Int) -> Int {
        let rest = Int(hour % Int64(period))
        return rest < 0 ? rest + period : rest
    }
}

/// The requests of the last four weeks by hour.
struct HourlyRequests: Codable, Sendable, Equatable {
    static let hourMs: Int64 = 3_600_000
    private static let hours = 4 * HourRate.hoursOfWeek
    /// And the open one.
    private var ring = TimeRing<HourlyCount>(slotMs: hourMs, capacity: hours + 1)
    private var newest: Int64?

    /// Returns whether an hour ended before this minute.
    mutating func add(_ requests: Int64, lengthMs: Int64, at ms: Int64) -> Bool {
        let hour = ms / Self.hourMs
        defer { newest = hour }
        ring.add(HourlyCount(requests: Double(requests), knownMs: Double(lengthMs)), at: ms)
        return newest.map { $0 < hour } ?? false
    }

    /// Complete hours that are known, oldest first, at most `last`.
    func complete(last: Int = hours) -> [HourRate] {
        guard let newest else { return [] }
        let slots = ring.newest(last + 1).dropLast()
        return zip(slots.indices, slots).compactMap { place, count in
            count.rate.map { HourRate(hour: newest - Int64(slots.count - place), rate: $0) }
        }
    }
}

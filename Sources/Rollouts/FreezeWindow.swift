/// A span of every week in which nothing starts and no rollout takes a step, in UTC.
///
/// Written `Fri 16:00 - Mon 08:00`; one that ends before it starts goes on into the next week.
package struct FreezeWindow: Codable, Sendable, Equatable, LosslessStringConvertible {
    /// Minutes since Monday 00:00.
    private let start: Int
    private let end: Int

    private static let days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    private static let week = 7 * 24 * 60

    /// `nil` for a text of another form, and for an empty span.
    package init?(_ description: String) {
        let ends = description.split(separator: "-").map { Self.minute($0) }
        guard ends.count == 2, let start = ends[0], let end = ends[1], start != end else { return nil }
        self.start = start
        self.end = end
    }

    private static func minute(_ text: Substring) -> Int? {
        let parts = text.split(separator: " ")
        guard parts.count == 2, let day = days.firstIndex(of: String(parts[0])) else { return nil }
        let clock = parts[1].split(separator: ":")
        guard clock.count == 2, clock.allSatisfy({ $0.utf8.count == 2 }), let hour = Int(clock[0]),
            let minute = Int(clock[1]), (0..<24).contains(hour), (0..<60).contains(minute)
        else { return nil }
        return (day * 24 + hour) * 60 + minute
    }

    package var description: String { "\(Self.text(start)) - \(Self.text(end))" }

    private static func text(_ minute: Int) -> String {
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(days[minute / 1440]) \(two(minute / 60 % 24)):\(two(minute % 60))"
    }

    /// - Parameter now: milliseconds since the epoch.
    package func contains(_ now: Int64) -> Bool {
        // 1 January 1970 was a Thursday.
        let minutes = Int(now.flooredQuotient(60_000)) + 3 * 1440
        let minute = (minutes % Self.week + Self.week) % Self.week
        return start < end ? (start..<end).contains(minute) : minute >= start || minute < end
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let window = FreezeWindow(text) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "'\(text)' is not of the form 'Fri 16:00 - Mon 08:00'.")
        }
        self = window
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

extension Int64 {
    fileprivate func flooredQuotient(_ divisor: Int64) -> Int64 {
        self / divisor - (self % divisor < 0 ? 1 : 0)
    }
}
